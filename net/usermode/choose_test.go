package usermode

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var (
	outward4 = netip.MustParseAddr("192.0.2.1")
	outward6 = netip.MustParseAddr("2001:db8::1")
)

// online is a host with everything.
func online() Host {
	return Host{
		Pasta: "/usr/bin/pasta", Slirp4netns: "/usr/bin/slirp4netns", PastaIsNew: true, Outward4: outward4, Outward6: outward6,
		Resolver: parseResolver([]byte("nameserver 127.0.0.53\nsearch a.example b.example\noptions edns0\n")),
	}
}

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Host, *Request)
		kind   Kind
		note   string // or the error, for a kind that was asked for
	}{
		{"new pasta", func(*Host, *Request) {}, Pasta, ""},
		{"old pasta", func(h *Host, _ *Request) { h.PastaIsNew = false }, Slirp4netns, ""},
		{"no pasta", func(h *Host, _ *Request) { h.Pasta = "" }, Slirp4netns, ""},
		{"old pasta alone", func(h *Host, _ *Request) { h.PastaIsNew, h.Slirp4netns = false, "" }, Pasta, "uploads may stall"},
		{"nothing", func(h *Host, _ *Request) { h.Pasta, h.Slirp4netns = "", "" }, None, "neither pasta nor slirp4netns is installed"},
		{"old slirp4netns", func(h *Host, _ *Request) { h.SlirpIsOld = true }, Pasta, ""},
		{"old both", func(h *Host, _ *Request) { h.PastaIsNew, h.SlirpIsOld = false, true }, Pasta, "and slirp4netns is of before 0.4.0"},
		{"old slirp4netns alone", func(h *Host, _ *Request) { h.Pasta, h.SlirpIsOld = "", true }, None, "no network: slirp4netns is of before 0.4.0 (July 2019), and pasta is not installed; sudo "},
		{"offline, old slirp4netns", func(h *Host, _ *Request) {
			h.Outward4, h.Outward6, h.SlirpIsOld = netip.Addr{}, netip.Addr{}, true
		}, Pasta, ""},
		{"offline, old both", func(h *Host, _ *Request) {
			h.Outward4, h.Outward6, h.PastaIsNew, h.SlirpIsOld = netip.Addr{}, netip.Addr{}, false, true
		}, None, "no default route, without which this pasta does not start, and slirp4netns is of before 0.4.0"},
		{"old slirp4netns asked", func(h *Host, r *Request) { r.Kind, h.SlirpIsOld = Slirp4netns, true }, None, "start network slirp4netns: slirp4netns is of before 0.4.0"},
		{"offline", func(h *Host, _ *Request) { h.Outward4, h.Outward6 = netip.Addr{}, netip.Addr{} }, Slirp4netns, ""},
		{"offline, new pasta alone", func(h *Host, _ *Request) {
			h.Outward4, h.Outward6, h.Slirp4netns = netip.Addr{}, netip.Addr{}, ""
		}, Pasta, ""},
		{"offline, old pasta alone", func(h *Host, _ *Request) {
			h.Outward4, h.Outward6, h.Slirp4netns, h.PastaIsNew = netip.Addr{}, netip.Addr{}, "", false
		}, None, "no default route"},
		{"tun missing", func(h *Host, _ *Request) { h.Tun = TunMissing }, None, "/dev/net/tun is missing; "},
		{"tun forbidden", func(h *Host, _ *Request) { h.Tun = TunForbidden }, None, "permission denied; "},
		{"tun without module", func(h *Host, _ *Request) { h.Tun = TunNoModule }, None, "no tun device; sudo modprobe tun"},
		{"pasta ended", func(_ *Host, r *Request) { r.Without = []Kind{Pasta} }, Slirp4netns, ""},
		{"both ended", func(_ *Host, r *Request) { r.Without = []Kind{Pasta, Slirp4netns} }, None, "no network: slirp4netns ended before it was ready"},
		{"pasta asked", func(h *Host, r *Request) { r.Kind, h.PastaIsNew = Pasta, false }, Pasta, ""},
		{"slirp4netns asked", func(_ *Host, r *Request) { r.Kind = Slirp4netns }, Slirp4netns, ""},
		{"pasta asked, missing", func(h *Host, r *Request) { r.Kind, h.Pasta = Pasta, "" }, None, "start network pasta: pasta is not installed"},
		{"slirp4netns asked, missing", func(h *Host, r *Request) { r.Kind, h.Slirp4netns = Slirp4netns, "" }, None, "start network slirp4netns: slirp4netns is not installed"},
		{"pasta asked, ended", func(_ *Host, r *Request) { r.Kind, r.Without = Pasta, []Kind{Pasta} }, None, "start network pasta: it ended before it was ready"},
		{"old pasta asked, offline", func(h *Host, r *Request) {
			r.Kind, h.PastaIsNew, h.Outward4, h.Outward6 = Pasta, false, netip.Addr{}, netip.Addr{}
		}, None, "start network pasta: the host has no default route"},
		{"slirp4netns asked, no tun", func(h *Host, r *Request) { r.Kind, h.Tun = Slirp4netns, TunMissing }, None, "start network slirp4netns: /dev/net/tun is missing"},
	} {
		h, r := online(), Request{}
		test.change(&h, &r)
		d, notes, err := Choose(h, r)
		said := strings.Join(notes, "\n")
		if err != nil {
			said = err.Error()
			if e := (*Error)(nil); !errors.As(err, &e) || r.Kind == Auto {
				t.Errorf("%s: %#v", test.name, err)
			}
		}
		if d.Kind != test.kind || !strings.Contains(said, test.note) || (test.note == "") != (said == "") {
			t.Errorf("%s: %v, %q, want %v, %q", test.name, d.Kind, said, test.kind, test.note)
		}
		if d.Kind == None && d.Argv() != nil || d.Kind != None && d.Argv()[0] != d.Path {
			t.Errorf("%s: arguments %q", test.name, d.Argv())
		}
		// The same again decides the same: nothing of Host was changed.
		if again, _, _ := Choose(h, r); !slices.Equal(again.Argv(), d.Argv()) {
			t.Errorf("%s: another choice", test.name)
		}
	}
}

func TestSubnetThatHidesNothing(t *testing.T) {
	for routes, want := range map[string]string{
		"192.0.2.0/24":               "10.0.2.0/24",
		"10.0.0.0/8":                 "172.31.251.0/24",
		"10.0.2.15/32 172.16.0.0/12": "192.168.251.0/24",
		"10.0.0.0/8 128.0.0.0/1":     "10.0.2.0/24",
		"10.0.2.0/28 128.0.0.0/1":    "10.251.251.0/24",
	} {
		h := online()
		for f := range strings.FieldsSeq(routes) {
			h.Routes = append(h.Routes, netip.MustParsePrefix(f))
		}
		if d, _, _ := Choose(h, Request{}); d.Subnet.String() != want {
			t.Errorf("%s: %v, want %s", routes, d.Subnet, want)
		}
	}
}

func TestDriver(t *testing.T) {
	stub := "nameserver 127.0.0.53\nsearch a.example b.example\noptions edns0\n"
	for _, test := range []struct {
		name, resolv  string
		change        func(*Host, *Request)
		want, servers string
		hosts         string
	}{
		{
			"pasta", stub, func(*Host, *Request) {},
			"/usr/bin/pasta --foreground --quiet --config-net --no-map-gw --no-netns-quit --no-dhcp --no-dhcpv6 --no-ra " +
				"--mtu 65520 --ns-ifname eth0 --pid /proc/self/fd/1 --map-host-loopback none --map-guest-addr none " +
				"-t none -u none -T none -U none --address 10.0.2.100 --netmask 24 --gateway 10.0.2.2 " +
				"--address fd72:6c2d:7275:6e00::64 --gateway fd72:6c2d:7275:6e00::2 --dns-forward 10.0.2.3 " +
				"--netns-only --netns /proc/self/fd/0",
			"[10.0.2.3]", "[192.0.2.1 2001:db8::1]",
		},
		{
			"old pasta, IPv4", "nameserver 192.0.2.53\n",
			func(h *Host, r *Request) { h.PastaIsNew, h.Outward6, r.Kind = false, netip.Addr{}, Pasta },
			"/usr/bin/pasta --foreground --quiet --config-net --no-map-gw --no-netns-quit --no-dhcp --no-dhcpv6 --no-ra " +
				"--mtu 65520 --ns-ifname eth0 --pid /proc/self/fd/1 " +
				"-t none -u none -T none -U none --address 10.0.2.100 --netmask 24 --gateway 10.0.2.2 --ipv4-only " +
				"--dns-forward 10.0.2.3 --netns-only --netns /proc/self/fd/0",
			"[10.0.2.3]", "[192.0.2.1]",
		},
		{
			"pasta that stays, IPv4", "nameserver 192.0.2.53\n",
			func(h *Host, r *Request) {
				h.PastaIsNew, h.PastaStays, h.Outward6, r.Kind = false, true, netip.Addr{}, Pasta
			},
			"/usr/bin/pasta --foreground --quiet --config-net --no-map-gw --no-dhcp --no-dhcpv6 --no-ra " +
				"--mtu 65520 --ns-ifname eth0 --pid /proc/self/fd/1 " +
				"-t none -u none -T none -U none --address 10.0.2.100 --netmask 24 --gateway 10.0.2.2 --ipv4-only " +
				"--dns-forward 10.0.2.3 --netns-only --netns /proc/self/fd/0",
			"[10.0.2.3]", "[192.0.2.1]",
		},
		{
			"pasta, IPv6", "nameserver 192.0.2.53\nnameserver 2001:db8::53\n",
			func(h *Host, r *Request) { h.Outward4, r.MTU, r.Interface = netip.Addr{}, 1500, "up0" },
			"/usr/bin/pasta --foreground --quiet --config-net --no-map-gw --no-netns-quit --no-dhcp --no-dhcpv6 --no-ra " +
				"--mtu 1500 --ns-ifname up0 --pid /proc/self/fd/1 --map-host-loopback none --map-guest-addr none " +
				"-t none -u none -T none -U none --ipv6-only " +
				"--address fd72:6c2d:7275:6e00::64 --gateway fd72:6c2d:7275:6e00::2 --dns-forward fd72:6c2d:7275:6e00::3 " +
				"--netns-only --netns /proc/self/fd/0",
			"[fd72:6c2d:7275:6e00::3]", "[2001:db8::1]",
		},
		{
			"slirp4netns", stub, func(_ *Host, r *Request) { r.Kind = Slirp4netns },
			"/usr/bin/slirp4netns --configure --mtu=65520 --disable-host-loopback --enable-sandbox --enable-seccomp " +
				"--cidr=10.0.2.0/24 --ready-fd=1 --netns-type=path --enable-ipv6 /proc/self/fd/0 eth0",
			"[10.0.2.3]", "[192.0.2.1 2001:db8::1]",
		},
		{
			"slirp4netns without names", stub, func(h *Host, r *Request) {
				r.Kind, r.NoDNS, h.Outward6, r.Subnet = Slirp4netns, true, netip.Addr{}, netip.MustParsePrefix("10.9.8.0/24")
			},
			"/usr/bin/slirp4netns --configure --mtu=65520 --disable-host-loopback --enable-sandbox --enable-seccomp " +
				"--cidr=10.9.8.0/24 --ready-fd=1 --netns-type=path --disable-dns /proc/self/fd/0 eth0",
			"[]", "[192.0.2.1]",
		},
		{
			"slirp4netns that has names", stub, func(h *Host, r *Request) {
				h.SlirpHasNames, r.Kind, r.NoDNS, h.Outward6, r.Subnet = true, Slirp4netns, true, netip.Addr{}, netip.MustParsePrefix("10.9.8.0/24")
			},
			"/usr/bin/slirp4netns --configure --mtu=65520 --disable-host-loopback --enable-sandbox --enable-seccomp " +
				"--cidr=10.9.8.0/24 --ready-fd=1 --netns-type=path /proc/self/fd/0 eth0",
			"[]", "[192.0.2.1]",
		},
	} {
		h, r := online(), Request{}
		h.Resolver = parseResolver([]byte(test.resolv))
		test.change(&h, &r)
		d, _, err := Choose(h, r)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := strings.Join(d.Argv(), " "); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, got, test.want)
		}
		if got := fmt.Sprint(d.Servers()); got != test.servers {
			t.Errorf("%s: name servers %s, want %s", test.name, got, test.servers)
		}
		var hosts []string
		for _, a := range d.Hosts() {
			hosts = append(hosts, a.String())
		}
		if got := "[" + strings.Join(hosts, " ") + "]"; got != test.hosts {
			t.Errorf("%s: hosts %s, want %s", test.name, got, test.hosts)
		}
	}
}

func TestIsReady(t *testing.T) {
	for arrived, want := range map[string][2]bool{
		"": {}, "2\n": {true, false}, "1": {true, true}, "WARNING: 1\n": {true, false}, "WARNING: x\n1": {true, true}, "WARNING: 1": {true, false},
	} {
		got := [2]bool{Driver{Kind: Pasta}.IsReady([]byte(arrived)), Driver{Kind: Slirp4netns}.IsReady([]byte(arrived))}
		if got != want {
			t.Errorf("%q: %v, want %v", arrived, got, want)
		}
	}
}

func TestCause(t *testing.T) {
	for said, want := range map[string]string{
		"": "",
		"Failed to send 40 bytes to syslog\nNo external routable interface for IPv4\nFailed to send 9 bytes to syslog\n": "No external routable interface for IPv4",
		"open(\"/dev/net/tun\"): No such file or directory\n\n":                                                          "open(\"/dev/net/tun\"): No such file or directory",
	} {
		if got := Cause([]byte(said)); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}
