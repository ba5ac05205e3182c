package port

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Bound is a socket that waits on the host for one port of a container.
type Bound struct {
	// Publish has Count 1 and, in HostPort, the number that the socket really has.
	Publish
	// FD is the socket: close-on-exec, non-blocking, and, for TCP, listening. Without an
	// address in Publish it takes both families.
	FD int
}

// Close closes the socket of this process; one that a forwarder inherited stays open.
func (b Bound) Close() error { return os.NewSyscallError("close", unix.Close(b.FD)) }

// CloseAll closes the sockets of this process.
func CloseAll(list []Bound) {
	for _, b := range list {
		_ = b.Close()
	}
}

// ForwardArgs are the arguments of "rl-netd forward" that tell a forwarder which socket leads
// where, FD=PROTO:PORT. The numbers are those of FD: whoever gives the sockets other numbers
// in the child changes FD in a copy.
func ForwardArgs(list []Bound) []string {
	args := make([]string, 0, len(list))
	for _, b := range list {
		args = append(args, fmt.Sprintf("%d=%v:%d", b.FD, b.Proto, b.Port))
	}
	return args
}

// freeTries is how often another free port is tried when the first that the kernel chose
// is busy in another protocol or family. Tens of thousands of them are free on most hosts.
const freeTries = 128

// endingTime is for how long a port is asked for again that a container which has ended just now may have still: its
// forwarder ends some milliseconds behind it.
const endingTime = 300 * time.Millisecond

// Bind opens a socket in the net namespace of the calling thread for each port in list,
// and returns them in that order. All free ports of one port in the container, be it
// of TCP and UDP or of several addresses, get the same number, unless one address is among the others. Either all are bound or none;
// the error is a *[BindError].
func Bind(list []Publish) ([]Bound, error) {
	for end := time.Now().Add(endingTime); ; time.Sleep(5 * time.Millisecond) {
		bound, err := bindAll(list)
		if busy, is := errors.AsType[*BindError](err); is && busy.Ending && time.Now().Before(end) {
			continue
		}
		return bound, err
	}
}

// bindAll is one attempt.
func bindAll(list []Publish) (bound []Bound, err error) {
	for _, p := range list {
		for _, one := range p.Each() {
			bound = append(bound, Bound{one, -1})
		}
	}
	defer func() {
		if err == nil {
			return
		}
		for _, b := range bound {
			if b.FD >= 0 {
				_ = b.Close()
			}
		}
		bound = nil
	}()
	// The numbers that were asked for come first: a free port must not take one of them.
	for i := range bound {
		if bound[i].HostPort == 0 {
			continue
		}
		if err := bound[i].open(); err != nil {
			return bound, newBindError(bound[i].Publish, err)
		}
	}
	for i := range bound {
		if bound[i].HostPort == 0 {
			if at, err := bindFree(bound[i:]); err != nil {
				return bound, newBindError(bound[i+at].Publish, err)
			}
		}
	}
	return bound, nil
}

// bindFree binds the first of list and all others that wait for a free port for the same port in
// the container to one number. An error comes with the index of what it is about.
func bindFree(list []Bound) (failed int, err error) {
	port := list[0].Port
	for range freeTries {
		number := uint16(0)
		failed = -1
		var done []int
		for i := range list {
			b := &list[i]
			if b.Port != port || b.FD >= 0 || slices.ContainsFunc(done, func(other int) bool { return list[other].shares(b.Publish) }) {
				continue
			}
			b.HostPort = number
			if err = b.open(); err != nil {
				b.HostPort, failed = 0, i
				break
			}
			number, done = b.HostPort, append(done, i)
		}
		if failed < 0 {
			return 0, nil
		}
		for _, i := range done {
			_ = list[i].Close()
			list[i].FD, list[i].HostPort = -1, 0
		}
		if number == 0 || !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	return failed, err
}

// open makes the socket, and learns its number where the kernel chose it.
func (b *Bound) open() error {
	fd, err := openSocket(b.Publish)
	if err != nil {
		return err
	}
	if b.HostPort == 0 {
		name, err := unix.Getsockname(fd)
		if err != nil {
			_ = unix.Close(fd)
			return os.NewSyscallError("getsockname", err)
		}
		switch name := name.(type) {
		case *unix.SockaddrInet4:
			b.HostPort = uint16(name.Port)
		case *unix.SockaddrInet6:
			b.HostPort = uint16(name.Port)
		}
	}
	b.FD = fd
	return nil
}

// openSocket binds a socket and, for TCP, has it listen. Without an address it is
// an IPv6 socket that takes IPv4 too, which keeps both families at one number and one
// descriptor; where the kernel has no IPv6, one of IPv4 alone.
func openSocket(p Publish) (fd int, err error) {
	family, host := unix.AF_INET6, p.Host
	switch {
	case !host.IsValid():
		host = netip.IPv6Unspecified()
	case host.Is4():
		family = unix.AF_INET
	}
	kind := unix.SOCK_STREAM
	if p.Proto == UDP {
		kind = unix.SOCK_DGRAM
	}
	fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) && !p.Host.IsValid() {
		p.Host = netip.IPv4Unspecified()
		return openSocket(p)
	}
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := p.bind(fd, family, host); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (p Publish) bind(fd, family int, host netip.Addr) error {
	if family == unix.AF_INET6 {
		only := 0
		if p.Host.IsValid() {
			only = 1
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	// Connections of an earlier container that linger in TIME_WAIT do not hold the port. With
	// UDP the option would let two sockets share it, socket(7).
	if p.Proto == TCP {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	var to unix.Sockaddr = &unix.SockaddrInet4{Port: int(p.HostPort), Addr: as4(host)}
	if family == unix.AF_INET6 {
		to6 := &unix.SockaddrInet6{Port: int(p.HostPort), Addr: host.As16()}
		if zone := host.Zone(); zone != "" {
			index, err := interfaceIndex(fd, zone)
			if err != nil {
				return err
			}
			to6.ZoneId = index
		}
		to = to6
	}
	if p.Proto == UDP {
		// Which address a client wrote to, for the replies to come from there. The kernel
		// notes it when a datagram arrives, which it may as soon as the socket is bound.
		level, option := unix.SOL_IP, unix.IP_PKTINFO
		if family == unix.AF_INET6 {
			level, option = unix.SOL_IPV6, unix.IPV6_RECVPKTINFO
		}
		if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Bind(fd, to); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if p.Proto == UDP {
		return nil
	}
	// net.core.somaxconn cuts the length of the queue off.
	return os.NewSyscallError("listen", unix.Listen(fd, 4096))
}

func as4(a netip.Addr) [4]byte {
	if !a.Is4() {
		return [4]byte{}
	}
	return a.As4()
}

func interfaceIndex(fd int, name string) (uint32, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, os.NewSyscallError("name interface", err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0, os.NewSyscallError("ioctl SIOCGIFINDEX", err)
	}
	return request.Uint32(), nil
}
