package usermode

import (
	"net/netip"
	"slices"
	"strings"
)

// Resolver is what a resolv.conf says, see resolv.conf(5).
type Resolver struct {
	// Servers are the first three nameservers, which is as many as the C library asks.
	Servers []netip.Addr
	// Search and Options are the words of these lines.
	Search, Options []string
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
		switch words[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(words[1]); err == nil && len(r.Servers) < maxServers {
				r.Servers = append(r.Servers, a.Unmap())
			}
		case "search":
			r.Search = words[1:]
		case "domain":
			r.Search = words[1:2]
		case "options":
			r.Options = append(r.Options, words[1:]...)
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
