package usermode

import (
	"errors"
	"io/fs"
	"net/netip"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is what [Choose] needs to know of the machine.
type Host struct {
	Tun Tun
	// Pasta and Slirp4netns are absolute paths, or empty.
	Pasta, Slirp4netns string
	// PastaIsNew says that pasta is of August 2024 or later.
	PastaIsNew bool
	// SlirpIsOld says that slirp4netns is of before 0.4.0, and lacks what it is started with.
	SlirpIsOld bool
	// PastaStays says that pasta has no --no-netns-quit and needs none; SlirpHasNames that slirp4netns cannot leave out its
	// forwarder of names, which no container is told of then.
	PastaStays, SlirpHasNames bool
	// Outward4 and Outward6 are the addresses from which the host reaches what lies behind its default route. Not valid
	// without such a route.
	Outward4, Outward6 netip.Addr
	// Routes are the destinations of the host's IPv4 routes, without the default route.
	Routes []netip.Prefix
	// Resolver is what /etc/resolv.conf says.
	Resolver Resolver
}

// Tun says whether /dev/net/tun, which every driver opens, can be opened.
type Tun int

// The states of /dev/net/tun.
const (
	TunUsable    Tun = iota
	TunMissing       // there is no such file
	TunForbidden     // the caller may not open it
	TunNoModule      // the file is there, the kernel's part is not
)

// The files that Probe reads.
const (
	tunPath    = "/dev/net/tun"
	resolvPath = "/etc/resolv.conf"
	routesPath = "/proc/net/route"
)

// Probe looks at this machine, in some 0.2 ms, for a Request of that kind. path is a list of directories as in the variable
// PATH, where the drivers are sought. It starts no program but a driver that is a script, to ask for its options, and sends
// nothing. What cannot be read counts as not there.
func Probe(path string, kind Kind) Host {
	h := Host{Tun: probeTun(tunPath)}
	if kind != Slirp4netns {
		if h.Pasta = find(path, "pasta"); h.Pasta != "" {
			h.lookAtPasta()
		}
	}
	if kind != Pasta {
		if h.Slirp4netns = find(path, "slirp4netns"); h.Slirp4netns != "" {
			h.lookAtSlirp()
		}
	}
	h.Routes, h.Outward4 = outward()
	h.Outward6 = source(&unix.SockaddrInet6{Port: 9, Addr: beyond6})
	h.Resolver = parseResolver(readSmall(resolvPath))
	return h
}

// Outward is Outward4 of Host, found out in some 20 µs.
func Outward() netip.Addr {
	_, from := outward()
	return from
}

func outward() (routes []netip.Prefix, from netip.Addr) {
	routes, byDefault := parseRoutes(readSmall(routesPath))
	if byDefault {
		from = source(&unix.SockaddrInet4{Port: 9, Addr: Beyond4})
	}
	return routes, from
}

// probeTun opens the device, which makes the kernel load its module where it can.
func probeTun(path string) Tun {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	switch {
	case err == nil:
		_ = unix.Close(fd)
		return TunUsable
	case errors.Is(err, fs.ErrPermission):
		return TunForbidden
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return TunNoModule
	}
	return TunMissing
}

// find returns the absolute path of an executable file, or nothing. Relative entries of path are left out: what lies
// in the working directory is nobody's choice.
func find(path, name string) string {
	for dir := range strings.SplitSeq(path, ":") {
		if !filepath.IsAbs(dir) {
			continue
		}
		file := filepath.Join(dir, name)
		var st unix.Stat_t
		if unix.Stat(file, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && unix.Access(file, unix.X_OK) == nil {
			return file
		}
	}
	return ""
}

// Addresses that no more special route leads to than the default one: the first of class E, and one that is not assigned
// of the part of IPv6 that is.
var (
	Beyond4 = [4]byte{240, 0, 0, 1}
	beyond6 = [16]byte{0x20, 0x00, 15: 1}
)

// source returns the address that the kernel would send from. To connect a datagram socket only looks up a route.
func source(to unix.Sockaddr) netip.Addr {
	family := unix.AF_INET
	if _, ok := to.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.Addr{}
	}
	defer unix.Close(fd)
	if unix.Connect(fd, to) != nil {
		return netip.Addr{}
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return netip.Addr{}
	}
	var addr netip.Addr
	switch own := own.(type) {
	case *unix.SockaddrInet4:
		addr = netip.AddrFrom4(own.Addr)
	case *unix.SockaddrInet6:
		addr = netip.AddrFrom16(own.Addr)
	}
	if !addr.IsGlobalUnicast() {
		return netip.Addr{}
	}
	return addr
}

// maxSmall is as much of a file as is looked at, in bytes: some 500 routes.
const maxSmall = 64 << 10

// readSmall returns the beginning of a file, or nothing. It does not wait for a fifo's other side.
func readSmall(path string) []byte {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	buf := make([]byte, 0, 4096)
	for len(buf) < maxSmall {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, cap(buf))...)[:len(buf)]
		}
		n, err := unix.Read(fd, buf[len(buf):min(cap(buf), maxSmall)])
		if n <= 0 || err != nil {
			break
		}
		buf = buf[:len(buf)+n]
	}
	return buf
}
