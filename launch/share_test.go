package launch

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestShareRefuses(t *testing.T) {
	other := web()
	other.Name, other.User = "other", 99
	own := web()
	own.Join &^= unix.CLONE_NEWUSER
	owners := map[string]*Target{"web": web(), "other": other, "own": own}
	for _, c := range []struct {
		name   string
		change func(*Spec)
		want   string
	}{
		{
			"two user namespaces", func(s *Spec) { s.PID, s.IPC = "container:web", "container:other" },
			"--ipc container:other: its user namespace is another one than that of --pid container:web",
		},
		{
			"another one than that of --userns", func(s *Spec) { s.UserOf, s.Net = "other", "container:web" },
			"--net container:web: its user namespace is another one than that of --userns container:other",
		},
		{"unknown", func(s *Spec) { s.UTS = "container:nobody" }, "--uts container:nobody: there is no such container"},
		{"the caller's user namespace", func(s *Spec) { s.Net = "container:own" }, "--net container:own: it is in your own user namespace"},
		{
			"a capability", func(s *Spec) { s.Net, s.CapAdd = "container:web", []string{"CHOWN", "SYS_ADMIN"} },
			"--cap-add SYS_ADMIN: container web, whose namespaces are shared, does not have it",
		},
		{"a copy", func(s *Spec) { s.Net, s.RootMode = "container:web", RootCopy }, "--copy: what copies the tree"},
	} {
		s, h := basic(), desktop()
		h.Owners = owners
		c.change(&s)
		if _, err := Compile(&s, &h, nil); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

// Nothing that an owner has not is had by who joins.
func TestShareBounds(t *testing.T) {
	owner := web()
	owner.Bounding = 1 << unix.CAP_KILL
	for _, add := range [][]string{nil, {"ALL"}} {
		s, h := basic(), desktop()
		s.IPC, s.CapAdd, h.Owners = "container:web", add, map[string]*Target{"web": owner}
		start, err := Compile(&s, &h, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := start.Sets; got.Bounding != 1<<unix.CAP_KILL || got.Permitted != 1<<unix.CAP_KILL {
			t.Errorf("--cap-add %v: %+v", add, got)
		}
	}
}
