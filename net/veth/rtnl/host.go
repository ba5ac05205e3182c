package rtnl

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Link is a network interface, as far as this project looks at it.
type Link struct {
	Index  int
	Name   string
	Kind   string // "veth", "bridge", …; "" for hardware and lo
	Alias  string // IFALIAS
	MAC    [6]byte
	MTU    int
	Master int // the index of its bridge, 0 without one
	Peer   int // IFLA_LINK: for a veth the index of the other end, in that one's namespace
	Up     bool
}

// Addr is an address of an interface.
type Addr struct {
	Link  int
	Local netip.Prefix
	Peer  netip.Addr // the other end's where the interface is point-to-point, else Local's
}

// Route is a route to a unicast destination, of any table but the one of local addresses.
type Route struct {
	Dst  netip.Prefix // 0 bits for a default route
	Link int          // 0 where the route has several, or none
}

// Links lists the interfaces.
func (s *Socket) Links() ([]Link, error) {
	entries, err := s.dump(func() *Message {
		m := New(unix.RTM_GETLINK, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfInfomsg))
		const skipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS, Linux 4.5
		m.Uint32(unix.IFLA_EXT_MASK, skipStats)
		return m
	})
	if err != nil {
		return nil, err
	}
	links := make([]Link, 0, len(entries))
	for _, b := range entries {
		if l, ok := parseLink(b); ok {
			links = append(links, l)
		}
	}
	return links, nil
}

// Named returns the interface of a name; without one it is ENODEV.
func (s *Socket) Named(name string) (Link, error) {
	m := New(unix.RTM_GETLINK, 0, make([]byte, unix.SizeofIfInfomsg))
	m.String(unix.IFLA_IFNAME, name)
	entries, _, err := s.exchange(m.acknowledged())
	if err != nil {
		return Link{}, os.NewSyscallError("look up link", err)
	}
	for _, b := range entries {
		if l, ok := parseLink(b); ok && l.Name == name {
			return l, nil
		}
	}
	return Link{}, os.NewSyscallError("look up link", unix.ENODEV)
}

func parseLink(b []byte) (l Link, ok bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return l, false
	}
	l.Index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	l.Up = binary.NativeEndian.Uint32(b[8:])&unix.IFF_UP != 0
	attributes(b[unix.SizeofIfInfomsg:], func(kind uint16, data []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = text(data)
		case unix.IFLA_IFALIAS:
			l.Alias = text(data)
		case unix.IFLA_ADDRESS:
			if len(data) == len(l.MAC) {
				copy(l.MAC[:], data)
			}
		case unix.IFLA_MTU:
			l.MTU = number(data)
		case unix.IFLA_MASTER:
			l.Master = number(data)
		case unix.IFLA_LINK:
			l.Peer = number(data)
		case unix.IFLA_LINKINFO:
			attributes(data, func(kind uint16, data []byte) {
				if kind == unix.IFLA_INFO_KIND {
					l.Kind = text(data)
				}
			})
		}
	})
	return l, true
}

// Addrs lists the addresses of all interfaces, of both families.
func (s *Socket) Addrs() ([]Addr, error) {
	entries, err := s.dump(func() *Message {
		return New(unix.RTM_GETADDR, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfAddrmsg))
	})
	if err != nil {
		return nil, err
	}
	addrs := make([]Addr, 0, len(entries))
	for _, b := range entries {
		if a, ok := parseAddr(b); ok {
			addrs = append(addrs, a)
		}
	}
	return addrs, nil
}

func parseAddr(b []byte) (a Addr, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return a, false
	}
	a.Link = int(binary.NativeEndian.Uint32(b[4:]))
	var local netip.Addr
	attributes(b[unix.SizeofIfAddrmsg:], func(kind uint16, data []byte) {
		switch kind {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(data)
		case unix.IFA_ADDRESS:
			a.Peer, _ = netip.AddrFromSlice(data)
		}
	})
	// IPv6 gives IFA_LOCAL only where there is a peer.
	if !local.IsValid() {
		local = a.Peer
	}
	if !a.Peer.IsValid() {
		a.Peer = local
	}
	a.Local = netip.PrefixFrom(local, int(b[1]))
	return a, a.Local.IsValid()
}

// Routes lists the unicast routes of both families, of all tables.
func (s *Socket) Routes() ([]Route, error) {
	var routes []Route
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		entries, err := s.dump(func() *Message {
			header := make([]byte, unix.SizeofRtMsg)
			header[0] = family
			return New(unix.RTM_GETROUTE, unix.NLM_F_DUMP, header)
		})
		if err != nil {
			return nil, err
		}
		for _, b := range entries {
			if r, ok := parseRoute(b); ok {
				routes = append(routes, r)
			}
		}
	}
	return routes, nil
}

func parseRoute(b []byte) (r Route, ok bool) {
	if len(b) < unix.SizeofRtMsg {
		return r, false
	}
	family, bits, table, kind := b[0], int(b[1]), b[4], b[7]
	flags := binary.NativeEndian.Uint32(b[8:])
	if kind != unix.RTN_UNICAST || table == unix.RT_TABLE_LOCAL || flags&unix.RTM_F_CLONED != 0 {
		return r, false
	}
	dst := netip.IPv4Unspecified()
	if family == unix.AF_INET6 {
		dst = netip.IPv6Unspecified()
	}
	attributes(b[unix.SizeofRtMsg:], func(kind uint16, data []byte) {
		switch kind {
		case unix.RTA_DST:
			dst, _ = netip.AddrFromSlice(data)
		case unix.RTA_OIF:
			r.Link = number(data)
		}
	})
	r.Dst = netip.PrefixFrom(dst, bits)
	return r, r.Dst.IsValid()
}

func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

func number(b []byte) int {
	if len(b) != 4 {
		return 0
	}
	return int(int32(binary.NativeEndian.Uint32(b)))
}
