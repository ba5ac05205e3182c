package session

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func network(t testing.TB) Network {
	t.Helper()
	n := Network{
		Name: "db", Index: 3, Subnet: netip.MustParsePrefix("10.9.8.0/28"),
		Subnet6: netip.MustParsePrefix("fd00:1:2:3::/64"), Bridge: BridgeName(3), MTU: MTU,
	}
	if err := n.valid(); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPort(t *testing.T) {
	n := network(t)
	if n.Ports() != 13 {
		t.Errorf("%d ports in a subnet of 16 addresses", n.Ports())
	}
	p := n.Port(14)
	if p.Name != "rl3p14" || p.Address.String() != "10.9.8.14/28" || p.Address6.String() != "fd00:1:2:3::e/64" ||
		p.Gateway.String() != "10.9.8.1" || p.Gateway6.String() != "fd00:1:2:3::1" || p.DNS != p.Gateway {
		t.Errorf("port: %+v", p)
	}
	if got := p.LinkLocal().String(); got != "fe80::72:6cff:fe03:e" {
		t.Errorf("link-local address %s of %x", got, p.MAC)
	}
	for a, number := range map[string]int{
		"10.9.8.2": 2, "10.9.8.14": 14,
		"10.9.8.0": 0, "10.9.8.1": 0, "10.9.8.15": 0, "10.9.8.16": 0, "10.9.7.255": 0, "192.0.2.1": 0, "fd00:1:2:3::e": 0, "::ffff:10.9.8.2": 0,
	} {
		if p, ok := n.At(netip.MustParseAddr(a)); ok != (number != 0) || p.Number != number {
			t.Errorf("%s is port %d, %v", a, p.Number, ok)
		}
	}
	if n.Next(p).Number != 2 || n.Next(n.Port(2)).Number != 3 {
		t.Error("the next ports are wrong")
	}
	n.Internal = true
	if p = n.Port(2); p.Gateway.IsValid() || p.Gateway6.IsValid() || !p.DNS.IsValid() {
		t.Errorf("internal port: %+v", p)
	}
	for _, name := range []string{"rl0p2", "rl250p65535", "rl3p14"} {
		index, number, ok := ParsePortName(name)
		if !ok || PortName(index, number) != name {
			t.Errorf("%s: %d %d %v", name, index, number, ok)
		}
	}
	for _, name := range []string{"", "rl", "rl3", "rlp3", "rl3p", "rl03p1", "rl3p01", "rl251p2", "rl3p65536", "lo", "rl-1p2", "rl+1p2"} {
		if _, _, ok := ParsePortName(name); ok {
			t.Errorf("%s is taken for a port", name)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"db", "a", "9", "a_b.c-D", strings.Repeat("x", 63)} {
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", ".", "..", "-a", "a/b", "a b", "host", "auto", "container:x", strings.Repeat("x", 64), "ä"} {
		if CheckName(name) == nil {
			t.Errorf("the name %q passes", name)
		}
	}
	for _, subnet := range []string{"10.0.0.1/24", "10.0.0.0/16", "10.0.0.0/30", "fd00::/64", "127.0.0.0/24", "224.0.0.0/24", "0.0.0.0/24", "255.0.0.0/24"} {
		if CheckSubnet(netip.MustParsePrefix(subnet)) == nil {
			t.Errorf("the subnet %s passes", subnet)
		}
	}
}

func TestRegister(t *testing.T) {
	d, n := DirIn(t.TempDir()), network(t)
	if p, ok := n.Free(d, 13*7+4); !ok || p.Number != 6 {
		t.Errorf("free: %+v %v", p, ok)
	}
	for number := 2; number < 15; number++ {
		if err := n.Register(d, n.Port(number), "c"); err != nil {
			t.Fatal(err)
		}
	}
	if p, ok := n.Free(d, 0); ok {
		t.Errorf("all are taken, and %+v is free", p)
	}
	if err := n.Register(d, n.Port(5), "pg", "db-1"); err != nil {
		t.Fatal(err)
	}
	names, err := d.Names("db")
	if err != nil || !slices.Equal(names[5], []string{"pg", "db-1"}) || len(names) != 13 {
		t.Errorf("names: %v %v", names, err)
	}
	d.Release("db", 5, func() bool { return true })
	if names, _ := d.Names("db"); !slices.Equal(names[5], []string{"pg", "db-1"}) {
		t.Errorf("the names of a link that lives are %v", names[5])
	}
	// A new container wrote its names while those of the old one were aside.
	d.Release("db", 5, func() bool {
		if err := n.Register(d, n.Port(5), "new"); err != nil {
			t.Error(err)
		}
		return true
	})
	if names, _ := d.Names("db"); !slices.Equal(names[5], []string{"new"}) {
		t.Errorf("the new container's names are %v", names[5])
	}
	// Another one is killed before it has given them their name.
	for _, name := range []string{".5.memo", ".5.4711", ".51.4711"} {
		if err := os.WriteFile(d.NamesDir("db")+"/"+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.Release("db", 5, func() bool { return true })
	if left, _ := filepath.Glob(d.NamesDir("db") + "/.*"); len(left) != 3 {
		t.Errorf("of links that live there is %v", left)
	}
	d.Release("db", 5, func() bool { return false })
	if p, ok := n.Free(d, 0); !ok || p.Number != 5 {
		t.Errorf("free: %+v %v", p, ok)
	}
	if left, _ := filepath.Glob(d.NamesDir("db") + "/.*"); len(left) != 1 || filepath.Base(left[0]) != ".51.4711" {
		t.Errorf("left is %v", left)
	}
}

func TestNetworksOnDisk(t *testing.T) {
	d, n := DirIn(t.TempDir()), network(t)
	if all, err := d.Networks(); err != nil || len(all) != 0 {
		t.Errorf("nothing there: %v %v", all, err)
	}
	if err := d.Make(); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteNetwork(n); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(d.path("networks", "bad.json"), []byte(`{"name":"bad"`)); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(d.path("networks", "other.json"), []byte(`{"name":"../x","subnet":"10.0.0.0/24","mtu":1500}`)); err != nil {
		t.Fatal(err)
	}
	all, err := d.Networks()
	if len(all) != 1 || all[0] != n || err == nil {
		t.Errorf("networks: %+v %v", all, err)
	}
	if err := d.RemoveNetwork("db"); err != nil {
		t.Error(err)
	}
}

func FuzzParsePortName(f *testing.F) {
	for _, s := range []string{"rl0p2", "rl250p65535", "rl1", "eth0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if i, n, ok := ParsePortName(s); ok && PortName(i, n) != s {
			t.Errorf("%q is %d %d", s, i, n)
		}
	})
}
