package port

import (
	"net/netip"
	"strconv"
)

// Proto is a transport protocol.
type Proto uint8

// The protocols that are forwarded.
const (
	TCP Proto = iota
	UDP
)

// String is "tcp" or "udp".
func (p Proto) String() string {
	if p == UDP {
		return "udp"
	}
	return "tcp"
}

// Publish is the value of one -p: a row of the host's ports and the row of the
// container's ports, of the same length, that they lead to.
type Publish struct {
	// Host is the host's address. The zero value means all, of both families;
	// 0.0.0.0 means all of IPv4, [::] all of IPv6. An address with a zone is link-local.
	Host netip.Addr
	// HostPort is the first port on the host; 0 lets the kernel choose a free one for each.
	HostPort uint16
	// Port is the first port in the container, 1 to 65535.
	Port uint16
	// Count is the number of ports, 1 or more.
	Count int
	Proto Proto
}

// String is the value in the form that [Parse] reads, with the protocol spelled out.
func (p Publish) String() string {
	var host string
	if p.Host.IsValid() {
		host = p.Host.String() + ":"
		if p.Host.Is6() {
			host = "[" + p.Host.String() + "]:"
		}
	}
	return host + row(p.HostPort, p.Count) + ":" + row(p.Port, p.Count) + "/" + p.Proto.String()
}

// row prints count ports from the first on.
func row(first uint16, count int) string {
	s := strconv.Itoa(int(first))
	if first == 0 || count <= 1 {
		return s
	}
	return s + "-" + strconv.Itoa(int(first)+count-1)
}

// Each returns one Publish for each port of p.
func (p Publish) Each() []Publish {
	all := make([]Publish, 0, p.Count)
	for i := range p.Count {
		one := p
		one.Port, one.Count = p.Port+uint16(i), 1
		if p.HostPort != 0 {
			one.HostPort = p.HostPort + uint16(i)
		}
		all = append(all, one)
	}
	return all
}

// overlaps says whether both ask for the same port of the same address. Free ports
// never do.
func (p Publish) overlaps(q Publish) bool {
	if p.HostPort == 0 || q.HostPort == 0 {
		return false
	}
	if int(p.HostPort)+p.Count <= int(q.HostPort) || int(q.HostPort)+q.Count <= int(p.HostPort) {
		return false
	}
	return p.shares(q)
}

// shares says whether the two cannot have one number.
func (p Publish) shares(q Publish) bool {
	return p.Proto == q.Proto && (covers(p.Host, q.Host) || covers(q.Host, p.Host))
}

// covers says whether a socket bound to a receives all that one bound to b would.
func covers(a, b netip.Addr) bool {
	if !a.IsValid() || a == b {
		return true
	}
	return b.IsValid() && a.IsUnspecified() && a.Is4() == b.Is4()
}
