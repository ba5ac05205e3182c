package session

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/session"
)

// packetSocket takes and sends whole frames of eth0.
func packetSocket() (fd int, to *unix.SockaddrLinklayer, err error) {
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		return -1, nil, err
	}
	all := int(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL)))
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
	if err != nil {
		return -1, nil, err
	}
	to = &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: eth0.Index}
	return fd, to, unix.Bind(fd, to)
}

// sendFrames sends frames that are given as hexadecimal digits.
func sendFrames(args []string) error {
	fd, to, err := packetSocket()
	if err != nil {
		return err
	}
	for _, arg := range args {
		frame, err := hex.DecodeString(arg)
		if err != nil {
			return err
		}
		if err := unix.Sendto(fd, frame, 0, to); err != nil {
			return err
		}
	}
	return nil
}

// catchFrames prints the marks of the frames that arrive, until the mark "last" does.
func catchFrames([]string) error {
	fd, _, err := packetSocket()
	if err != nil {
		return err
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return err
	}
	fmt.Println("ready")
	buffer := make([]byte, 65536)
	for {
		n, err := unix.Read(fd, buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		_, rest, marked := bytes.Cut(buffer[:n], []byte("<mark "))
		if mark, _, ok := bytes.Cut(rest, []byte(">")); ok && marked {
			fmt.Printf("%s\n", mark)
			if string(mark) == "last" {
				return nil
			}
		}
	}
}

// A frame is made from the inside out.
func ether(to, from [6]byte, kind uint16, body []byte) []byte {
	return slices.Concat(to[:], from[:], binary.BigEndian.AppendUint16(nil, kind), body)
}

func arp(operation byte, hardware [6]byte, from, to netip.Addr, mark string) []byte {
	return slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, operation}, hardware[:], from.AsSlice(), make([]byte, 6), to.AsSlice(), []byte(mark))
}

func ip4(from, to netip.Addr, body []byte) []byte { return ip4Of(unix.IPPROTO_UDP, from, to, body) }

func ip4Of(next byte, from, to netip.Addr, body []byte) []byte {
	h := slices.Concat([]byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, next, 0, 0}, from.AsSlice(), to.AsSlice())
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(body)))
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return append(h, body...)
}

func ip6(next byte, from, to netip.Addr, body []byte) []byte {
	return slices.Concat([]byte{0x60, 0, 0, 0, byte(len(body) >> 8), byte(len(body)), next, 255}, from.AsSlice(), to.AsSlice(), body)
}

func udp(from, to uint16, mark string) []byte {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from), to)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(mark)))
	return append(append(b, 0, 0), mark...)
}

// tcp is an answer: it begins nothing.
func tcp(from, to uint16, mark string) []byte {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from), to)
	return append(append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0), mark...)
}

func icmp6(kind byte, target netip.Addr, mark string) []byte {
	return slices.Concat([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice(), []byte(mark))
}

func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// A node that sends whatever it likes reaches its neighbour with what is its own
// alone.
func TestForgedFrames(t *testing.T) {
	begin(t)
	rlnet(t, "create", "a").OK(t)
	bad, good := join(t, "a", "bad"), join(t, "a", "good")
	s, err := session.Open(dir(t))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	n, _ := s.Network("a")
	other := n.Port(200) // of nobody
	for number := 201; other == bad.port || other == good.port; number++ {
		other = n.Port(number)
	}

	all := [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	to, own := good.port.MAC, bad.port.MAC
	a4, b4, o4 := bad.port.Address.Addr(), good.port.Address.Addr(), other.Address.Addr()
	a6, b6, o6 := bad.port.Address6.Addr(), good.port.Address6.Addr(), other.Address6.Addr()
	zero := netip.IPv6Unspecified()
	tcp4 := func(from, to netip.Addr, m string) []byte { return ip4Of(unix.IPPROTO_TCP, from, to, tcp(9, 9, m)) }
	tcp6 := func(from, to netip.Addr, m string) []byte { return ip6(unix.IPPROTO_TCP, from, to, tcp(9, 9, m)) }
	tests := []struct {
		name   string
		passes bool
		frame  func(mark string) []byte
	}{
		{"ip4", true, func(m string) []byte { return ether(to, own, unix.ETH_P_IP, ip4(a4, b4, udp(9, 9, m))) }},
		{"ip6", true, func(m string) []byte {
			return ether(to, own, unix.ETH_P_IPV6, ip6(unix.IPPROTO_UDP, a6, b6, udp(9, 9, m)))
		}},
		{"ip6-link-local", true, func(m string) []byte {
			return ether(to, own, unix.ETH_P_IPV6, ip6(unix.IPPROTO_UDP, bad.port.LinkLocal(), good.port.LinkLocal(), udp(9, 9, m)))
		}},
		{"arp", true, func(m string) []byte { return ether(all, own, unix.ETH_P_ARP, arp(1, own, a4, b4, m)) }},
		{"arp-reply", true, func(m string) []byte { return ether(to, own, unix.ETH_P_ARP, arp(2, own, a4, b4, m)) }},
		{"nd-solicitation", true, func(m string) []byte {
			return ether(to, own, unix.ETH_P_IPV6, ip6(unix.IPPROTO_ICMPV6, a6, b6, icmp6(135, b6, m)))
		}},
		{"nd-advertisement", true, func(m string) []byte {
			return ether(to, own, unix.ETH_P_IPV6, ip6(unix.IPPROTO_ICMPV6, a6, b6, icmp6(136, a6, m)))
		}},
		{"duplicate-address-detection", true, func(m string) []byte {
			return ether(to, own, unix.ETH_P_IPV6, ip6(unix.IPPROTO_ICMPV6, zero, b6, icmp6(135, a6, m)))
		}},

		{"hardware-address", false, func(m string) []byte { return ether(to, other.MAC, unix.ETH_P_IP, ip4(a4, b4, udp(9, 9, m))) }},
		{"gateway's-hardware-address", false, func(m string) []byte { return ether(to, n.BridgeMAC(), unix.ETH_P_IP, ip4(a4, b4, udp(9, 9, m))) }},
		{"ip4-source", false, func(m string) []byte { return ether(to, own, unix.ETH_P_IP, ip4(o4, b4, udp(9, 9, m))) }},
		{"ip4-gateway", false, func(m string) []byte { return ether(to, own, unix.ETH_P_IP, ip4(n.Gateway(), b4, udp(53, 9, m))) }},
		{"ip4-none", false, func(m string) []byte {
			return ether(all, own, unix.ETH_P_IP, ip4(netip.IPv4Unspecified(), b4, udp(68, 67, m)))
		}},
		{"dhcp-server", false, func(m string) []byte { return ether(all, own, unix.ETH_P_IP, ip4(a4, b4, udp(67, 68, m))) }},
		{"arp-address", false, func(m string) []byte { return ether(to, own, unix.ETH_P_ARP, arp(2, own, n.Gateway(), b4, m)) }},
		{"arp-hardware", false, func(m string) []byte { return ether(to, own, unix.ETH_P_ARP, arp(2, other.MAC, a4, b4, m)) }},
		{"ip6-source", false, func(m string) []byte {
			return ether(to, own, unix.ETH_P_IPV6, ip6(unix.IPPROTO_UDP, o6, b6, udp(9, 9, m)))
		}},
		{"nd-target", false, func(m string) []byte {
			return ether(to, own, unix.ETH_P_IPV6, ip6(unix.IPPROTO_ICMPV6, a6, b6, icmp6(136, n.Gateway6(), m)))
		}},
		{"nd-from-nowhere", false, func(m string) []byte {
			return ether(to, own, unix.ETH_P_IPV6, ip6(unix.IPPROTO_ICMPV6, zero, b6, icmp6(136, a6, m)))
		}},
		{"router-advertisement", false, func(m string) []byte {
			return ether(to, own, unix.ETH_P_IPV6, ip6(unix.IPPROTO_ICMPV6, bad.port.LinkLocal(), b6, icmp6(134, a6, m)))
		}},
		{"redirect", false, func(m string) []byte {
			return ether(to, own, unix.ETH_P_IPV6, ip6(unix.IPPROTO_ICMPV6, a6, b6, icmp6(137, a6, m)))
		}},
		{"router-advertisement-behind-options", false, func(m string) []byte {
			options := append([]byte{unix.IPPROTO_ICMPV6, 0, 1, 4, 0, 0, 0, 0}, icmp6(134, a6, m)...)
			return ether(to, own, unix.ETH_P_IPV6, ip6(0, a6, b6, options))
		}},
		{"dhcp6-server", false, func(m string) []byte {
			return ether(to, own, unix.ETH_P_IPV6, ip6(unix.IPPROTO_UDP, a6, b6, udp(547, 546, m)))
		}},
		{"vlan", false, func(m string) []byte {
			return ether(to, own, unix.ETH_P_8021Q, append([]byte{0, 5, 8, 0}, ip4(a4, b4, udp(9, 9, m))...))
		}},
		// TCP goes another way through the filters.
		{"tcp4", true, func(m string) []byte { return ether(to, own, unix.ETH_P_IP, tcp4(a4, b4, m)) }},
		{"tcp6", true, func(m string) []byte { return ether(to, own, unix.ETH_P_IPV6, tcp6(a6, b6, m)) }},
		{"tcp6-link-local", true, func(m string) []byte {
			return ether(to, own, unix.ETH_P_IPV6, tcp6(bad.port.LinkLocal(), good.port.LinkLocal(), m))
		}},
		{"tcp4-hardware-address", false, func(m string) []byte { return ether(to, other.MAC, unix.ETH_P_IP, tcp4(a4, b4, m)) }},
		{"tcp6-hardware-address", false, func(m string) []byte { return ether(to, other.MAC, unix.ETH_P_IPV6, tcp6(a6, b6, m)) }},
		{"tcp4-source", false, func(m string) []byte { return ether(to, own, unix.ETH_P_IP, tcp4(o4, b4, m)) }},
		{"tcp6-source", false, func(m string) []byte { return ether(to, own, unix.ETH_P_IPV6, tcp6(o6, b6, m)) }},
		{"tcp4-gateway", false, func(m string) []byte { return ether(to, own, unix.ETH_P_IP, tcp4(n.Gateway(), b4, m)) }},
		{"tcp6-none", false, func(m string) []byte { return ether(to, own, unix.ETH_P_IPV6, tcp6(zero, b6, m)) }},
		{"tcp4-of-another-port", false, func(m string) []byte { return ether(to, other.MAC, unix.ETH_P_IP, tcp4(o4, b4, m)) }},
		{"tcp6-of-another-port", false, func(m string) []byte { return ether(to, other.MAC, unix.ETH_P_IPV6, tcp6(o6, b6, m)) }},
		{"tcp4-vlan", false, func(m string) []byte {
			return ether(to, own, unix.ETH_P_8021Q, append([]byte{0, 5, 8, 0}, tcp4(a4, b4, m)...))
		}},
		{"tcp6-vlan", false, func(m string) []byte {
			return ether(to, own, unix.ETH_P_8021Q, append([]byte{0, 5, 0x86, 0xdd}, tcp6(a6, b6, m)...))
		}},
		{"unknown-protocol", false, func(m string) []byte { return ether(to, own, 0x88b5, []byte(m)) }},
		{"802.3", false, func(m string) []byte {
			return ether(to, own, uint16(len(m)+3), append([]byte{0x42, 0x42, 3}, m...))
		}},
		{"last", true, func(m string) []byte { return ether(to, own, unix.ETH_P_IP, ip4(a4, b4, udp(9, 9, m))) }},
	}
	catch := good.start(link(t, "catch-frames"))
	catch.Stdout("ready")
	args := []string{link(t, "send-frames")}
	for _, x := range tests {
		args = append(args, hex.EncodeToString(x.frame("<mark "+x.name+">")))
	}
	bad.run(args...).OK(t)
	arrived := strings.Fields(catch.Wait().OK(t))
	for _, x := range tests {
		if got := slices.Contains(arrived, x.name); got != x.passes {
			t.Errorf("%s: arrived %v, want %v", x.name, got, x.passes)
		}
	}
	// The neighbours know each other still.
	if !bad.pings(b4.String()) || !good.pings(a6.String()) {
		t.Error("the nodes do not reach each other")
	}
}
