package port

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestParse(t *testing.T) {
	for _, c := range []struct {
		value string
		want  Publish
		text  string // where it is not the value
	}{
		{"8080:80", Publish{HostPort: 8080, Port: 80, Count: 1}, "8080:80/tcp"},
		{"8080:80/udp", Publish{HostPort: 8080, Port: 80, Count: 1, Proto: UDP}, ""},
		{"8080:80/TCP", Publish{HostPort: 8080, Port: 80, Count: 1}, "8080:80/tcp"},
		{"127.0.0.1:8080:80/tcp", Publish{Host: addr("127.0.0.1"), HostPort: 8080, Port: 80, Count: 1}, ""},
		{"0.0.0.0:8080:80/tcp", Publish{Host: addr("0.0.0.0"), HostPort: 8080, Port: 80, Count: 1}, ""},
		{"[::1]:8080:80/tcp", Publish{Host: addr("::1"), HostPort: 8080, Port: 80, Count: 1}, ""},
		{"[::]:8080:80/udp", Publish{Host: addr("::"), HostPort: 8080, Port: 80, Count: 1, Proto: UDP}, ""},
		{"[fe80::1%eth0]:1:2/tcp", Publish{Host: addr("fe80::1%eth0"), HostPort: 1, Port: 2, Count: 1}, ""},
		{"[::ffff:192.0.2.1]:1:2/tcp", Publish{Host: addr("192.0.2.1"), HostPort: 1, Port: 2, Count: 1}, "192.0.2.1:1:2/tcp"},
		{"8000-8010:80-90/tcp", Publish{HostPort: 8000, Port: 80, Count: 11}, ""},
		{"65535-65535:1-1", Publish{HostPort: 65535, Port: 1, Count: 1}, "65535:1/tcp"},
		{"0:80/tcp", Publish{Port: 80, Count: 1}, ""},
		{":80/udp", Publish{Port: 80, Count: 1, Proto: UDP}, "0:80/udp"},
		{"80", Publish{Port: 80, Count: 1}, "0:80/tcp"},
		{":8080:80", Publish{HostPort: 8080, Port: 80, Count: 1}, "8080:80/tcp"},
		{"127.0.0.1::80", Publish{Host: addr("127.0.0.1"), Port: 80, Count: 1}, "127.0.0.1:0:80/tcp"},
		{"[::1]::80-82", Publish{Host: addr("::1"), Port: 80, Count: 3}, "[::1]:0:80-82/tcp"},
	} {
		list, err := Parse([]string{c.value})
		if err != nil || len(list) != 1 || list[0] != c.want {
			t.Errorf("-p %s: %+v, %v; want %+v", c.value, list, err, c.want)
			continue
		}
		want := c.text
		if want == "" {
			want = c.value
		}
		if got := list[0].String(); got != want {
			t.Errorf("-p %s prints as %s, want %s", c.value, got, want)
		}
	}
}

func TestMessages(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"", `-p "": container port "" is malformed (expected 1 to 65535)`},
		{"8080:", `container port "" is malformed (expected 1 to 65535)`},
		{"8080:0", `container port "0" is malformed (expected 1 to 65535)`},
		{"8080:65536", `container port "65536" is malformed (expected 1 to 65535)`},
		{"8080:+80", `container port "+80" is malformed (expected 1 to 65535)`},
		{"x:80", `host port "x" is malformed (expected 1 to 65535)`},
		{"-1:80", `host port "" is malformed (expected 1 to 65535)`},
		{"8080:80/sctp", `unknown protocol "sctp" (expected tcp or udp)`},
		{"8080:80/", `unknown protocol "" (expected tcp or udp)`},
		{"8000-8010:80", `host ports 8000-8010 are 11, container ports 80 are 1 (expected ranges of one length)`},
		{"8000-7000:80", `host port range 8000-7000 runs backwards (expected FIRST-LAST)`},
		{"0-5:80-85", `host port "0" is malformed (expected 1 to 65535)`},
		{"127.0.0.1:80", `no host port (expected [HOSTIP:]HOSTPORT:PORT[/tcp|udp]; 127.0.0.1::80 takes a free one)`},
		{"localhost:80:80", `malformed address "localhost" (expected IPv4, or IPv6 in brackets; names are not looked up)`},
		{"::1:80:80", `too many colons (expected [HOSTIP:]HOSTPORT:PORT[/tcp|udp]; an IPv6 address stands in brackets: [::1]:8080:80)`},
		{"[::1]:80", `1 ports behind the address (expected [HOSTIP]:HOSTPORT:PORT)`},
		{"[::1:80:80", `no ]: behind the address (expected [HOSTIP:]HOSTPORT:PORT[/tcp|udp])`},
		{"[]:80:80", `malformed address "" (expected IPv6 in brackets)`},
		{"[127.0.0.1]:80:80", `address "127.0.0.1" in the wrong form (expected IPv6 in brackets, IPv4 without)`},
		{"224.0.0.1:80:80", `address 224.0.0.1 belongs to no single host (expected one of this host's own)`},
		{"[fe80::1]:80:80", `link-local address fe80::1 without its interface (expected [fe80::1%INTERFACE])`},
		{"[::1%lo]:80:80", `interface with address ::1, which is not link-local (expected the address alone)`},
		{"1-5000:1-5000", `makes it 5000 ports (expected at most 4096)`},
	} {
		_, err := Parse([]string{c.value})
		want := c.want
		if !strings.HasPrefix(want, "-p ") {
			want = "-p " + c.value + ": " + want
		}
		if err == nil || err.Error() != want {
			t.Errorf("-p %s: %v\nwant %s", c.value, err, want)
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b    string
		refused bool
	}{
		{"80:80", "80:81", true},
		{"80:80", "80:80/udp", false},
		{"80:80", "81:80", false},
		{"80-90:80-90", "90-91:1-2", true},
		{"80-90:80-90", "91-92:1-2", false},
		{"80:80", "127.0.0.1:80:80", true},
		{"[::1]:80:80", "80:80", true},
		{"127.0.0.1:80:80", "127.0.0.2:80:80", false},
		{"127.0.0.1:80:80", "0.0.0.0:80:80", true},
		{"127.0.0.1:80:80", "[::]:80:80", false},
		{"0.0.0.0:80:80", "[::]:80:80", false},
		{"[::]:80:80", "[::1]:80:80", true},
		{":80", ":80", false},
		{":80", "80:80", false},
	} {
		_, err := Parse([]string{c.a, c.b})
		if (err != nil) != c.refused {
			t.Errorf("-p %s -p %s: %v", c.a, c.b, err)
		}
		if want := "-p " + c.b + ": asks for a port of the host that -p " + c.a + " asks for too (expected each once)"; err != nil && err.Error() != want {
			t.Errorf("message %q, want %q", err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"8080:80", "[fe80::1%a]:1-2:3-4/udp", "127.0.0.1::80", ":80", "[::]:0:1/tcp", "1:2:3:4", "a/b", "\x00", "[::1]:]:1"} {
		f.Add(s, "8080:80/udp")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		list, err := Parse([]string{a, b})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Flag != "-p" || e.Value != a && e.Value != b || e.Reason == "" {
				t.Fatalf("error %#v", err)
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("message %q", err)
			}
			return
		}
		if len(list) != 2 {
			t.Fatalf("%+v", list)
		}
		taken := map[Publish]bool{}
		for _, p := range list {
			if p.Port == 0 || p.Count < 1 || int(p.Port)+p.Count > 1<<16 || p.HostPort != 0 && int(p.HostPort)+p.Count > 1<<16 {
				t.Fatalf("%+v", p)
			}
			again, err := Parse([]string{p.String()})
			if err != nil || !reflect.DeepEqual(again, []Publish{p}) {
				t.Fatalf("%+v prints as %s, which parses to %+v, %v", p, p, again, err)
			}
			for _, one := range p.Each() {
				one.Port = 0
				if one.HostPort != 0 && taken[one] {
					t.Fatalf("%q and %q both have %v", a, b, one)
				}
				taken[one] = true
			}
		}
	})
}
