package userns

import (
	"slices"
	"strings"
	"testing"
)

func TestParseSubIDs(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []Range
		problem  string
	}{
		{name: "empty"},
		{name: "by name", in: "alice:100000:65536\n", want: []Range{{100000, 65536}}},
		{name: "by uid", in: "1001:100000:65536\n", want: []Range{{100000, 65536}}},
		{name: "both, in order", in: "1001:300000:10\nbob:1:1\nalice:100000:20", want: []Range{{300000, 10}, {100000, 20}}},
		{name: "others", in: "bob:100000:65536\n10011:5:5\nalic:1:1\nalicex:1:1\n"},
		{name: "comments and blanks", in: "# alice:1:1\n\n  alice:5:6  \r\n", want: []Range{{5, 6}}},
		{name: "malformed line of another", in: "bob:x:y:z\nbroken\n::\nalice:5:6\n", want: []Range{{5, 6}}},
		{name: "malformed own line", in: "alice:1\nalice:5:6\n", want: []Range{{5, 6}}, problem: "line 1: want OWNER:START:COUNT"},
		{name: "four fields", in: "alice:1:2:3\n", problem: "line 1: want OWNER:START:COUNT"},
		{name: "first problem stays", in: "alice:5:6\nalice:1\nalice:2:0\n", want: []Range{{5, 6}}, problem: "line 2: want"},
		{name: "negative", in: "alice:-1:6\n", problem: "want OWNER:START:COUNT"},
		{name: "octal to newuidmap", in: "alice:0100000:65536\n", problem: "want OWNER:START:COUNT"},
		{name: "hexadecimal", in: "alice:0x186a0:65536\n", problem: "want OWNER:START:COUNT"},
		{name: "zero count", in: "alice:100000:0\n", problem: "a count of 0"},
		{name: "count overflow", in: "alice:100000:4294967295\n", problem: "4294967295 ids from 100000 pass the last id"},
		{name: "64-bit overflow", in: "alice:9999999999999999999:9999999999999999999\n", problem: "pass the last id"},
		{name: "beyond 64 bits", in: "alice:1:18446744073709551616\n", problem: "want OWNER:START:COUNT"},
		{name: "last id", in: "alice:4294967294:1\nalice:0:4294967295\n", want: []Range{{4294967294, 1}, {0, 4294967295}}},
		{name: "no id", in: "alice:4294967295:1\n", problem: "pass the last id"},
		{name: "NUL", in: "alice\x00:1:1\nalice:5:6\n", want: []Range{{5, 6}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, problem := parseSubIDs([]byte(c.in), "alice", "1001")
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if (c.problem == "") != (problem == "") || !strings.HasPrefix(problem, c.problem) && !strings.Contains(problem, c.problem) {
				t.Errorf("problem %q, want %q", problem, c.problem)
			}
		})
	}
}

func TestParseSubIDsUnknownName(t *testing.T) {
	got, problem := parseSubIDs([]byte(":1:1\n1001:5:6\n"), "", "1001")
	if !slices.Equal(got, []Range{{5, 6}}) || problem != "" {
		t.Errorf("got %v, %q", got, problem)
	}
}

func TestParseSubIDsBound(t *testing.T) {
	got, problem := parseSubIDs([]byte(strings.Repeat("alice:1:1\n", 100000)), "alice", "1001")
	if len(got) != maxRanges || !strings.Contains(problem, "more than 340 ranges") {
		t.Errorf("%d ranges, %q", len(got), problem)
	}
}

func TestParsePasswd(t *testing.T) {
	const text = "root:x:0:0:root:/root:/bin/sh\n# old:x:1001:1001::/:\nbroken\n:x:1001:1::/:\n+:x:1001:1::/:\n" +
		"short:x:1001\nalice:x:1001:1001:A,B:/home/alice:/bin/sh\ntwin:x:1001:1001::/:\nlast:x:7:7::/:/bin/sh"
	for uid, want := range map[string]string{"0": "root", "1001": "alice", "7": "last", "1": "", "": ""} {
		if got := parsePasswd([]byte(text), uid); got != want {
			t.Errorf("uid %s: got %q, want %q", uid, got, want)
		}
	}
}

func TestSubidSource(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "files",
		"passwd: files sss\n":              "files",
		"subid: files\n":                   "files",
		"subid:\tsss\n":                    "sss",
		"SubID: sss files":                 "sss",
		"subid: files sss\n":               "files", // the first word decides
		"#subid: sss\n":                    "files",
		" subid: sss\n":                    "files", // as shadow reads it
		"subid:\nsubid: winbind # why\n":   "winbind",
		"subid:   \t\n":                    "files",
		"hosts: dns\nsubid: a\nsubid: b\n": "a",
	} {
		if got := subidSource([]byte(text)); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestParseGetsubids(t *testing.T) {
	const text = "Error opening libsubid_x.so: not found\n0: alice 100000 65536\n1: alice 300000 10\nx: alice 1 1\n" +
		"2: alice 1\n3: alice 1 0\n4: alice -1 1\n5: alice 4294967295 1\n6: alice 1 18446744073709551615\n\n7: alice 5 6"
	want := []Range{{100000, 65536}, {300000, 10}, {5, 6}}
	if got := parseGetsubids([]byte(text)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
