package userns

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/plan"
)

func ext(v ...uint32) []plan.Extent {
	var out []plan.Extent
	for i := 0; i+2 < len(v); i += 3 {
		out = append(out, plan.Extent{Inside: v[i], Outside: v[i+1], Count: v[i+2]})
	}
	return out
}

// checkError compares an error with a wanted part of its text; "" wants none.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error %q, want none", err)
	case want != "" && err == nil:
		t.Errorf("no error, want %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("error %q, want %q", err, want)
	}
	if err != nil && strings.ContainsAny(err.Error(), "\n\r\x00") {
		t.Errorf("error %q is not one line", err)
	}
}

func TestParseExtent(t *testing.T) {
	for _, c := range []struct {
		in   string
		want plan.Extent
		err  string
	}{
		{in: "0:1001:1", want: plan.Extent{Inside: 0, Outside: 1001, Count: 1}},
		{in: "1:100000:65536", want: plan.Extent{Inside: 1, Outside: 100000, Count: 65536}},
		{in: "0:0:4294967295", want: plan.Extent{Count: 4294967295}},
		{in: "4294967294:4294967294:1", want: plan.Extent{Inside: 4294967294, Outside: 4294967294, Count: 1}},
		{in: "", err: `"": want INSIDE:HOST:COUNT`},
		{in: "0:1001", err: "want INSIDE:HOST:COUNT"},
		{in: "0:1:2:3", err: "want INSIDE:HOST:COUNT"},
		{in: "0::1", err: `"" is not a decimal number`},
		{in: "0:+1:1", err: "not a decimal number"},
		{in: "0:-1:1", err: "not a decimal number"},
		{in: "0:@1001:1", err: "not a decimal number"},
		{in: "0x0:1:1", err: "not a decimal number"},
		{in: "1_0:1:1", err: "not a decimal number"},
		{in: " 0:1:1", err: "not a decimal number"},
		{in: "0:1\n:1", err: "not a decimal number"},
		{in: "4294967296:1:1", err: "larger than any id"},
		{in: "0:1:99999999999999999999999", err: "larger than any id"},
		{in: "0:1001:0", err: "a count of 0 maps nothing"},
		{in: "4294967295:1:1", err: "inside ids from 4294967295 pass the last id"},
		{in: "0:4294967295:1", err: "host ids from 4294967295 pass the last id"},
		{in: "1:0:4294967295", err: "pass the last id"},
		{in: "0:1:4294967295", err: "pass the last id"},
	} {
		t.Run(c.in, func(t *testing.T) {
			got, err := ParseExtent(c.in)
			checkError(t, err, c.err)
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestParseMap(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []plan.Extent
		err      string
	}{
		{name: "none"},
		{name: "initial", in: "         0          0 4294967295\n", want: ext(0, 0, 4294967295)},
		{name: "two", in: "         0       1001          1\n         1     100000      65536\n", want: ext(0, 1001, 1, 1, 100000, 65536)},
		{name: "no newline", in: "0 1 1", want: ext(0, 1, 1)},
		{name: "tabs", in: "0\t1\t1\t\n", want: ext(0, 1, 1)},
		{name: "empty line", in: "\n", err: "line 1: want three decimal ids"},
		{name: "short", in: "0 1 1\n0 1\n", err: "line 2: want three decimal ids"},
		{name: "long", in: "0 1 1 1\n", err: "line 1: more than three fields"},
		{name: "letters", in: "0 1x 1\n", err: "want three decimal ids"},
		{name: "sign", in: "0 -1 1\n", err: "want three decimal ids"},
		{name: "too large", in: "0 4294967296 1\n", err: "want three decimal ids"},
		{name: "zero count", in: "0 1 0\n", err: "line 1: a count of 0"},
		{name: "overflow", in: "2 1 4294967295\n", err: "pass the last id"},
		{name: "too many", in: strings.Repeat("0 1 1\n", 341), err: "line 341: more than 340 extents"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseMap([]byte(c.in))
			checkError(t, err, c.err)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	many := func(n int, base, step uint32) []plan.Extent {
		var out []plan.Extent
		for i := range uint32(n) {
			out = append(out, plan.Extent{Inside: base + i*step, Outside: base + i*step, Count: 1})
		}
		return out
	}
	for _, c := range []struct {
		name string
		uid  []plan.Extent
		err  string
	}{
		{name: "single", uid: ext(0, 1001, 1)},
		{name: "gap", uid: ext(0, 1001, 1, 5, 100000, 10)},
		{name: "unsorted", uid: ext(5, 100000, 10, 0, 1001, 1)},
		{name: "touching", uid: ext(0, 10, 10, 10, 0, 10)},
		{name: "all ids", uid: ext(0, 0, 4294967295)},
		{name: "empty", err: "uid map: no id is mapped"},
		{name: "zero count", uid: ext(0, 1001, 0), err: "0:1001:0: a count of 0"},
		{name: "inside overflow", uid: ext(4294967290, 0, 6), err: "pass the last id"},
		{name: "outside overflow", uid: ext(0, 4294967290, 6), err: "pass the last id"},
		{name: "inside overlap", uid: ext(0, 1001, 2, 1, 100000, 10), err: "0:1001:2 and 1:100000:10 overlap: both hold inside id 1"},
		{name: "outside overlap", uid: ext(0, 100005, 1, 1, 100000, 10), err: "1:100000:10 and 0:100005:1 overlap: both hold host id 100005"},
		{name: "twice", uid: ext(0, 1, 1, 0, 1, 1), err: "overlap"},
		{name: "340", uid: many(340, 0, 2)},
		{name: "341", uid: many(341, 0, 2), err: "341 extents, the kernel takes 340"},
		{name: "text", uid: many(340, 1000000, 2), err: "the kernel takes 4095"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkError(t, Maps{UID: c.uid, GID: ext(0, 1, 1)}.Validate(), c.err)
			if c.err != "" {
				checkError(t, Maps{UID: ext(0, 1, 1), GID: c.uid}.Validate(), strings.TrimPrefix(c.err, "uid map: "))
			}
		})
	}
}

func TestMerge(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want []plan.Extent
	}{
		{"adjacent", ext(1, 100, 10, 11, 110, 5), ext(1, 100, 15)},
		{"unsorted", ext(11, 110, 5, 1, 100, 10), ext(1, 100, 15)},
		{"inside only", ext(1, 100, 10, 11, 200, 5), ext(1, 100, 10, 11, 200, 5)},
		{"outside only", ext(1, 100, 10, 12, 110, 5), ext(1, 100, 10, 12, 110, 5)},
		{"own before", ext(0, 7, 1, 1, 8, 5), ext(0, 7, 1, 1, 8, 5)},
		{"own after", ext(0, 2, 5, 5, 7, 1, 6, 8, 4), ext(0, 2, 5, 5, 7, 1, 6, 8, 4)},
		{"three", ext(0, 10, 1, 1, 11, 1, 2, 12, 1), ext(0, 10, 3)},
	} {
		if got := merge(slices.Clone(c.in), 7); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestIsolate(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want []plan.Extent
	}{
		{"absent", ext(0, 100, 10), ext(0, 100, 10)},
		{"alone", ext(0, 7, 1), ext(0, 7, 1)},
		{"first", ext(0, 7, 3), ext(0, 7, 1, 1, 8, 2)},
		{"last", ext(0, 5, 3), ext(0, 5, 2, 2, 7, 1)},
		{"middle", ext(10, 5, 5), ext(10, 5, 2, 12, 7, 1, 13, 8, 2)},
		{"just behind", ext(0, 5, 2), ext(0, 5, 2)},
	} {
		if got := isolate(c.in, 7); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestSplit(t *testing.T) {
	parent := ext(0, 1001, 1, 1, 100000, 65536)
	for _, c := range []struct {
		name             string
		in, parent, want []plan.Extent
		err              string
	}{
		{name: "initial", in: ext(0, 1001, 1, 1, 100000, 10), parent: ext(0, 0, 4294967295), want: ext(0, 1001, 1, 1, 100000, 10)},
		{name: "across", in: ext(0, 0, 1000), parent: parent, want: ext(0, 0, 1, 1, 1, 999)},
		{name: "shifted", in: ext(500, 0, 3), parent: parent, want: ext(500, 0, 1, 501, 1, 2)},
		{name: "whole", in: ext(0, 1, 65536), parent: parent, want: ext(0, 1, 65536)},
		{name: "unsorted parent", in: ext(0, 0, 6), parent: ext(4, 9, 2, 0, 1, 2, 2, 5, 2), want: ext(0, 0, 2, 2, 2, 2, 4, 4, 2)},
		{name: "behind", in: ext(0, 65530, 8), parent: parent, err: "host id 65537 does not exist"},
		{name: "gap", in: ext(0, 0, 6), parent: ext(0, 0, 2, 4, 4, 2), err: "host id 2 does not exist"},
		{name: "no map", in: ext(0, 5, 1), err: "host id 5 does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Split(c.in, c.parent)
			checkError(t, err, c.err)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestRanges(t *testing.T) {
	r := func(v ...uint32) []Range {
		var out []Range
		for i := 0; i+1 < len(v); i += 2 {
			out = append(out, Range{v[i], v[i+1]})
		}
		return out
	}
	for _, c := range []struct {
		name      string
		got, want []Range
	}{
		{"without middle", without(r(10, 10), Range{12, 3}), r(10, 2, 15, 5)},
		{"without front", without(r(10, 10), Range{5, 7}), r(12, 8)},
		{"without back", without(r(10, 10), Range{18, 100}), r(10, 8)},
		{"without all", without(r(10, 10), Range{0, 100}), r()},
		{"without beside", without(r(10, 10, 40, 1), Range{20, 5}), r(10, 10, 40, 1)},
		{"disjoint twice", disjoint(r(100, 10, 100, 10)), r(100, 10)},
		{"disjoint overlap keeps order", disjoint(r(200, 10, 100, 10, 95, 110)), r(200, 10, 100, 10, 95, 5, 110, 90)},
		{"disjoint invalid", disjoint(r(1, 0, 4294967295, 1, 5, 4294967295)), nil},
		{"within", within(r(50, 100, 0, 10), r(0, 5, 60, 10, 140, 100)), r(60, 10, 140, 10, 0, 5)},
	} {
		if len(c.got) != len(c.want) || len(c.got) > 0 && !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
	if s := formatRanges(r(1, 1, 10, 5, 20, 1, 30, 1, 40, 1, 50, 1)); s != "1, 10-14, 20, 30 and 2 more" {
		t.Errorf("formatRanges: %s", s)
	}
}

func TestMapsLookup(t *testing.T) {
	m := Maps{UID: ext(0, 1001, 1, 1, 100000, 65536), GID: ext(0, 0, 4294967295)}
	for _, c := range []struct {
		host, inside uint32
		ok           bool
	}{
		{1001, 0, true},
		{100000, 1, true},
		{165535, 65536, true},
		{165536, 0, false},
		{99999, 0, false},
		{0, 0, false},
		{4294967295, 0, false},
	} {
		if in, ok := m.InsideUID(c.host); in != c.inside || ok != c.ok {
			t.Errorf("InsideUID(%d) = %d, %v", c.host, in, ok)
		}
		if c.ok {
			if host, ok := m.HostUID(c.inside); host != c.host || !ok {
				t.Errorf("HostUID(%d) = %d, %v", c.inside, host, ok)
			}
		}
	}
	if _, ok := m.HostUID(65537); ok {
		t.Error("HostUID(65537) is mapped")
	}
	if in, ok := m.InsideGID(4294967294); in != 4294967294 || !ok {
		t.Error("InsideGID of the last id")
	}
	if _, ok := m.InsideGID(4294967295); ok {
		t.Error("InsideGID of no id")
	}
	if host, ok := m.HostGID(7); host != 7 || !ok {
		t.Error("HostGID(7)")
	}
}

func TestSameMap(t *testing.T) {
	a := ext(0, 1001, 1, 1, 100000, 10)
	for _, c := range []struct {
		name string
		b    []plan.Extent
		want bool
	}{
		{"same", ext(0, 1001, 1, 1, 100000, 10), true},
		{"other order", ext(1, 100000, 10, 0, 1001, 1), true},
		{"shorter", ext(0, 1001, 1), false},
		{"other count", ext(0, 1001, 1, 1, 100000, 11), false},
		{"none", nil, false},
	} {
		if got := sameMap(a, c.b); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
