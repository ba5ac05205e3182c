package userns

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/plan"
)

func FuzzParseExtent(f *testing.F) {
	for _, s := range []string{"0:1001:1", "1:100000:65536", "0:0:4294967295", "0:1", ":::", "-1:+1:0x1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseExtent(s)
		if err != nil {
			if e != (plan.Extent{}) {
				t.Errorf("%q: extent %v beside an error", s, e)
			}
			return
		}
		if err := (Maps{UID: []plan.Extent{e}, GID: []plan.Extent{e}}).Validate(); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		again, err := ParseExtent(colons(e))
		if err != nil || again != e {
			t.Errorf("%q: %v does not come back: %v, %v", s, e, again, err)
		}
	})
}

func FuzzParseMap(f *testing.F) {
	for _, s := range []string{
		"", "         0          0 4294967295\n", "0 1001 1\n1 100000 65536\n", "0 1 1", "0 1\n", "0 1 1 1\n", "a b c\n", "\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ParseMap(text)
		if err != nil {
			return
		}
		if len(got) > MaxExtents {
			t.Fatalf("%d extents", len(got))
		}
		for _, e := range got {
			if err := checkExtent(e); err != nil {
				t.Error(err)
			}
		}
		again, err := ParseMap(Text(got))
		if err != nil || !slices.Equal(again, got) {
			t.Errorf("%v does not come back: %v, %v", got, again, err)
		}
	})
}

// FuzzParseSubIDs holds every range against a naive reading of the same text.
func FuzzParseSubIDs(f *testing.F) {
	for _, s := range []string{
		"", "alice:100000:65536\n", "1001:200000:65536\nalice:100000:65536", "alice:1:\nalice", "# alice:1:1\n:1:1\n",
		"alice:4294967294:1\nalice:4294967295:1\nalice:0:4294967296\n", "alice:010:10\nalice:10:0x10\nalice:-1:1\n",
		" alice:1:1 \r\n", "alice:18446744073709551616:1\n", "bob:1:1:1\nalice:1:1:1\n",
	} {
		f.Add([]byte(s), "alice", uint32(1001))
	}
	f.Fuzz(func(t *testing.T, text []byte, name string, uid uint32) {
		id := formatID(uid)
		ranges, problem := parseSubIDs(text, name, id)
		if strings.ContainsAny(problem, "\n\r") {
			t.Errorf("problem %q is not one line", problem)
		}
		if len(ranges) > maxRanges {
			t.Fatalf("%d ranges", len(ranges))
		}
		var want []Range
		for line := range strings.SplitSeq(string(text), "\n") {
			fields := strings.Split(strings.Trim(strings.TrimRight(line, " \t\r"), " \t"), ":")
			if len(fields) != 3 || fields[0] == "" || fields[0][0] == '#' || fields[0] != name && fields[0] != id {
				continue
			}
			start, err1 := strconv.ParseUint(fields[1], 10, 32)
			count, err2 := strconv.ParseUint(fields[2], 10, 32)
			if err1 != nil || err2 != nil || formatID(uint32(start)) != fields[1] || formatID(uint32(count)) != fields[2] {
				continue
			}
			if r := (Range{uint32(start), uint32(count)}); r.valid() && len(want) < maxRanges {
				want = append(want, r)
			}
		}
		if !slices.Equal(ranges, want) {
			t.Errorf("%q of %q or %s: got %v, want %v", text, name, id, ranges, want)
		}
		// Whatever the ranges are, what becomes of them is a map or a reason.
		c := plainCaller()
		c.UID, c.Subordinate = min(uid, noID-1), Subordinate{UID: ranges, GID: ranges}
		for _, mode := range []Mode{ModeAuto, ModeKeepID} {
			r, err := Compile(Request{Mode: mode}, c)
			if err == nil {
				err = r.Maps.Validate()
			}
			if err != nil {
				t.Errorf("%s: %v", mode, err)
			}
		}
	})
}

// FuzzParseNames reads one text as each of the files and outputs that a lookup
// reads beside the two of ids.
func FuzzParseNames(f *testing.F) {
	for _, s := range []string{
		alicePasswd, "subid: sss files\n", "0: alice 100000 65536\n1: alice 4294967295 1\n", ":::\n+:x:1001:\n", "SUBID:\t\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if name := parsePasswd(text, "1001"); strings.ContainsAny(name, ":\n") {
			t.Errorf("name %q", name)
		}
		if word := subidSource(text); word == "" || strings.ContainsAny(word, " \t\n") {
			t.Errorf("source %q", word)
		}
		for _, r := range parseGetsubids(text) {
			if !r.valid() {
				t.Errorf("range %+v", r)
			}
		}
		if s := oneLine(text, "sh"); strings.ContainsAny(s, "\n\r\x00\x1b") {
			t.Errorf("message %q", s)
		}
	})
}
