package usernet

import (
	"net/netip"

	"github.com/rl-run/rl-run/net/veth/rtnl"
)

// State is the host's net namespace, as far as decisions depend on it.
type State struct {
	Links  []rtnl.Link
	Addrs  []rtnl.Addr
	Routes []rtnl.Route
}

// Grant is a link that may be made, down to its last detail.
type Grant struct {
	UID    uint32
	Name   string
	Master int // the bridge's index, 0 for point to point
	Count  int // of links that the caller may have there

	HostMAC [6]byte
	MAC     [6]byte // the container's
	MTU     int     // of the host's end
	Inner   int     // the MTU of the container's end

	Host     netip.Addr   // of the host's end; zero with a bridge
	IP       netip.Prefix // the container's
	Gateway  netip.Addr   // zero: a bridge without an address there
	Host6    netip.Addr
	IP6      netip.Prefix // zero: the policy has no pool for it
	Gateway6 netip.Addr
}

// decision is what a request meets.
type decision struct {
	request Request
	pools   []netip.Prefix // of IPv4
	master  int
	routes  []rtnl.Route // the ones that a link could clash with
	addrs   []rtnl.Addr  // the bridge's
	names   map[int]string
	used    map[netip.Addr]bool
	pick    func(n int) int
}

// Decide says what a caller gets for a request, or refuses it with a *Refusal. pick
// returns a number from 0 to n-1: where to begin to look for a free address. The grant is
// good as long as nobody else makes a link: see Holds.
func (p Policy) Decide(c Caller, r Request, s State, pick func(n int) int) (Grant, error) {
	key := r.Bridge
	if key == "" {
		key = PointToPoint
	}
	g := Grant{UID: c.UID, Name: r.Name, Count: p.Count(c, key), MTU: defaultMTU}
	d := decision{request: r, pools: p.pools(key, false), pick: pick}
	if g.Count == 0 || len(d.pools) == 0 || !d.inPools(r.Host) || !d.inPools(r.IP) {
		return Grant{}, refuse(Forbidden)
	}
	if r.Bridge != "" {
		bridge, ok := findBridge(s.Links, r.Bridge)
		if !ok || r.MTU > bridge.MTU {
			return Grant{}, refuse(Forbidden)
		}
		g.Master, g.MTU = bridge.Index, bridge.MTU
	} else if r.MTU != 0 {
		g.MTU = r.MTU
	}
	// A smaller port would make the whole bridge smaller; the container's own end may be.
	g.Inner = g.MTU
	if r.MTU != 0 {
		g.Inner = r.MTU
	}

	d.master = g.Master
	taken := 0
	for _, l := range s.Links {
		if c, ok := claimOf(l); ok && c.uid == g.UID && c.master == g.Master {
			taken++
		}
	}
	if taken >= g.Count {
		return Grant{}, refuse(Quota)
	}

	d.survey(s)
	if err := d.addresses(&g); err != nil {
		return Grant{}, err
	}
	if err := d.addresses6(&g, p.pools(key, true)); err != nil {
		return Grant{}, err
	}
	g.HostMAC, g.MAC = MACs(g.IP.Addr())
	return g, nil
}

// Holds tells whether a grant still holds when the link has been made, with this index,
// and given its addresses. A link that came earlier goes before. It returns a *Refusal
// where the link must be removed again.
func (g Grant) Holds(s State, index int) error {
	before := 0
	later := map[int]bool{index: true}
	for _, l := range s.Links {
		c, ok := claimOf(l)
		if !ok || c.index == index {
			continue
		}
		// It can have looked before this link had its address, so the two may only give
		// way both.
		if c.ip == g.Host {
			return refuse(Taken)
		}
		// Numbers ascend until they are used up, after which only links that are done are
		// known to be earlier.
		if c.index > index && !c.done {
			later[c.index] = true
			continue
		}
		if c.ip == g.IP.Addr() {
			return refuse(Taken)
		}
		if c.uid == g.UID && c.master == g.Master {
			before++
		}
	}
	if before >= g.Count {
		return refuse(Quota)
	}
	for _, a := range s.Addrs {
		local := a.Local.Addr()
		if local == g.IP.Addr() || local == g.Host && !later[a.Link] {
			return refuse(Taken)
		}
	}
	return nil
}

func findBridge(links []rtnl.Link, name string) (rtnl.Link, bool) {
	for _, l := range links {
		if l.Name == name && l.Kind == "bridge" {
			return l, true
		}
	}
	return rtnl.Link{}, false
}

// inPools tells whether an address is one of the pools, of any width of its net: the
// width is the container's own affair, the host gets a route to the one address alone.
// What was not asked for is.
func (d *decision) inPools(asked netip.Prefix) bool {
	if !asked.IsValid() {
		return true
	}
	for _, pool := range d.pools {
		if isHost(pool, asked.Addr()) {
			return true
		}
	}
	return false
}

// survey gathers what stands in the way of an address.
func (d *decision) survey(s State) {
	d.used, d.names = map[netip.Addr]bool{}, map[int]string{}
	ours := map[int]bool{}
	for _, l := range s.Links {
		d.names[l.Index] = l.Name
		if c, ok := claimOf(l); ok {
			d.used[c.ip] = true
			ours[l.Index] = true
		}
	}
	for _, a := range s.Addrs {
		d.used[a.Local.Addr()] = true
		d.used[a.Peer] = true
		if d.master != 0 && a.Link == d.master {
			d.addrs = append(d.addrs, a)
		}
	}
	for _, r := range s.Routes {
		// The bridge's own net is where the link shall be. Links of rl-veth have a route to
		// one address each, which is among the used ones.
		if r.Dst.Bits() > 0 && !ours[r.Link] && (d.master == 0 || r.Link != d.master) {
			d.routes = append(d.routes, r)
		}
	}
}

// clash refuses a net into which a route of the host leads.
func (d *decision) clash(net netip.Prefix) error {
	for _, r := range d.routes {
		if r.Dst.Overlaps(net) {
			return &Refusal{Word: Clash, Route: r.Dst.Masked(), Interface: d.names[r.Link]}
		}
	}
	return nil
}
