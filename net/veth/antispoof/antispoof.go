package antispoof

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Container is who a container may be on its link.
type Container struct {
	MAC [6]byte
	IP  netip.Addr // IPv4
	IP6 netip.Addr // beside the link-local address of MAC; the zero Addr for none
}

// LinkLocal is the address that the kernel makes of a MAC, RFC 4291 appendix A.
func LinkLocal(mac [6]byte) netip.Addr {
	return netip.AddrFrom16([16]byte{
		0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5],
	})
}

// Offsets in a frame, the Ethernet header included.
const (
	sourceMAC = 6
	etherType = 12
	body      = 14

	arpKinds = body      // hardware, protocol
	arpSizes = body + 4  // of the addresses
	arpMAC   = body + 8  // the sender's
	arpIP    = body + 14 // the sender's
	arpEnd   = body + 28

	ipVersion  = body // and the header's length
	ipFragment = body + 6
	ipProtocol = body + 9
	ipSource   = body + 12
	ipEnd      = body + 20

	ip6Next   = body + 6
	ip6Source = body + 8
	ip6End    = body + 40
)

const (
	word = unix.BPF_W
	half = unix.BPF_H
	char = unix.BPF_B
)

// Protocols of IPv4 and IPv6 that are looked into or have to be named.
const (
	hopByHop = 0
	tcp      = 6
	udp      = 17
	fragment = 44
	esp      = 50
	icmp6    = 58
	sctp     = 132
)

// Program compiles what c may send. The program is of some 130 instructions; the kernel
// takes 4096 (BPF_MAXINSNS). It reports a mistake of the caller by a panic: an IP that
// is not IPv4, an IP6 that is not IPv6.
func Program(c Container) []unix.SockFilter {
	if !c.IP.Is4() || c.IP6.IsValid() && !c.IP6.Is6() {
		panic("BUG: a filter for addresses of another family")
	}
	a := newAssembler()
	arp, ip4, ip6 := a.label(), a.label(), a.label()

	// The kernel has taken a VLAN tag out of the frame before it comes here.
	const vlanTagPresent = 0xffff_f000 + 48 // SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT
	a.load(word, vlanTagPresent)
	a.equal(0, next, drop)

	a.need(body)
	a.mac(sourceMAC, c.MAC)
	a.load(half, etherType)
	a.equal(unix.ETH_P_IP, ip4, next)
	a.equal(unix.ETH_P_ARP, arp, next)
	a.equal(unix.ETH_P_IPV6, ip6, drop)

	a.here(arp)
	a.arp(c)
	a.here(ip4)
	a.ip4(c)
	a.here(ip6)
	a.ip6(c)
	return a.program()
}

// mac drops what has another MAC at offset.
func (a *assembler) mac(offset uint32, mac [6]byte) {
	a.load(word, offset)
	a.equal(binary.BigEndian.Uint32(mac[:4]), next, drop)
	a.load(half, offset+4)
	a.equal(uint32(binary.BigEndian.Uint16(mac[4:])), next, drop)
}

// arp lets requests and replies pass whose sender is the container. A probe of RFC 5227
// (sender 0.0.0.0) is none: the address is the container's, there is nothing to probe.
func (a *assembler) arp(c Container) {
	ip := c.IP.As4()
	reply := a.label()
	a.need(arpEnd)
	a.load(word, arpKinds)
	a.equal(1<<16|unix.ETH_P_IP, next, drop) // Ethernet, IPv4
	a.load(word, arpSizes)
	a.equal(0x0604_0001, reply, next) // sizes 6 and 4, request
	a.equal(0x0604_0002, reply, drop) // … reply
	a.here(reply)
	a.mac(arpMAC, c.MAC)
	a.load(word, arpIP)
	a.equal(binary.BigEndian.Uint32(ip[:]), pass, drop)
}

// ip4 lets the container's own address pass, but no DHCP, neither as server nor as
// client: who has its address from elsewhere would only use up those of a network.
func (a *assembler) ip4(c Container) {
	ip := c.IP.As4()
	isUDP := a.label()
	a.need(ipEnd)
	a.load(word, ipSource)
	a.equal(binary.BigEndian.Uint32(ip[:]), next, drop)
	a.load(char, ipProtocol)
	a.equal(udp, isUDP, pass)

	a.here(isUDP)
	// Only the first fragment has ports, and without it nothing is put together.
	a.load(half, ipFragment)
	a.mask(0x1fff)
	a.equal(0, next, pass)
	// Options would move the ports; nothing of use sends UDP with them.
	a.load(char, ipVersion)
	a.equal(0x45, next, drop)
	a.ports(ipEnd, 67)
}

// ports lets UDP pass that has the port neither as source nor as destination.
func (a *assembler) ports(offset uint32, port uint32) {
	a.need(offset + 8)
	a.load(half, offset)
	a.equal(port, drop, next)
	a.load(half, offset+2)
	a.equal(port, drop, pass)
}

// ip6 lets the container's own addresses pass, and the unspecified one where a host that
// comes up uses it; of extension headers the ones that end hosts send.
func (a *assembler) ip6(c Container) {
	own := []netip.Addr{LinkLocal(c.MAC)}
	if c.IP6.IsValid() {
		own = append(own, c.IP6)
	}
	mine, first := a.label(), a.label()
	a.need(ip6End)
	a.among(ip6Source, own, mine)

	// Duplicate address detection, RFC 4862, and reports of multicast groups, RFC 3810.
	a.address(ip6Source, netip.IPv6Unspecified(), drop)
	reports := a.label()
	a.load(char, ip6Next)
	a.equal(hopByHop, reports, next)
	a.equal(icmp6, next, drop)
	a.need(ip6End + 1)
	a.load(char, ip6End)
	a.equal(135, pass, drop) // neighbour solicitation

	a.here(mine)
	a.load(char, ip6Next)
	a.equal(hopByHop, reports, next)
	a.equal(fragment, next, first)
	// A later fragment is of no use without the first one, whose header is as good as
	// one that is not fragmented. Neighbour discovery in fragments is ignored, RFC 6980.
	a.need(ip6End + 8)
	a.load(half, ip6End+2)
	a.mask(0xfff8)
	a.equal(0, next, pass)
	a.load(char, ip6End)
	a.transport(ip6End+8, own)

	a.here(first)
	a.load(char, ip6Next)
	a.transport(ip6End, own)

	a.here(reports)
	a.need(ip6End + 9)
	a.load(half, ip6End)
	a.equal(icmp6<<8, next, drop) // ICMPv6 behind options of 8 bytes
	a.load(char, ip6End+8)
	a.equal(131, pass, next)
	a.equal(132, pass, next)
	a.equal(143, pass, drop)
}

// transport looks at what follows the headers, whose protocol has been loaded.
func (a *assembler) transport(offset uint32, own []netip.Addr) {
	isICMP, isUDP, advertised := a.label(), a.label(), a.label()
	a.equal(icmp6, isICMP, next)
	a.equal(udp, isUDP, next)
	a.equal(tcp, pass, next)
	a.equal(sctp, pass, next)
	a.equal(esp, pass, drop)

	a.here(isUDP)
	a.ports(offset, 547) // DHCPv6, RFC 8415

	a.here(isICMP)
	a.need(offset + 1)
	a.load(char, offset)
	a.equal(134, drop, next) // router advertisement
	a.equal(137, drop, next) // redirect
	a.equal(138, drop, next) // router renumbering
	a.equal(130, drop, next) // multicast listener query, a router's
	a.equal(136, next, pass) // neighbour advertisement: of own addresses only
	a.need(offset + 24)
	a.among(offset+8, own, advertised)
	a.jump(drop)
	a.here(advertised)
	a.jump(pass)
}

// among jumps where one of the addresses is at offset, and goes on otherwise.
func (a *assembler) among(offset uint32, addrs []netip.Addr, found label) {
	for _, addr := range addrs {
		other := a.label()
		a.address(offset, addr, other)
		a.jump(found)
		a.here(other)
	}
}

// address goes on where the address is at offset, else jumps.
func (a *assembler) address(offset uint32, addr netip.Addr, other label) {
	b := addr.As16()
	for i := uint32(0); i < 16; i += 4 {
		a.load(word, offset+i)
		a.equal(binary.BigEndian.Uint32(b[i:]), next, other)
	}
}
