package forward

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// relayDatagrams hands what arrives at a socket to the server, each client over a socket of its
// own, so that replies find their way back, until ctx is done.
func relayDatagrams(ctx context.Context, c *net.UDPConn, port uint16, d *dialer, all *clients, idle time.Duration) {
	var replies sync.WaitGroup
	defer replies.Wait()
	defer func() { _ = c.Close() }()
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20) })
	r := &receiver{}
	defer context.AfterFunc(ctx, func() {
		_ = c.Close()
		all.close()
	})()
	receive := r.receive // made once, not for each datagram
	for {
		if raw.Read(receive) != nil {
			return
		}
		if r.err != nil {
			// What a network tells of earlier datagrams does not concern the next one.
			if !sleep(ctx, firstPause) {
				return
			}
			continue
		}
		key := r.key(c)
		if !all.send(key, r.buffer[:r.n]) {
			if s := d.dialUDP(ctx, key.address(), port, r.buffer[:r.n]); s != nil {
				client := &client{key: key, from: r.from, server: s}
				if all.add(client) {
					replies.Go(func() { client.reply(raw, all, idle) })
				}
			}
		}
		putBuffer(r.buffer)
		r.buffer = nil
	}
}

// controlSize holds one IPV6_PKTINFO, which is the larger one.
const controlSize = 40

// A receiver has the datagram that was read last.
type receiver struct {
	buffer  *buffer
	n       int
	from    unix.Sockaddr
	control [controlSize]byte
	length  int // of control
	err     error
}

func (r *receiver) receive(fd uintptr) (done bool) {
	r.buffer = takeBuffer()
	for {
		r.control = [controlSize]byte{}
		r.n, r.length, _, r.from, r.err = unix.Recvmsg(int(fd), r.buffer[:], r.control[:], unix.MSG_DONTWAIT)
		if !errors.Is(r.err, unix.EINTR) {
			break
		}
	}
	if r.err != nil {
		putBuffer(r.buffer)
		r.buffer = nil
	}
	return !errors.Is(r.err, unix.EAGAIN)
}

// clientKey tells clients apart: whence, and to which address of the host.
type clientKey struct {
	socket  *net.UDPConn
	remote  [16]byte
	zone    uint32
	port    int
	control [controlSize]byte // what was received, made fit to be sent
	length  int
}

func (r *receiver) key(c *net.UDPConn) clientKey {
	k := clientKey{socket: c, control: r.control, length: r.length}
	switch from := r.from.(type) {
	case *unix.SockaddrInet4:
		k.remote, k.port = netip.AddrFrom4(from.Addr).As16(), from.Port
	case *unix.SockaddrInet6:
		k.remote, k.port, k.zone = from.Addr, from.Port, from.ZoneId
	}
	// The interface is the route's to choose, unless the address means nothing without one.
	switch header := unix.SizeofCmsghdr; {
	case r.length >= header+unix.SizeofInet6Pktinfo && binary.NativeEndian.Uint32(k.control[8:]) == unix.SOL_IPV6:
		if !netip.AddrFrom16([16]byte(k.control[header:])).IsLinkLocalUnicast() {
			clear(k.control[header+16 : header+20])
		}
	case r.length >= header+unix.SizeofInet4Pktinfo && binary.NativeEndian.Uint32(k.control[8:]) == unix.SOL_IP:
		clear(k.control[header : header+4])
	default:
		k.length = 0
	}
	return k
}

func (k *clientKey) address() netip.Addr { return netip.AddrFrom16(k.remote).Unmap() }

// dialUDP finds a server by sending it the client's first datagram. That nothing listens
// is known at once inside of one machine; nil means that nothing does anywhere.
func (d *dialer) dialUDP(ctx context.Context, client netip.Addr, port uint16, first []byte) *net.UDPConn {
	for _, target := range d.targets(client) {
		c, err := (&net.Dialer{}).DialContext(ctx, "udp", netip.AddrPortFrom(target, port).String())
		if err != nil {
			if !errors.Is(err, unix.EMFILE) {
				d.forget()
			}
			continue
		}
		s := c.(*net.UDPConn)
		if _, err := s.Write(first); err == nil && pendingError(s) == 0 {
			return s
		}
		_ = s.Close()
	}
	return nil
}

// pendingError is what the network told of the datagram that was sent, 0 if nothing.
func pendingError(c *net.UDPConn) (errno int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { errno, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) })
	return errno
}
