package session

import (
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/session"
)

// outside is a stand-in for the way out: a net namespace beside the session's, with
// addresses for documentation (RFC 5737, RFC 3849) that are nobody's.
func outside(t *testing.T) *node {
	t.Helper()
	s, err := session.Open(dir(t))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	c := exec.Command("nsenter", "-U", "-n", "-t", strconv.Itoa(s.Pid), "--", trial.NeedTool(t, "unshare"), "-n", "cat")
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, pid: c.Process.Pid, stdin: stdin, cmd: c}
	t.Cleanup(n.end)
	// nsenter and unshare only exec: it is cat by now, in its own namespace.
	if _, err := stdin.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	host := &node{t: t, pid: s.Pid}
	host.run("sh", "-ec", `
		ip link add out0 type veth peer name out1 netns `+strconv.Itoa(n.pid)+`
		ip link set out0 up
		ip addr add 192.0.2.1/24 dev out0
		ip addr add 2001:db8::1/64 dev out0 nodad
		ip route replace default via 192.0.2.2
		ip -6 route replace default via 2001:db8::2`).OK(t)
	n.run("sh", "-ec", `
		ip link set lo up
		ip link set out1 up
		ip addr add 192.0.2.2/24 dev out1
		ip addr add 2001:db8::2/64 dev out1 nodad`).OK(t)
	return n
}

// Where a node gets to: out, unless its network is internal; to its own network,
// unless that is the one of those who named none; nowhere else.
func TestWays(t *testing.T) {
	begin(t)
	rlnet(t, "start").OK(t)
	rlnet(t, "create", "a").OK(t)
	rlnet(t, "create", "b").OK(t)
	rlnet(t, "create", "in", "--internal").OK(t)
	beyond := outside(t)
	nodes := map[string]*node{}
	for _, network := range []string{"a", "b", "in", session.Auto} {
		nodes[network] = join(t, network, network+"1")
		nodes[network+"2"] = join(t, network, network+"2")
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	check := func(n *node, from, to, address string, want bool) {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if got := n.pings(address); got != want {
				t.Errorf("%s reaches %s at %s: %v, want %v", from, to, address, got, want)
			}
		})
	}
	for from, n := range nodes {
		network := strings.TrimSuffix(from, "2")
		check(n, from, "the outside", "192.0.2.2", network != "in")
		check(n, from, "the outside", "2001:db8::2", network != "in")
		check(n, from, "its bridge", n.port.DNS.String(), true)
		for to, other := range nodes {
			same := strings.TrimSuffix(to, "2") == network
			if to == from {
				continue
			}
			check(n, from, to, other.port.Address.Addr().String(), same && network != session.Auto)
			check(n, from, to, other.port.Address6.Addr().String(), same && network != session.Auto)
			if !same {
				check(n, from, "the bridge of "+to, other.port.DNS.String(), false)
			}
		}
	}
	wg.Wait()
	// An internal network stays so, whatever routes its containers make.
	nodes["in"].run("ip", "route", "add", "default", "via", nodes["in"].port.DNS.String()).OK(t)
	if nodes["in"].pings("192.0.2.2") || nodes["in"].pings(nodes["a"].port.Address.Addr().String()) {
		t.Error("an internal network has a way out")
	}
	if beyond.pings(nodes["a"].port.Address.Addr().String()) {
		t.Error("a network is reached from outside")
	}
	// A neighbour is not reached by way of the bridge either.
	other := nodes[session.Auto+"2"].port.Address.Addr().String()
	nodes[session.Auto].run("ip", "route", "add", other, "via", nodes[session.Auto].port.DNS.String()).OK(t)
	if nodes[session.Auto].pings(other) {
		t.Error("isolated nodes reach each other through the bridge")
	}
	// Nor are names of other networks known.
	if got := nodes["a"].dig("b1"); len(got) != 0 {
		t.Errorf("on a, b1 is %v", got)
	}
	if got := nodes[session.Auto].dig(session.Auto + "2"); len(got) != 0 {
		t.Errorf("isolated nodes know names: %v", got)
	}
}

// Names that are nobody's here are asked for at the machine's resolvers; not from
// internal networks.
func TestOtherNames(t *testing.T) {
	begin(t)
	rlnet(t, "create", "a").OK(t)
	rlnet(t, "create", "in", "--internal").OK(t)
	in := join(t, "in", "x")
	status := func(n *node, args ...string) string {
		all := append([]string{"+time=8", "+tries=1", "@" + n.port.DNS.String()}, args...)
		return n.run(append([]string{trial.NeedTool(t, "dig")}, all...)...).Stdout
	}
	if out := status(in, "nobody.invalid"); !contains(out, "status: NXDOMAIN") {
		t.Errorf("an internal network asks outside: %s", out)
	}
	if out := status(in, "x", "MX"); !contains(out, "status: NOERROR", "ANSWER: 0") {
		t.Errorf("a name without such a record: %s", out)
	}
}

func contains(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
