package usernet

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseLine(t *testing.T) {
	for _, c := range []struct {
		line string
		want Entry
		bad  string // a part of the error
	}{
		{line: ""},
		{line: "  \t "},
		{line: "# alice veth br0 1"},
		{line: "  #"},
		{line: "alice veth br0 1", want: Entry{Allow: Allow{User: "alice", Bridge: "br0", Count: 1}}},
		{line: " alice\tveth  - 9999 ", want: Entry{Allow: Allow{User: "alice", Bridge: "-", Count: 9999}}},
		{line: "@staff veth br0.7 0", want: Entry{Allow: Allow{Group: "staff", Bridge: "br0.7"}}},
		{line: "1000 veth br0 07", want: Entry{Allow: Allow{User: "1000", Bridge: "br0", Count: 7}}},
		{line: "pool veth br0 10", want: Entry{Allow: Allow{User: "pool", Bridge: "br0", Count: 10}}},
		{line: "pool br0 10.0.0.0/8", want: Entry{Pool: Pool{"br0", netip.MustParsePrefix("10.0.0.0/8")}}},
		{line: "pool - fd00:47::/96", want: Entry{Pool: Pool{"-", netip.MustParsePrefix("fd00:47::/96")}}},
		{line: "alice veth br0", bad: "want "},
		{line: "alice veth br0 1 2", bad: "want "},
		{line: "alice veth br0 1 # note", bad: "want "},
		{line: "alice macvlan br0 1", bad: "kind"},
		{line: "alice veth br0 -1", bad: "count"},
		{line: "alice veth br0 +1", bad: "count"},
		{line: "alice veth br0 10000", bad: "count"},
		{line: "alice veth br0 0x1", bad: "count"},
		{line: "alice veth br0 99999999999999999999", bad: "count"},
		{line: "alice veth ../br0 1", bad: "bridge"},
		{line: "alice veth .. 1", bad: "bridge"},
		{line: "alice veth abcdefghijklmnop 1", bad: "bridge"},
		{line: "@ veth br0 1", bad: "user or group"},
		{line: "@@a veth br0 1", bad: "user or group"},
		{line: "a:b veth br0 1", bad: "user or group"},
		{line: "alice veth br0 1\r", bad: "character 0x0d"},
		{line: "alice\x00 veth br0 1", bad: "character 0x00"},
		{line: "älice veth br0 1", bad: "character"},
		{line: "pool br0 10.0.0.1/24", bad: "10.0.0.0/24 would be one"},
		{line: "pool br0 10.0.0.0", bad: "want one like"},
		{line: "pool br0 10.0.0.0/7", bad: "length"},
		{line: "pool br0 10.0.0.0/31", bad: "length"},
		{line: "pool br0 0.0.0.0/0", bad: "length"},
		{line: "pool br0 fd00::/97", bad: "length"},
		{line: "pool br0 127.0.0.0/24", bad: "not for hosts"},
		{line: "pool br0 224.0.0.0/24", bad: "not for hosts"},
		{line: "pool br0 240.0.0.0/24", bad: "not for hosts"},
		{line: "pool br0 169.254.1.0/24", bad: "not for hosts"},
		{line: "pool br0 fe80::/64", bad: "not for hosts"},
		{line: "pool br0 ::ffff:0:0/96", bad: "not for hosts"},
		{line: "pool br0 fe80::%eth0/64", bad: "want one like"},
	} {
		got, err := ParseLine(c.line)
		if c.bad == "" && (err != nil || got != c.want) {
			t.Errorf("%q is %+v, %v", c.line, got, err)
		}
		if c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad) || got != Entry{}) {
			t.Errorf("%q is %+v, %v; want an error with %q", c.line, got, err, c.bad)
		}
	}
}

func TestParse(t *testing.T) {
	p, err := Parse("\n# x\nalice veth - 1\npool - 10.0.0.0/24")
	if err != nil || len(p.Allows) != 1 || len(p.Pools) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = Parse("alice veth - 1\n\nbob veth\n")
	if line, ok := errors.AsType[*LineError](err); !ok || line.Line != 3 || len(p.Allows) != 0 {
		t.Errorf("%+v, %v; want nothing but an error in line 3", p, err)
	}
}

// What a line says does not depend on the others, and their order tells nothing.
func FuzzParse(f *testing.F) {
	f.Add("alice veth br0 10\n@staff veth - 2\npool - 192.168.47.0/24\n")
	f.Add("pool br0 fd00::/64\n# c\n\n\talice veth br0 1")
	f.Add("pool veth br0 10\npool br0 10.0.0.0/8")
	f.Add("a veth b 1 #\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		lines := strings.Split(text, "\n")
		var alone Policy
		bad := false
		for _, line := range lines {
			one, err := Parse(line)
			if err != nil {
				bad = true
				if strings.ContainsAny(err.Error(), "\n\x00\x1b") {
					t.Fatalf("error %q", err)
				}
			}
			alone.Allows, alone.Pools = append(alone.Allows, one.Allows...), append(alone.Pools, one.Pools...)
		}
		if bad != (err != nil) || err != nil && (p.Allows != nil || p.Pools != nil) {
			t.Fatalf("line by line: %v, together: %v", bad, err)
		}
		if err != nil {
			return
		}
		if len(p.Allows) != len(alone.Allows) || len(p.Pools) != len(alone.Pools) {
			t.Fatalf("%+v, line by line %+v", p, alone)
		}
		for i, a := range p.Allows {
			if a != alone.Allows[i] || a.Count < 0 || a.Count > MaxCount || (a.User == "") == (a.Group == "") || !isBridge(a.Bridge) {
				t.Fatalf("%+v", a)
			}
		}
		for i, pool := range p.Pools {
			if pool != alone.Pools[i] || pool.Subnet != pool.Subnet.Masked() || !isBridge(pool.Bridge) {
				t.Fatalf("%+v", pool)
			}
		}
	})
}

func FuzzParseArgs(f *testing.F) {
	f.Add("bridge=br0 ip=10.0.0.7/24 name=a mtu=1400")
	f.Add("host=192.168.47.11/24 ip=192.168.47.12/24")
	f.Add("host=10.0.0.1/31 ip=10.0.0.0/31")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseArgs(strings.Split(text, " "))
		if err != nil {
			if refusal, ok := errors.AsType[*Refusal](err); !ok || refusal.Word != Usage {
				t.Fatal(err)
			}
			return
		}
		again, err := ParseArgs(r.Args())
		if err != nil || again != r {
			t.Fatalf("%+v is %v, which is %+v, %v", r, r.Args(), again, err)
		}
		if !IsName(r.Name) || r.Bridge != "" && !IsInterface(r.Bridge) || r.MTU != 0 && (r.MTU < MinMTU || r.MTU > MaxMTU) {
			t.Fatalf("%+v", r)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add("ok ifname=rl1000_a ifindex=5 inner=rlv0 innerindex=2 mac=0a:72:c0:a8:2f:0c mtu=1500 ip=192.168.47.12/24 gateway=192.168.47.11\n")
	f.Add("refused clash 10.0.0.0/8 eth0\n")
	f.Add("refused quota\n")
	f.Fuzz(func(t *testing.T, line string) {
		a, err := ParseAnswer(line)
		if err == nil {
			if again, err := ParseAnswer(a.Format()); err != nil || again != a {
				t.Fatalf("%+v comes back as %+v, %v", a, again, err)
			}
			return
		}
		if r, ok := errors.AsType[*Refusal](err); ok {
			_, err := ParseAnswer(FormatRefusal(r))
			if again, ok := errors.AsType[*Refusal](err); !ok || *again != *r {
				t.Fatalf("%+v comes back as %v", r, err)
			}
		}
	})
}

func TestLoadFrom(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadFrom(dir + "/none"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("without a directory: %v", err)
	}
	path := dir + "/" + File
	if err := os.WriteFile(path, []byte("alice veth - 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := LoadFrom(dir)
	if os.Geteuid() != 0 {
		// It is the user's own, and that is not good enough.
		if !errors.Is(err, ErrUntrusted) {
			t.Errorf("a policy of a user: %v", err)
		}
		return
	}
	if err != nil || len(p.Allows) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, mode := range []os.FileMode{0o664, 0o646, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadFrom(dir); !errors.Is(err, ErrUntrusted) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.Symlink(dir, dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadFrom(dir + "/link"); err == nil {
		t.Error("a symbolic link was followed")
	}
}
