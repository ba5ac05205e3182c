package session

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/net/session"
)

// A container has the address and the names that it asks for, again at once when it has ended.
func TestAddressAndNames(t *testing.T) {
	begin(t)
	rlnet(t, "create", "db", "--subnet", "10.77.0.0/28").OK(t)
	asked := []string{"--net=db", "--ip", "10.77.0.9", "--network-alias", "primary", "--network-alias=PG-all"}
	end := func(name string) {
		rl(t, "rl-stop", "-t", "0", name).OK(t)
		rl(t, "rl-rm", name).OK(t)
	}
	start := func(name string, options ...string) {
		tree(t, "exec sleep 1000", append([]string{"-d", "--name", name}, options...)...).OK(t)
		t.Cleanup(func() { rl(t, "rl-rm", "-f", name) })
	}
	start("pg", asked...)
	if at := address(t, "pg"); at != netip.MustParsePrefix("10.77.0.9/28") {
		t.Errorf("address %v", at)
	}
	var list []struct{ Network struct{ Aliases []string } }
	if err := json.Unmarshal([]byte(rl(t, "rl-inspect", "pg").OK(t)), &list); err != nil || !slices.Equal(list[0].Network.Aliases, []string{"primary", "PG-all"}) {
		t.Errorf("rl-inspect: %v, %v", list, err)
	}
	start("standby", "--net=db", "--network-alias=pg-all")
	standby := address(t, "standby").Addr().String()
	other := join(t, "db")
	for name, want := range map[string][]string{
		"pg": {"10.77.0.9"}, "primary": {"10.77.0.9"}, "primary.db": {"10.77.0.9"}, "pg-all": {"10.77.0.9", standby}, "standby": {standby},
	} {
		got := other.dig(name)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"10.77.0.9", "primary"} {
		tree(t, "ping -c 1 -W 5 "+name, "--net=db", "--cap-add=NET_RAW").OK(t)
	}
	six := other.dig("primary", "AAAA")
	if len(six) != 1 || !strings.HasSuffix(six[0], "::9") {
		t.Errorf("IPv6: %v", six)
	} else if !other.pings(six[0]) {
		t.Errorf("%s does not answer", six[0])
	}

	tree(t, "true", "--net=db", "--ip=10.77.0.9").Fails(t, 125, "--ip 10.77.0.9: container pg has this address")
	for _, bad := range []string{"10.77.0.0", "10.77.0.1", "10.77.0.15", "10.78.0.2", "192.0.2.1"} {
		tree(t, "true", "--net=db", "--ip", bad).Fails(t, 125, "--ip "+bad+": the containers of network db have addresses from 10.77.0.2 to 10.77.0.14")
	}
	tree(t, "true", "--network-alias=a").Fails(t, 125, "they go with a named network")
	var many []string
	for i := range 80 {
		many = append(many, "--network-alias="+strings.Repeat(string(rune('a'+i%26)), 50+i/26))
	}
	tree(t, "true", append(many, "--net=db")...).Fails(t, 125, "--network-alias: all names of the container take")

	// The kernel removes the link of one that has ended when it gets round to it.
	for range 3 {
		end("pg")
		start("pg", asked...)
		if at := address(t, "pg"); at != netip.MustParsePrefix("10.77.0.9/28") {
			t.Errorf("again: address %v", at)
		}
	}
	end("pg")
	if got := tree(t, "ip -o -4 addr show dev eth0", asked...).OK(t); !strings.Contains(got, "inet 10.77.0.9/28") {
		t.Errorf("in the foreground: %q", got)
	}
	end("standby")
}

// rl-net prune removes what is not in use, whether the session runs or not.
func TestPrune(t *testing.T) {
	begin(t)
	if out := rlnet(t, "prune").OK(t); out != "" {
		t.Errorf("without any network: %q", out)
	}
	for _, name := range []string{"a", "b", "c"} {
		rlnet(t, "create", name).OK(t)
	}
	serve(t, "pg", "--net=b")
	if out := rlnet(t, "prune").OK(t); out != "a\nc" {
		t.Errorf("%q", out)
	}
	if got := tree(t, fetch("pg"), "--net=b").OK(t); got != "I am pg" {
		t.Errorf("after it: %q", got)
	}
	rl(t, "rl-stop", "-t", "0", "pg").OK(t)
	if out := rlnet(t, "prune", "-f").OK(t); out != "b" {
		t.Errorf("at the end: %q", out)
	}
	if out := rlnet(t, "ls", "--json").OK(t); out != "[]" {
		t.Errorf("left: %s", out)
	}
}

// The session's way out begins where it was started. Whoever is in another net namespace, as in that of a VPN, does not get out by
// it: auto has a driver of its own, and a named network is refused, but for one that leads nowhere.
func TestElsewhere(t *testing.T) {
	begin(t)
	rlnet(t, "start").OK(t)
	rlnet(t, "create", "db").OK(t)
	rlnet(t, "create", "back", "--internal").OK(t)
	const subnet = "ip -o -4 addr show eth0"
	here := tree(t, subnet).OK(t)
	s, err := session.Open(dir(t))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if s.Outside == 0 || s.Elsewhere || s.Outside == s.NetNS {
		t.Fatalf("the session begins in net namespace %d, elsewhere: %v, its own is %d", s.Outside, s.Elsewhere, s.NetNS)
	}
	s.Outside++
	if err := dir(t).WriteState(s.State); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(here, "inet 10.231.") {
		t.Errorf("where the session began, auto is %q", here)
	}
	if there := tree(t, subnet).OK(t); strings.Contains(there, "inet 10.231.") {
		t.Errorf("elsewhere, auto is %q", there)
	}
	tree(t, "true", "--net=db").Fails(t, 125, "--net=db: its way out begins in another net namespace than this one", "rl-net stop")
	tree(t, "true", "--net=back").OK(t)
	tree(t, "true", "--net=none").OK(t)
}
