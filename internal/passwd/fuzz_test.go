package passwd

import (
	"slices"
	"strings"
	"testing"
	"unicode"
)

// FuzzResolve holds what must be true of every answer, whatever the container
// wrote into its files.
func FuzzResolve(f *testing.F) {
	f.Add("alice", somePasswd, someGroup)
	f.Add("alice:wheel", somePasswd, someGroup)
	f.Add("1000", somePasswd, someGroup)
	f.Add("4294967294:0", somePasswd, someGroup)
	f.Add("rooot", somePasswd, someGroup)
	f.Add("x", "x:::", ":::\n::0")
	f.Add("a:b:c", "", "")
	f.Fuzz(func(t *testing.T, value, passwd, group string) {
		spec, err := ParseSpec(value)
		if err != nil {
			onePlainLine(t, err)
			return
		}
		if printed := strings.TrimSuffix(spec.User+":"+spec.Group, ":"); printed != value {
			t.Fatalf("%q parses to %+v", value, spec)
		}
		u, err := spec.Resolve([]byte(passwd), []byte(group))
		if err != nil {
			onePlainLine(t, err)
			return
		}
		if u.UID > MaxID || u.GID > MaxID || slices.Max(u.Groups) > MaxID {
			t.Fatalf("an id beyond %d: %+v", uint32(MaxID), u)
		}
		if !slices.IsSorted(u.Groups) || len(slices.Compact(slices.Clone(u.Groups))) != len(u.Groups) {
			t.Fatalf("groups not ascending: %+v", u)
		}
		if _, ok := slices.BinarySearch(u.Groups, u.GID); !ok {
			t.Fatalf("the groups lack the group: %+v", u)
		}
		if u.Home == "" || strings.ContainsAny(u.Name+u.Home+u.Shell, "\x00\n:") && !strings.Contains(u.Shell, ":") {
			t.Fatalf("fields cut wrong: %+v", u)
		}
		if _, isID := parseID(spec.User); !isID && u.Name != spec.User {
			t.Fatalf("asked for %q, got %+v", spec.User, u)
		}
		if more, err := u.AddGroups([]byte(group), "0"); err == nil {
			if _, ok := slices.BinarySearch(more.Groups, 0); !ok {
				t.Fatalf("the added group is missing: %+v", more)
			}
		}
	})
}

// onePlainLine checks that a message is fit for a terminal.
func onePlainLine(t *testing.T, err error) {
	t.Helper()
	if strings.IndexFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		t.Fatalf("message %q", err)
	}
}
