package usernet

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/net/veth/rtnl"
)

func policy(t *testing.T, lines ...string) Policy {
	t.Helper()
	p, err := Parse(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func someone() Caller {
	return Caller{
		UID: 1000, Groups: []uint32{1000, 50},
		Passwd: []byte("root:x:0:0::/:\nalice:x:1000:1000::/:\n1001:x:7:7::/:\n"),
		Group:  []byte("root:x:0:\nstaff:x:50:bob\nother:x:51:alice\n"),
	}
}

func TestCount(t *testing.T) {
	for line, want := range map[string]int{
		"alice veth br0 3":                         3,
		"1000 veth br0 3":                          3,
		"@staff veth br0 3":                        3,
		"@50 veth br0 3":                           3,
		"alice veth br0 3\n@staff veth br0 4":      7,
		"@other veth br0 3":                        0, // the process is not in it, whatever the file says
		"bob veth br0 3":                           0,
		"root veth br0 3":                          0,
		"alice veth br1 3":                         0,
		"alice veth - 3":                           0,
		"1001 veth br0 3":                          0, // a name that looks like a number is one
		"4294967295 veth br0 3\n-1 veth br0 3":     0,
		"alicex veth br0 3\nalic veth br0 3":       0,
		"@alice veth br0 3\nstaff veth br0 3":      0,
		"0 veth br0 3\n00 veth br0 3\n@0 veth - 3": 0,
	} {
		if got := policy(t, line).Count(someone(), "br0"); got != want {
			t.Errorf("%q grants %d, want %d", line, got, want)
		}
	}
}

func first(int) int { return 0 }

func ours(index int, uid uint32, ip string, master int) rtnl.Link {
	mac, _ := MACs(netip.MustParseAddr(ip))
	return rtnl.Link{Index: index, Name: LinkName(uid, "abcdefgh"), Kind: "veth", MAC: mac, Master: master, Up: true, Alias: "x"}
}

func word(err error) Word {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Word
	}
	return ""
}

func TestDecide(t *testing.T) {
	p := policy(t, "alice veth - 2", "alice veth br0 1", "pool - 192.168.47.0/29", "pool - 10.1.0.0/30", "pool br0 10.47.0.0/24")
	c := someone()
	g, err := p.Decide(c, Request{}, State{}, first)
	// .0 and .1 are no pair of hosts.
	if err != nil || g.Host.String() != "192.168.47.2" || g.IP.String() != "192.168.47.3/31" || g.Gateway != g.Host {
		t.Errorf("%+v, %v", g, err)
	}
	if FormatMAC(g.MAC) != "0a:72:c0:a8:2f:03" || FormatMAC(g.HostMAC) != "fe:72:c0:a8:2f:03" {
		t.Errorf("MACs %x %x", g.MAC, g.HostMAC)
	}

	// Both pairs of the first pool are in use, and the second pool has none.
	full := State{Links: []rtnl.Link{ours(5, 7, "192.168.47.3", 0), ours(6, 7, "192.168.47.4", 0)}}
	if _, err := p.Decide(c, Request{}, full, first); word(err) != Taken {
		t.Errorf("from a full pool: %+v, %v", g, err)
	}

	// Links of others and of other bridges do not count, what only looks like a link
	// neither.
	fake := ours(9, 1000, "192.168.47.5", 0)
	fake.Kind = "dummy"
	s := State{Links: []rtnl.Link{
		ours(5, 1001, "192.168.48.3", 0), ours(6, 1000, "10.47.0.9", 77), ours(7, 1000, "192.168.48.5", 0), fake,
	}}
	if _, err := p.Decide(c, Request{}, s, first); err != nil {
		t.Error(err)
	}
	s.Links = append(s.Links, ours(8, 1000, "192.168.48.7", 0))
	if _, err := p.Decide(c, Request{}, s, first); word(err) != Quota {
		t.Errorf("beyond the count: %v", err)
	}

	bridge := State{
		Links: []rtnl.Link{{Index: 3, Name: "br0", Kind: "bridge", MTU: 1450}},
		Addrs: []rtnl.Addr{{Link: 3, Local: netip.MustParsePrefix("10.47.0.1/16"), Peer: netip.MustParseAddr("10.47.0.1")}},
		Routes: []rtnl.Route{
			{Dst: netip.MustParsePrefix("10.47.0.0/16"), Link: 3},
			{Dst: netip.MustParsePrefix("0.0.0.0/0"), Link: 2},
		},
	}
	g, err = p.Decide(c, Request{Bridge: "br0"}, bridge, first)
	// The net is the bridge's, the address is of the pool, .1 is in use.
	if err != nil || g.IP.String() != "10.47.0.2/16" || g.Gateway.String() != "10.47.0.1" || g.MTU != 1450 || g.Master != 3 {
		t.Errorf("%+v, %v", g, err)
	}
	bridge.Routes = append(bridge.Routes, rtnl.Route{Dst: netip.MustParsePrefix("10.47.7.0/24"), Link: 2})
	if _, err = p.Decide(c, Request{Bridge: "br0"}, bridge, first); word(err) != Clash {
		t.Errorf("with a route elsewhere: %v", err)
	}
}

// Of two links that both saw the other, the one that came first stays.
func TestHolds(t *testing.T) {
	g := Grant{UID: 1000, Count: 1, Host: netip.MustParseAddr("10.0.0.1"), IP: netip.MustParsePrefix("10.0.0.2/24")}
	undone := func(l rtnl.Link) rtnl.Link { l.Up, l.Alias = false, ""; return l }
	at := func(link int, local string) rtnl.Addr {
		p := netip.MustParsePrefix(local)
		return rtnl.Addr{Link: link, Local: p, Peer: p.Addr()}
	}
	for name, c := range map[string]struct {
		links []rtnl.Link
		addrs []rtnl.Addr
		want  Word
	}{
		"alone":                              {},
		"its own":                            {links: []rtnl.Link{ours(10, 1000, "10.0.0.2", 0)}, addrs: []rtnl.Addr{at(10, "10.0.0.1/32")}},
		"an earlier one of the address":      {links: []rtnl.Link{undone(ours(9, 7, "10.0.0.2", 0))}, want: Taken},
		"a later one of the address":         {links: []rtnl.Link{undone(ours(11, 7, "10.0.0.2", 0))}},
		"one that is done":                   {links: []rtnl.Link{ours(11, 7, "10.0.0.2", 0)}, want: Taken},
		"an earlier one of the user":         {links: []rtnl.Link{undone(ours(9, 1000, "10.0.0.9", 0))}, want: Quota},
		"a later one of the user":            {links: []rtnl.Link{undone(ours(11, 1000, "10.0.0.9", 0))}},
		"one of the user elsewhere":          {links: []rtnl.Link{ours(9, 1000, "10.0.0.9", 4)}},
		"a container at the host's address":  {links: []rtnl.Link{undone(ours(11, 7, "10.0.0.1", 0))}, want: Taken},
		"a later host's end at its address":  {links: []rtnl.Link{undone(ours(11, 7, "10.0.0.9", 0))}, addrs: []rtnl.Addr{at(11, "10.0.0.2/32")}, want: Taken},
		"a later one with the host's end":    {links: []rtnl.Link{undone(ours(11, 7, "10.0.0.9", 0))}, addrs: []rtnl.Addr{at(11, "10.0.0.1/32")}},
		"an earlier one with the host's end": {links: []rtnl.Link{undone(ours(9, 7, "10.0.0.9", 0))}, addrs: []rtnl.Addr{at(9, "10.0.0.1/32")}, want: Taken},
		"another interface":                  {addrs: []rtnl.Addr{at(2, "10.0.0.1/24")}, want: Taken},
	} {
		if got := word(g.Holds(State{Links: c.links, Addrs: c.addrs}, 10)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestLinkName(t *testing.T) {
	for uid, want := range map[uint32]string{
		0: "rl0_abcdefgh", 1000: "rl1000_abcdefgh", 100000: "rl100000_abcdef", 4294967294: "rl4294967294_ab",
	} {
		got := LinkName(uid, "abcdefgh")
		if got != want {
			t.Errorf("%d: %q", uid, got)
		}
		l := ours(1, uid, "10.0.0.1", 0)
		if c, ok := claimOf(l); !ok || c.uid != uid || c.ip.String() != "10.0.0.1" {
			t.Errorf("%d is read as %+v", uid, c)
		}
	}
}

// Whatever is asked for, an address that is given lies in a pool and is free.
func FuzzDecide(f *testing.F) {
	f.Add("host=192.168.47.11/24 ip=192.168.47.12/24", 3, uint32(0))
	f.Add("ip=192.168.47.130/25", 100, uint32(9))
	f.Add("host=192.168.47.2/8", 1, uint32(200))
	f.Add("bridge=br0", 5, uint32(1))
	f.Fuzz(func(t *testing.T, args string, start int, used uint32) {
		r, err := ParseArgs(strings.Fields(args))
		if err != nil {
			return
		}
		pool := netip.MustParsePrefix("192.168.47.0/24")
		p := policy(t, "1000 veth - 9", "1000 veth br0 9", "pool - 192.168.47.0/24", "pool br0 192.168.47.0/24")
		taken := addr4(number4(pool.Addr()) + used%256).String()
		s := State{Links: []rtnl.Link{ours(5, 7, taken, 0), {Index: 3, Name: "br0", Kind: "bridge", MTU: 1500}}}
		g, err := p.Decide(Caller{UID: 1000}, r, s, func(n int) int { return int(uint(start) % uint(n)) })
		if err != nil {
			if word(err) == "" {
				t.Fatal(err)
			}
			return
		}
		if !isHost(pool, g.IP.Addr()) || g.IP.Addr().String() == taken || g.Host.String() == taken || g.Host == g.IP.Addr() {
			t.Fatalf("%+v", g)
		}
		if g.Host.IsValid() && (!isHost(pool, g.Host) || !g.IP.Contains(g.Host)) {
			t.Fatalf("%+v", g)
		}
		if r.IP.IsValid() && g.IP != r.IP || r.Host.IsValid() && g.Host != r.Host.Addr() {
			t.Fatalf("asked for %+v, got %+v", r, g)
		}
	})
}
