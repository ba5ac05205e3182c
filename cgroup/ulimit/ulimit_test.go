package ulimit

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Limit
		err  string
	}{
		{"nofile=1024", Limit{"nofile", unix.RLIMIT_NOFILE, 1024, 1024}, ""},
		{"nofile=1024:2048", Limit{"nofile", unix.RLIMIT_NOFILE, 1024, 2048}, ""},
		{"core=-1", Limit{"core", unix.RLIMIT_CORE, Infinity, Infinity}, ""},
		{"core=0:unlimited", Limit{"core", unix.RLIMIT_CORE, 0, Infinity}, ""},
		{"nofile=2:1", Limit{}, "above the hard"},
		{"nofile=-1:1", Limit{}, "above the hard"},
		{"nofile", Limit{}, "expected nofile="},
		{"nofile=", Limit{}, "expected nofile="},
		{"nofile=1:", Limit{}, "expected nofile="},
		{"nofile=1:2:3", Limit{}, "expected nofile="},
		{"nofile=-2", Limit{}, "expected nofile="},
		{"nofile=1k", Limit{}, "expected nofile="},
		{"files=1", Limit{}, "a name of as core"},
		{"", Limit{}, "a name of as core"},
	} {
		l, err := Parse(c.in)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: got %v, want an error with %q", c.in, err, c.err)
			}
			continue
		}
		if err != nil || l != c.want {
			t.Errorf("%q: got %+v, want %+v (%v)", c.in, l, c.want, err)
		}
	}
}

func TestNamesAreAllKnown(t *testing.T) {
	seen := make(map[int]string)
	for name := range strings.FieldsSeq(Names) {
		l, err := Parse(name + "=0")
		if err != nil {
			t.Error(err)
		}
		if seen[l.Resource] != "" {
			t.Errorf("%s and %s are the same resource", name, seen[l.Resource])
		}
		seen[l.Resource] = name
	}
	if len(seen) != 16 {
		t.Errorf("%d resources, and the kernel has 16", len(seen))
	}
}

func TestCheck(t *testing.T) {
	if err := (Limit{Name: "nofile", Soft: 10, Hard: 20}).Check(20); err != nil {
		t.Error(err)
	}
	if err := (Limit{Name: "nofile", Soft: 10, Hard: 20}).Check(19); err == nil || !strings.Contains(err.Error(), "nofile=10:20") {
		t.Error(err)
	}
	if err := (Limit{Name: "core", Soft: Infinity, Hard: Infinity}).Check(Infinity); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"nofile=1024:2048", "core=-1", "stack=unlimited", "nproc=5:", "=", "nice=1:2:3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(l.String())
		if err != nil || again != l {
			t.Errorf("%q became %q: %+v (%v)", s, l, again, err)
		}
	})
}
