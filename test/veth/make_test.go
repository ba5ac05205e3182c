package veth

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// talk sends bytes over TCP to an address, from one side to the other.
func talk(t *testing.T, c container, to netip.Addr, inside bool) {
	t.Helper()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", net.JoinHostPort(to.String(), "0"))
		if err != nil {
			t.Error(err)
		}
		return l
	}
	dial := func(address string) {
		conn, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			t.Errorf("dial: %v", err)
			return
		}
		defer func() { _ = conn.Close() }()
		fmt.Fprintln(conn, "hello")
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "hello\n" {
			t.Errorf("%v says %q, %v", to, line, err)
		}
	}
	var l net.Listener
	if inside {
		c.enter(func() { l = listen() })
	} else {
		l = listen()
	}
	if l == nil {
		return
	}
	defer func() { _ = l.Close() }()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		line, _ := bufio.NewReader(conn).ReadString('\n')
		fmt.Fprint(conn, line)
	}()
	if inside {
		dial(l.Addr().String())
	} else {
		c.enter(func() { dial(l.Addr().String()) })
	}
}

// The tutorial's case: these two addresses, and each side reaches the other.
func TestPointToPoint(t *testing.T) {
	host(t, thePolicy)
	c := newContainer(t, alice, 1)
	a, err := call(t, alice, c.net, "host=192.168.47.11/24", "ip=192.168.47.12/24", "name=pg-1")
	if err != nil {
		t.Fatal(err)
	}
	if a.IP.String() != "192.168.47.12/24" || a.Gateway.String() != "192.168.47.11" || a.MTU != 1500 {
		t.Errorf("made %+v", a)
	}
	if !strings.HasPrefix(a.Name, "rl1000_") || a.Inner != "rlv0" {
		t.Errorf("ends are called %s and %s", a.Name, a.Inner)
	}
	show := must(t, "ip", "-d", "link", "show", a.Name)
	if want := "alias rl-run uid=1000 name=pg-1 ip=192.168.47.12 ip6=fd00:47::c0a8:2f0c"; !strings.Contains(show, want) {
		t.Errorf("ip shows %s, want %q in it", show, want)
	}
	if routes := must(t, "ip", "route", "show", "dev", a.Name); !strings.HasPrefix(routes, "192.168.47.12 ") || strings.Count(routes, "\n") != 1 {
		t.Errorf("the host's routes to the link are %q", routes)
	}
	c.configure(a)
	talk(t, c, netip.MustParseAddr("192.168.47.11"), false)
	talk(t, c, netip.MustParseAddr("192.168.47.12"), true)
	talk(t, c, a.Gateway6, false)
	talk(t, c, a.IP6.Addr(), true)

	// It goes with the container.
	c.end()
	noLinks(t)
	if left := must(t, "ip", "route"); strings.Contains(left, "192.168.47.") {
		t.Errorf("routes are left: %s", left)
	}
}

// Without addresses the pool gives them, to each container others.
func TestChosenAddresses(t *testing.T) {
	host(t, strings.Replace(thePolicy, "192.168.47.0/24", "192.168.47.0/28", 1)+"alice veth - 50\n")
	seen := map[netip.Addr]bool{}
	var first container
	for i := range 6 {
		c := newContainer(t, alice, 1+i%2)
		a, err := call(t, alice, c.net)
		if err != nil {
			t.Fatal(err)
		}
		if seen[a.IP.Addr()] || seen[a.Gateway] || a.IP.Bits() != 31 {
			t.Errorf("%v and %v were given before, or have another net", a.IP, a.Gateway)
		}
		seen[a.IP.Addr()], seen[a.Gateway] = true, true
		c.configure(a)
		talk(t, c, a.Gateway, false)
		talk(t, c, a.IP.Addr(), true)
		if i == 0 {
			first = c
		}
	}
	// Of sixteen addresses the first and last two are no pairs.
	c := newContainer(t, alice, 1)
	_, err := call(t, alice, c.net)
	wantRefusal(t, err, "taken")
	first.end()
	for deadline := time.Now().Add(5 * time.Second); len(ours(t)) == 6 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := call(t, alice, c.net); err != nil {
		t.Errorf("with an address free again: %v", err)
	}
}

// One end's address is enough, the other is chosen in its net.
func TestOneAddress(t *testing.T) {
	host(t, thePolicy)
	c := newContainer(t, alice, 1)
	a, err := call(t, alice, c.net, "ip=192.168.47.130/25", "mtu=9000")
	if err != nil {
		t.Fatal(err)
	}
	if net := netip.MustParsePrefix("192.168.47.128/25"); !net.Contains(a.Gateway) || a.MTU != 9000 {
		t.Errorf("made %+v", a)
	}
	c2 := newContainer(t, alice, 1)
	b, err := call(t, alice, c2.net, "host=192.168.47.5/29")
	if err != nil {
		t.Fatal(err)
	}
	if net := netip.MustParsePrefix("192.168.47.0/29"); !net.Contains(b.IP.Addr()) || b.IP.Bits() != 29 {
		t.Errorf("made %+v", b)
	}
}

func TestBridge(t *testing.T) {
	host(t, thePolicy)
	bridge(t)
	one, two := newContainer(t, alice, 1), newContainer(t, carol, 1)
	a, err := call(t, alice, one.net, "bridge=br0", "name=a")
	if err != nil {
		t.Fatal(err)
	}
	// carol is in the group staff.
	b, err := call(t, carol, two.net, "bridge=br0", "ip=10.47.0.7/24", "mtu=1400")
	if err != nil {
		t.Fatal(err)
	}
	if a.Gateway.String() != "10.47.0.1" || a.IP.Bits() != 24 || a.Gateway6.String() != "fd00:48::1" {
		t.Errorf("made %+v", a)
	}
	if b.IP.String() != "10.47.0.7/24" || b.IP6.String() != "fd00:48::a2f:7/64" || b.MTU != 1400 {
		t.Errorf("made %+v", b)
	}
	if show := must(t, "ip", "link", "show", "br0"); !strings.Contains(show, "mtu 1500 ") || !strings.Contains(show, "ether 02:00:00:00:00:47 ") {
		t.Errorf("a container's link changed its bridge: %s", show)
	}
	one.configure(a)
	two.configure(b)
	talk(t, one, a.Gateway, false)
	talk(t, two, b.IP.Addr(), true)
	talk(t, two, b.IP6.Addr(), true)
	one.enter(func() {
		conn, err := net.DialTimeout("tcp", "10.47.0.7:9", 5*time.Second)
		if err == nil {
			_ = conn.Close()
		}
		// Refused by the other container, and so reached.
		if err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("container to container: %v", err)
		}
	})
}

// A pool that is not the bridge's whole net leaves the net's width as it is.
func TestBridgeWithWiderNet(t *testing.T) {
	host(t, "alice veth br0 1\npool br0 10.47.0.128/25\n")
	bridge(t)
	c := newContainer(t, alice, 1)
	a, err := call(t, alice, c.net, "bridge=br0")
	if err != nil {
		t.Fatal(err)
	}
	if a.IP.Bits() != 24 || a.Gateway.String() != "10.47.0.1" || a.IP6.IsValid() {
		t.Errorf("made %+v", a)
	}
}

// A result that cannot be told is no link.
func TestNobodyListens(t *testing.T) {
	host(t, thePolicy)
	c := newContainer(t, alice, 1)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	path, err := veth()
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(as(alice), c.net, path)
	cmd.Stdout = w
	if err := cmd.Run(); err == nil {
		t.Error("success, which nobody heard of")
	}
	noLinks(t)
}
