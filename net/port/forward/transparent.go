package forward

import (
	"errors"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Transparent says for which families servers can be shown the client's address.
//
// A socket may be bound to a foreign address with IP_TRANSPARENT, ip(7), and connects over the
// container's loopback interface. What has to be arranged is that the server's replies come
// back there instead of leaving by the container's network, and marks do it without any
// filter: the socket carries one (SO_MARK), so does each of its packets, the
// server's accepted socket takes it over (tcp_fwmark_accept) with the reset that answers
// where none listens (fwmark_reflect), and a routing rule for the mark leads to a table in which every
// address is local. Nothing that has no mark is routed differently.
//
// UDP has no accepted socket that could carry the mark.
type Transparent struct {
	IPv4, IPv6 bool
}

func (t Transparent) has(a netip.Addr) bool {
	if a.Is4() {
		return t.IPv4
	}
	return t.IPv6
}

const (
	// mark is the packets' mark and the number of their routing table: "rl" and a number
	// that leaves the usual small ones to others.
	mark = 0x726c0001
	// priority of the rule stands behind that of the local table, 0, and before all that
	// a container's own tools make by default.
	priority = 26
)

// SetUpTransparent arranges it in the calling process's net namespace, where it needs
// CAP_NET_ADMIN, and takes the loopback interface up, without which no route over it
// can be made. A family that cannot have it, because the kernel lacks policy routing
// or /proc/sys is read-only, does without; the error says why, and is of no other consequence.
// Doing it again changes nothing.
//
// Each connection afterwards needs CAP_NET_RAW, before Linux 5.17 CAP_NET_ADMIN.
func SetUpTransparent() (t Transparent, err error) {
	if err := loopbackUp(); err != nil {
		return t, err
	}
	accept := writeOne("/proc/sys/net/ipv4/tcp_fwmark_accept") // of both families
	if accept != nil {
		return t, accept
	}
	v4 := setUpFamily(unix.AF_INET, "/proc/sys/net/ipv4/fwmark_reflect")
	v6 := setUpFamily(unix.AF_INET6, "/proc/sys/net/ipv6/fwmark_reflect")
	return Transparent{IPv4: v4 == nil, IPv6: v6 == nil}, errors.Join(v4, v6)
}

func setUpFamily(family uint8, reflect string) error {
	if err := writeOne(reflect); err != nil {
		return err
	}
	return addMarkRoute(family)
}

func writeOne(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString("1")
	return err
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); err != nil {
		return os.NewSyscallError("ioctl SIOCGIFFLAGS", err)
	}
	if lo.Uint16()&unix.IFF_UP != 0 {
		return nil
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	return os.NewSyscallError("ioctl SIOCSIFFLAGS", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
}

// makeTransparent prepares a socket that will be bound to a foreign address.
func makeTransparent(fd int, v4 bool) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, mark); err != nil {
		return os.NewSyscallError("setsockopt SO_MARK", err)
	}
	level, option := unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	if v4 {
		level, option = unix.SOL_IP, unix.IP_TRANSPARENT
	}
	if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
		return os.NewSyscallError("setsockopt IP_TRANSPARENT", err)
	}
	// One client may have a connection to each of several published ports, from one port
	// of its own; and with port 0 the port is chosen by connect, for this server alone.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_REUSEADDR", err)
	}
	return os.NewSyscallError("setsockopt IP_BIND_ADDRESS_NO_PORT",
		unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1))
}

// MayBeTransparent says whether this process may make such sockets.
func MayBeTransparent() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	return makeTransparent(fd, true)
}
