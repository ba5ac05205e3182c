package forward

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Socket is where clients arrive, and the port in the container that it leads to.
type Socket struct {
	// FD is a bound UDP socket, or a listening TCP socket. Serve closes it. Where a UDP
	// socket is bound to several addresses of the host, it has to have IP_PKTINFO or
	// IPV6_RECVPKTINFO set from the beginning: replies come from the address that the
	// client wrote to.
	FD int
	// UDP says which of the two it is.
	UDP bool
	// Port is the server's, 1 to 65535.
	Port uint16
}

// Options bound what a forwarder takes. The zero value of a number means the default.
type Options struct {
	// Transparent says whether TCP servers see the client's address: what [SetUpTransparent]
	// returned.
	Transparent Transparent
	// Connections is how many TCP connections are relayed at a time; more wait in the
	// queues of the listening sockets. By default, what the limit of open files allows.
	Connections int
	// Clients is how many UDP clients are remembered at a time; the one that was silent
	// longest makes room. By default 1024, or less with few open files.
	Clients int
	// Idle is after how much silence a UDP client is forgotten, 90 s by default: docker's
	// time, below the 120 s after which the kernel's connection tracking forgets a stream.
	Idle time.Duration
}

// spare are descriptors that the forwarder needs beside those of clients: the
// standard ones, netpoll, netlink, and the pipes of bulk transfers.
const spare = 32 + 2*maxPipes

func (o *Options) fill(sockets int) {
	limit := unix.Rlimit{Cur: 1024}
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	// Even a limit that is absurdly low lets clients in, one after the other; one that is
	// absurdly high is not a reason to take a million.
	free := int(min(limit.Cur, 1<<17)) - spare - 2*sockets
	if o.Clients <= 0 {
		o.Clients = max(1, min(1024, free/4))
	}
	if o.Connections <= 0 {
		// A dial that tries several targets has one socket at a time.
		o.Connections = max(1, (free-o.Clients)/2)
	}
	if o.Idle <= 0 {
		o.Idle = 90 * time.Second
	}
}

// Serve forwards until ctx is done. Then it closes all sockets and returns when
// nothing is left running. An error says that it could not begin.
func Serve(ctx context.Context, sockets []Socket, o Options) error {
	o.fill(len(sockets))
	d := &dialer{transparent: o.Transparent}
	slots := make(chan struct{}, o.Connections)
	clients := newClients(o.Clients)
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	for i, s := range sockets {
		// The copy that the net package makes is the one that lives on.
		f := os.NewFile(uintptr(s.FD), "socket")
		if s.UDP {
			c, err := net.FilePacketConn(f)
			f.Close()
			if err != nil {
				closeAll(sockets[i+1:])
				return err
			}
			u, ok := c.(*net.UDPConn)
			if !ok {
				_ = c.Close()
				closeAll(sockets[i+1:])
				return &os.SyscallError{Syscall: "getsockname", Err: unix.EPROTOTYPE}
			}
			all.Go(func() { relayDatagrams(ctx, u, s.Port, d, clients, o.Idle) })
			continue
		}
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			closeAll(sockets[i+1:])
			return err
		}
		t, ok := l.(*net.TCPListener)
		if !ok {
			l.Close()
			closeAll(sockets[i+1:])
			return &os.SyscallError{Syscall: "getsockname", Err: unix.EPROTOTYPE}
		}
		all.Go(func() { accept(ctx, t, s.Port, d, slots) })
	}
	<-ctx.Done()
	return nil
}

func closeAll(sockets []Socket) {
	for _, s := range sockets {
		_ = unix.Close(s.FD)
	}
}

// accept takes clients for as long as there is room for them.
func accept(ctx context.Context, l *net.TCPListener, port uint16, d *dialer, slots chan struct{}) {
	var relays sync.WaitGroup
	defer relays.Wait()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	pause := firstPause
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		client, err := l.AcceptTCP()
		if err == nil {
			pause = firstPause
			relays.Go(func() {
				defer func() { <-slots }()
				serve(ctx, client, port, d)
			})
			continue
		}
		<-slots
		// Whatever it is, EMFILE, ENFILE, ENOBUFS or a network error of the client's
		// (accept(2)): it passes, and the others wait in the queue.
		if errors.Is(err, net.ErrClosed) || !sleep(ctx, pause) {
			return
		}
		pause = min(2*pause, time.Second)
	}
}

const firstPause = 5 * time.Millisecond

// sleep waits, and says whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// serve connects a client to the server and relays until both sides are done.
func serve(ctx context.Context, client *net.TCPConn, port uint16, d *dialer) {
	defer func() { _ = client.Close() }()
	server, err := d.dialTCP(ctx, client.RemoteAddr().(*net.TCPAddr).AddrPort(), port)
	if err != nil {
		_ = client.SetLinger(0) // a reset
		return
	}
	defer func() { _ = server.Close() }()
	defer context.AfterFunc(ctx, func() { _ = client.Close(); _ = server.Close() })()
	relay(client, server)
}
