package veth

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/usernet"
	"github.com/rl-run/rl-run/net/veth/antispoof"
)

var everyone = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// frame is an Ethernet frame in parts, whatever is in it.
func frame(mac [6]byte, kind uint16, parts ...any) []byte {
	b := append(everyone[:], mac[:]...)
	b = binary.BigEndian.AppendUint16(b, kind)
	return join(b, parts...)
}

// join appends bytes, strings, MACs, addresses and big-endian numbers.
func join(b []byte, parts ...any) []byte {
	for _, part := range parts {
		switch p := part.(type) {
		case []byte:
			b = append(b, p...)
		case string:
			b = append(b, p...)
		case [6]byte:
			b = append(b, p[:]...)
		case netip.Addr:
			b = append(b, p.AsSlice()...)
		case int: // one byte
			b = append(b, byte(p))
		case uint16:
			b = binary.BigEndian.AppendUint16(b, p)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, p)
		default:
			panic("BUG: a part of no known kind")
		}
	}
	return b
}

func arp(mac [6]byte, ip netip.Addr, operation uint16) []byte {
	return join(nil, uint16(1), uint16(0x0800), 6, 4, operation, mac, ip, everyone, netip.AddrFrom4([4]byte{10, 47, 0, 1}))
}

// ip4 is an IPv4 packet with 4-byte words of options. Its checksum is right: a bridge may
// look at it (br_netfilter) and drop what the filter should have.
func ip4(src netip.Addr, protocol int, fragment uint16, options, payload []byte) []byte {
	b := join(nil, 0x45+len(options)/4, 0, uint16(20+len(options)+len(payload)), uint16(7), fragment, 64, protocol,
		uint16(0), src, netip.AddrFrom4([4]byte{255, 255, 255, 255}), options, payload)
	sum := uint32(0)
	for i := 0; i < 20+len(options); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
	return b
}

func ip6(src netip.Addr, next int, payload []byte) []byte {
	return join(nil, uint32(6<<28), uint16(len(payload)), next, 255, src, netip.MustParseAddr("ff02::1"), payload)
}

func udp(from, to uint16) []byte { return join(nil, from, to, uint16(20), uint16(0), "............") }

// A container that holds CAP_NET_RAW sends what it likes. What is not its own does not
// come out of the bridge's other port, on which all broadcasts do.
func TestSpoofing(t *testing.T) {
	host(t, thePolicy)
	bridge(t)
	c := newContainer(t, alice, 1)
	a, err := call(t, alice, c.net, "bridge=br0", "ip=10.47.0.7/24")
	if err != nil {
		t.Fatal(err)
	}
	c.configure(a)

	mac, ip, own6, local := a.MAC, a.IP.Addr(), a.IP6.Addr(), antispoof.LinkLocal(a.MAC)
	other := mac
	other[5]++
	ip2, ip62, local2 := ip.Next(), own6.Next(), antispoof.LinkLocal(other)
	none4, none6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	const eth4, eth6, ethARP = 0x0800, 0x86dd, 0x0806
	icmp := join(nil, 8, 0, uint16(0), "echo")
	advert := func(target netip.Addr) []byte { return join(nil, 136, 0, uint16(0), uint32(0x20000000), target) }
	icmp6 := func(kind int) []byte { return join(nil, kind, 0, uint16(0), uint32(0), none6, none6) }
	hop := func(next int, rest []byte) []byte { return join(nil, next, 0, 5, 2, 0, 0, 1, 0, rest) }
	part := func(next int, offset uint16, rest []byte) []byte {
		return join(nil, next, 0, offset, uint32(99), rest)
	}

	type packet struct {
		name  string
		frame []byte
	}
	good := []packet{
		{"ARP request", frame(mac, ethARP, arp(mac, ip, 1))},
		{"ARP reply", frame(mac, ethARP, arp(mac, ip, 2))},
		{"ICMP", frame(mac, eth4, ip4(ip, 1, 0, nil, icmp))},
		{"ICMP with options", frame(mac, eth4, ip4(ip, 1, 0, []byte{1, 1, 1, 1}, icmp))},
		{"UDP", frame(mac, eth4, ip4(ip, 17, 0, nil, udp(1234, 53)))},
		{"UDP, later fragment", frame(mac, eth4, ip4(ip, 17, 1, nil, udp(67, 67)))},
		{"TCP", frame(mac, eth4, ip4(ip, 6, 0, nil, udp(1, 2)))},
		{"IPv6 UDP", frame(mac, eth6, ip6(own6, 17, udp(1, 53)))},
		{"IPv6 UDP from link-local", frame(mac, eth6, ip6(local, 17, udp(1, 53)))},
		{"IPv6 TCP", frame(mac, eth6, ip6(own6, 6, udp(1, 2)))},
		{"IPv6 echo", frame(mac, eth6, ip6(own6, 58, icmp6(128)))},
		{"IPv6 first fragment", frame(mac, eth6, ip6(own6, 44, part(58, 1, icmp6(128))))},
		{"IPv6 later fragment", frame(mac, eth6, ip6(own6, 44, part(58, 9, icmp6(134))))},
		{"solicitation", frame(mac, eth6, ip6(local, 58, icmp6(135)))},
		{"solicitation for its own address", frame(mac, eth6, ip6(none6, 58, icmp6(135)))},
		{"advertisement", frame(mac, eth6, ip6(own6, 58, advert(own6)))},
		{"advertisement of link-local", frame(mac, eth6, ip6(local, 58, advert(local)))},
		{"group report", frame(mac, eth6, ip6(local, 0, hop(58, icmp6(143))))},
		{"group report without address", frame(mac, eth6, ip6(none6, 0, hop(58, icmp6(143))))},
	}
	bad := []packet{
		{"MAC", frame(other, eth4, ip4(ip, 1, 0, nil, icmp))},
		{"MAC of ARP frame", frame(other, ethARP, arp(mac, ip, 1))},
		{"MAC in ARP", frame(mac, ethARP, arp(other, ip, 2))},
		{"IP in ARP", frame(mac, ethARP, arp(mac, ip2, 2))},
		{"gateway's IP in ARP", frame(mac, ethARP, arp(mac, a.Gateway, 1))},
		{"no IP in ARP", frame(mac, ethARP, arp(mac, none4, 1))},
		{"reverse ARP", frame(mac, ethARP, arp(mac, ip, 3))},
		{"RARP", frame(mac, 0x8035, arp(mac, ip, 3))},
		{"short ARP", frame(mac, ethARP, arp(mac, ip2, 2)[:20])},
		{"IP", frame(mac, eth4, ip4(ip2, 1, 0, nil, icmp))},
		{"no IP", frame(mac, eth4, ip4(none4, 17, 0, nil, udp(68, 67)))},
		{"short IP", frame(mac, eth4, ip4(ip2, 1, 0, nil, icmp)[:14])},
		{"no body", frame(mac, eth4)},
		{"DHCP server", frame(mac, eth4, ip4(ip, 17, 0, nil, udp(67, 68)))},
		{"DHCP server, first fragment", frame(mac, eth4, ip4(ip, 17, 0x2000, nil, udp(67, 68)))},
		{"DHCP client", frame(mac, eth4, ip4(ip, 17, 0, nil, udp(68, 67)))},
		{"DHCP behind options", frame(mac, eth4, ip4(ip, 17, 0, []byte{1, 1, 1, 1}, udp(67, 68)))},
		{"short UDP", frame(mac, eth4, ip4(ip, 17, 0, nil, udp(67, 68)[:3]))},
		{"VLAN tag", frame(mac, 0x8100, uint16(5), uint16(eth4), ip4(ip, 1, 0, nil, join(icmp, "tagged")))},
		{"two VLAN tags", frame(mac, 0x88a8, uint16(5), uint16(0x8100), uint16(6), uint16(eth4), ip4(ip2, 1, 0, nil, icmp))},
		{"priority tag", frame(mac, 0x8100, uint16(0), uint16(eth4), ip4(ip2, 1, 0, nil, icmp))},
		{"spanning tree", frame(mac, 0x0026, "\x42\x42\x03", make([]byte, 40))},
		{"LLDP", frame(mac, 0x88cc, make([]byte, 40))},
		{"PPPoE", frame(mac, 0x8863, make([]byte, 40))},
		{"IPv6", frame(mac, eth6, ip6(ip62, 17, udp(1, 53)))},
		{"IPv6 link-local", frame(mac, eth6, ip6(local2, 58, icmp6(135)))},
		{"IPv6 gateway", frame(mac, eth6, ip6(a.Gateway6, 58, icmp6(128)))},
		{"IPv6 of none", frame(mac, eth6, ip6(none6, 17, udp(1, 53)))},
		{"short IPv6", frame(mac, eth6, ip6(ip62, 17, nil)[:20])},
		{"router advertisement", frame(mac, eth6, ip6(local, 58, icmp6(134)))},
		{"router advertisement from own", frame(mac, eth6, ip6(own6, 58, icmp6(134)))},
		{"router advertisement of none", frame(mac, eth6, ip6(none6, 58, icmp6(134)))},
		{"router advertisement behind options", frame(mac, eth6, ip6(local, 0, hop(58, icmp6(134))))},
		{"router advertisement behind destination options", frame(mac, eth6, ip6(local, 60, hop(58, icmp6(134))))},
		{"router advertisement behind routing", frame(mac, eth6, ip6(local, 43, hop(58, icmp6(134))))},
		{"router advertisement in a fragment", frame(mac, eth6, ip6(local, 44, part(58, 1, icmp6(134))))},
		{"router advertisement in a fragment behind options", frame(mac, eth6, ip6(local, 44, part(60, 1, hop(58, icmp6(134)))))},
		{"router advertisement behind AH", frame(mac, eth6, ip6(local, 51, join(nil, 58, 4, make([]byte, 22), icmp6(134))))},
		{"redirect", frame(mac, eth6, ip6(local, 58, icmp6(137)))},
		{"listener query", frame(mac, eth6, ip6(local, 0, hop(58, icmp6(130))))},
		{"advertisement of another", frame(mac, eth6, ip6(own6, 58, advert(ip62)))},
		{"advertisement of the gateway", frame(mac, eth6, ip6(local, 58, advert(a.Gateway6)))},
		{"short advertisement", frame(mac, eth6, ip6(local, 58, advert(a.Gateway6)[:8]))},
		{"ICMPv6 without a type", frame(mac, eth6, ip6(local, 58, nil))},
		{"DHCPv6 server", frame(mac, eth6, ip6(local, 17, udp(547, 546)))},
		{"DHCPv6 client", frame(mac, eth6, ip6(local, 17, udp(546, 547)))},
	}

	lan := packetSocket(t, "lan1")
	defer unix.Close(lan)
	var inside int
	c.enter(func() { inside = packetSocket(t, usernet.Inner) })
	defer unix.Close(inside)
	for _, p := range append(bad, good...) {
		if err := unix.Send(inside, p.frame, 0); err != nil {
			t.Errorf("send %s: %v", p.name, err)
		}
	}
	sentinel := frame(mac, eth4, ip4(ip, 253, 0, nil, []byte("the last one")))
	if err := unix.Send(inside, sentinel, 0); err != nil {
		t.Fatal(err)
	}

	// The socket sees what comes in at lan1, and that is what went out of the bridge.
	arrived := map[string]bool{}
	for !arrived[string(sentinel)] {
		buf := make([]byte, 2048)
		n, err := unix.Read(lan, buf)
		if err != nil {
			t.Fatalf("of %d frames the last one has not come: %v", len(arrived), err)
		}
		arrived[string(buf[:n])] = true
	}
	came := func(want []byte) bool {
		if arrived[string(want)] {
			return true
		}
		// The kernel takes tags out of the frame on its way.
		for _, tags := range []int{4, 8} {
			if len(want) > 12+tags && arrived[string(want[:12])+string(want[12+tags:])] {
				return true
			}
		}
		return false
	}
	for _, p := range good {
		if !came(p.frame) {
			t.Errorf("%s was dropped", p.name)
		}
	}
	for _, p := range bad {
		if came(p.frame) {
			t.Errorf("%s came through", p.name)
		}
	}
}

// packetSocket is a packet(7) socket on an interface of the thread's net namespace.
func packetSocket(t *testing.T, name string) int {
	t.Helper()
	const all = 3 << 8 // ETH_P_ALL in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index}); err != nil {
		t.Fatal(err)
	}
	wait := unix.NsecToTimeval(int64(5 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		t.Fatal(err)
	}
	return fd
}
