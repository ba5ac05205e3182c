package main

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/rl-run/rl-run/net/session"
)

// pools are where subnets come from when none is asked for: private addresses
// (RFC 1918) that neither home routers nor docker or podman begin with.
var pools = [...]string{"10.231.0.0/16", "172.29.0.0/16", "10.97.0.0/16", "192.168.224.0/20"}

// subnetOwner says whose a subnet is, for a message.
type subnetOwner struct {
	subnet netip.Prefix
	owner  string
}

// chooseSubnet checks the subnet that was asked for, or finds one of so many bits
// that overlaps none of the taken ones. It is a pure function.
func chooseSubnet(asked netip.Prefix, bits int, taken []subnetOwner) (netip.Prefix, error) {
	clash := func(p netip.Prefix) (subnetOwner, bool) {
		for _, t := range taken {
			if t.subnet.Overlaps(p) {
				return t, true
			}
		}
		return subnetOwner{}, false
	}
	if asked.IsValid() {
		if err := session.CheckSubnet(asked); err != nil {
			return asked, err
		}
		if t, yes := clash(asked); yes {
			return asked, fmt.Errorf("subnet %s: overlaps %s of %s (one that is free is taken without --subnet)", asked, t.subnet, t.owner)
		}
		return asked, nil
	}
	for _, pool := range pools {
		whole := netip.MustParsePrefix(pool)
		for p := netip.PrefixFrom(whole.Addr(), bits); whole.Contains(p.Addr()); {
			if _, yes := clash(p); !yes {
				return p, nil
			}
			a := p.Addr().As4()
			step := 1 << (32 - bits)
			next := int(a[2])<<8 + int(a[3]) + step
			if next > 0xffff {
				break
			}
			a[2], a[3] = byte(next>>8), byte(next)
			p = netip.PrefixFrom(netip.AddrFrom4(a), bits)
		}
	}
	return netip.Prefix{}, fmt.Errorf("no subnet of /%d is free in %v (give one with --subnet)", bits, pools)
}

// hostRoutes are the subnets that the machine has routes to: containers that had
// the same could not reach them. A default route clashes with nothing.
func hostRoutes() (out []subnetOwner) {
	done := make(chan struct{})
	// On another thread than the first, which is not in the host's net namespace.
	go func() {
		defer close(done)
		routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
		if err != nil {
			say("list the host's routes: %v", err)
		}
		for _, r := range routes {
			if r.Dst == nil {
				continue
			}
			a, ok := netip.AddrFromSlice(r.Dst.IP.To4())
			bits, _ := r.Dst.Mask.Size()
			if ok && bits > 0 {
				p := netip.PrefixFrom(a, bits)
				out = append(out, subnetOwner{p, "the host's route to " + p.String()})
			}
		}
	}()
	<-done
	return out
}
