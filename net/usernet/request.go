package usernet

import (
	"net/netip"
	"strconv"
	"strings"
)

// The limits of Request.MTU: what IPv6 needs at least, RFC 8200, and what a veth takes.
const (
	MinMTU     = 1280
	MaxMTU     = 65535
	defaultMTU = 1500
)

// Request is what a caller wants. The zero value is a link point to point, with
// addresses out of the pool.
type Request struct {
	Bridge string       // "" for point to point
	Host   netip.Prefix // of the host's end, point to point alone; zero: chosen
	IP     netip.Prefix // of the container's end; zero: chosen
	Name   string       // the container's, for the alias; see IsName
	MTU    int          // 0: the bridge's, or 1500; more than the bridge's is refused
}

// IsName tells whether a name may stand in an alias: up to 64 of a–z 0–9 _ . -
func IsName(s string) bool {
	return len(s) <= 64 && only(s, "abcdefghijklmnopqrstuvwxyz0123456789_.-")
}

// Args are the request as arguments of rl-veth, which [ParseArgs] reads.
func (r Request) Args() []string {
	var args []string
	add := func(key, value string, set bool) {
		if set {
			args = append(args, key+"="+value)
		}
	}
	add("bridge", r.Bridge, r.Bridge != "")
	add("host", r.Host.String(), r.Host.IsValid())
	add("ip", r.IP.String(), r.IP.IsValid())
	add("name", r.Name, r.Name != "")
	add("mtu", strconv.Itoa(r.MTU), r.MTU != 0)
	return args
}

// ParseArgs reads a request. What is not one is a Refusal for Usage; so is what could not
// be granted under any policy.
func ParseArgs(args []string) (Request, error) {
	var r Request
	for i, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok || value == "" || len(value) > 64 {
			return Request{}, refuse(Usage)
		}
		for _, other := range args[:i] {
			if strings.HasPrefix(other, key+"=") {
				return Request{}, refuse(Usage)
			}
		}
		switch key {
		case "bridge":
			r.Bridge, ok = value, IsInterface(value)
		case "host":
			r.Host, ok = parseAddress(value)
		case "ip":
			r.IP, ok = parseAddress(value)
		case "name":
			r.Name, ok = value, IsName(value)
		case "mtu":
			r.MTU, ok = parseNumber(value, MaxMTU)
			ok = ok && r.MTU >= MinMTU
		default:
			ok = false
		}
		if !ok {
			return Request{}, refuse(Usage)
		}
	}
	if !r.consistent() {
		return Request{}, refuse(Usage)
	}
	return r, nil
}

// parseAddress reads an IPv4 address with its length of /8 to /31 that is neither the net
// itself nor its broadcast address.
func parseAddress(s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() || p.Bits() < 8 || p.Bits() > 31 {
		return netip.Prefix{}, false
	}
	return p, isHost(p, p.Addr())
}

// consistent tells whether the parts of the request fit together: the host's end is the
// container's gateway, so both must be in one net, and a bridge has its own address.
func (r Request) consistent() bool {
	switch {
	case r.Bridge != "":
		return !r.Host.IsValid()
	case r.Host.IsValid() && r.IP.IsValid():
		return r.Host.Addr() != r.IP.Addr() && r.IP.Contains(r.Host.Addr()) && r.Host.Contains(r.IP.Addr())
	}
	return true
}

// isHost tells whether an address of a net can be a host's.
func isHost(net netip.Prefix, addr netip.Addr) bool {
	if !net.Contains(addr) {
		return false
	}
	return net.Bits() >= 31 || addr != net.Masked().Addr() && addr != last(net)
}

// last is the last address of an IPv4 net, the broadcast address.
func last(net netip.Prefix) netip.Addr {
	return addr4(number4(net.Masked().Addr()) | (1<<(32-net.Bits()) - 1))
}
