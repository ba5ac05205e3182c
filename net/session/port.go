package session

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

// Port is a place on a network's bridge: all of it follows from the network and
// a number, so nothing has to be remembered of it.
type Port struct {
	// Number is the offset of the IPv4 address in the subnet, from 2.
	Number int
	// Name is that of the veth's outer end, in the session's net namespace.
	Name string
	// MAC is the hardware address of the inner end; the session's filters take
	// packets from no other, and from no other addresses than those below.
	MAC [6]byte
	// Address and Address6 carry the length of their subnet; the latter is the
	// zero value where the network has none.
	Address  netip.Prefix
	Address6 netip.Prefix
	// Gateway and Gateway6 are the default routes, zero values where there is
	// none, as on an internal network.
	Gateway  netip.Addr
	Gateway6 netip.Addr
	// DNS is the network's name server.
	DNS netip.Addr
	MTU int
}

// firstPort is the lowest number of a port: 0 is the subnet's own address, 1 the
// bridge's.
const firstPort = 2

// Ports is how many containers the network has room for.
func (n Network) Ports() int { return 1<<(32-n.Subnet.Bits()) - 1 - firstPort }

// Port is the port with a number, which must be from 2 to Ports()+1.
func (n Network) Port(number int) Port {
	p := Port{
		Number:  number,
		Name:    PortName(n.Index, number),
		MAC:     hardware(n.Index, number),
		Address: netip.PrefixFrom(offset4(n.Subnet.Addr(), number), n.Subnet.Bits()),
		DNS:     n.Gateway(),
		MTU:     n.MTU,
	}
	if n.Subnet6.IsValid() {
		p.Address6 = netip.PrefixFrom(offset6(n.Subnet6.Addr(), number), n.Subnet6.Bits())
	}
	if !n.Internal {
		p.Gateway, p.Gateway6 = n.Gateway(), n.Gateway6()
	}
	return p
}

// First and Last are the ports at both ends.
func (n Network) First() Port { return n.Port(firstPort) }

// Last is the port with the highest number.
func (n Network) Last() Port { return n.Port(firstPort + n.Ports() - 1) }

// At is the port whose IPv4 address is a; ok is false where a is no port's.
func (n Network) At(a netip.Addr) (p Port, ok bool) {
	if !n.Subnet.Contains(a) {
		return Port{}, false
	}
	base, own := n.Subnet.Addr().As4(), a.As4()
	number := int(binary.BigEndian.Uint32(own[:]) - binary.BigEndian.Uint32(base[:]))
	if number < firstPort || number > n.Last().Number {
		return Port{}, false
	}
	return n.Port(number), true
}

// BridgeMAC is the hardware address of the network's bridge. It is fixed: a
// bridge without one takes the lowest of its ports, and all neighbours that know
// the old one lose their gateway.
func (n Network) BridgeMAC() [6]byte { return hardware(n.Index, 1) }

// hardware is a locally administered unicast address.
func hardware(index, number int) [6]byte {
	return [6]byte{0x02, 'r', 'l', byte(index), byte(number >> 8), byte(number)}
}

// LinkLocal is the address that the kernel makes of MAC (RFC 4291, appendix A).
func (p Port) LinkLocal() netip.Addr {
	a := [16]byte{0: 0xfe, 1: 0x80, 8: p.MAC[0] ^ 2, 9: p.MAC[1], 10: p.MAC[2], 11: 0xff, 12: 0xfe, 13: p.MAC[3], 14: p.MAC[4], 15: p.MAC[5]}
	return netip.AddrFrom16(a)
}

// PortName is the name of a port's link: 11 letters at most, of 15 that a name
// may have.
func PortName(index, number int) string {
	return "rl" + strconv.Itoa(index) + "p" + strconv.Itoa(number)
}

// ParsePortName is the reverse of PortName.
func ParsePortName(name string) (index, number int, ok bool) {
	rest, ok := strings.CutPrefix(name, "rl")
	if !ok {
		return 0, 0, false
	}
	i, p, ok := strings.Cut(rest, "p")
	if !ok {
		return 0, 0, false
	}
	index, err1 := strconv.Atoi(i)
	number, err2 := strconv.Atoi(p)
	if err1 != nil || err2 != nil || index < 0 || number < 0 || index > MaxNetworks || number > 0xffff || PortName(index, number) != name {
		return 0, 0, false
	}
	return index, number, true
}

func offset4(a netip.Addr, n int) netip.Addr {
	b := a.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(n))
	return netip.AddrFrom4(b)
}

func offset6(a netip.Addr, n int) netip.Addr {
	b := a.As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])+uint64(n))
	return netip.AddrFrom16(b)
}
