package usermode

import (
	"net/netip"
	"slices"
	"strings"
)

// Resolver is what a resolv.conf says of name servers, see resolv.conf(5).
type Resolver struct {
	// Servers are the first three nameservers, which is as many as the C library asks.
	Servers []netip.Addr
}

// maxServers is MAXNS of resolv.h.
const maxServers = 3

func parseResolver(b []byte) (r Resolver) {
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		line, _, _ = strings.Cut(line, ";")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		if words[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(words[1]); err == nil && len(r.Servers) < maxServers {
			r.Servers = append(r.Servers, a.Unmap())
		}
	}
	return r
}

// first returns the nameserver that a driver asks for queries over one family: its first.
func (r Resolver) first(is6 bool) (netip.Addr, bool) {
	if i := slices.IndexFunc(r.Servers, func(a netip.Addr) bool { return a.Is6() == is6 }); i >= 0 {
		return r.Servers[i], true
	}
	return netip.Addr{}, false
}
