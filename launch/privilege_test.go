package launch

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
	"github.com/rl-run/rl-run/net/port"
)

// Who sees the host's processes may trace none of those that serve his network.
func TestApartFromHelpers(t *testing.T) {
	sharedPID := func(s *Spec, _ *Host) { s.PID = Shared }
	outer := func(_ *Spec, h *Host) { h.Facts.OwnProc = false }
	ptrace := func(s *Spec, _ *Host) { s.CapAdd = []string{"SYS_PTRACE"} }
	all := func(s *Spec, _ *Host) { s.CapAdd = []string{"ALL"} }
	slirp := func(s *Spec, _ *Host) { s.Net = "slirp4netns" }
	pasta := func(s *Spec, _ *Host) { s.Net = "pasta" }
	none := func(s *Spec, _ *Host) { s.Net = NetNone }
	published := func(s *Spec, h *Host) {
		s.Net = NetNone
		p, err := port.Parse([]string{"127.0.0.1:8080:80"})
		if err != nil {
			t.Fatal(err)
		}
		s.Publish = append(s.Publish, p...)
	}
	member := func(pid uint64) func(*Spec, *Host) { // of the user namespace of a container with these namespaces of its own
		return func(s *Spec, h *Host) {
			of := web()
			of.Join, of.Bounding = unix.CLONE_NEWUSER|unix.CLONE_NEWNS|unix.CLONE_NEWNET|pid, of.Bounding|caps.SysPtrace
			s.UserOf, h.Owners = "web", map[string]*Target{"web": of}
		}
	}
	for _, c := range []struct {
		name    string
		changes []func(*Spec, *Host)
		refused string // a word of the error
		low     bool   // CAP_NET_BIND_SERVICE is there
	}{
		{"own processes", []func(*Spec, *Host){ptrace, slirp}, "", true},
		{"no helper", []func(*Spec, *Host){sharedPID, ptrace, none}, "", true},
		{"no helper, outer /proc", []func(*Spec, *Host){outer, all, none}, "", true},
		{"host's processes", []func(*Spec, *Host){sharedPID, ptrace, slirp}, "--pid=host", false},
		{"host's processes, all", []func(*Spec, *Host){sharedPID, all, pasta}, "--pid=host", false},
		{"host's processes, a port", []func(*Spec, *Host){sharedPID, ptrace, published}, "--pid=host", false},
		{"outer /proc", []func(*Spec, *Host){outer, ptrace, pasta}, "outer /proc", false},
		{"defaults and slirp4netns", []func(*Spec, *Host){sharedPID, slirp}, "", false},
		{"defaults and slirp4netns, outer /proc", []func(*Spec, *Host){outer, slirp}, "", false},
		{"shared with one that has a helper", []func(*Spec, *Host){sharedPID, ptrace, member(unix.CLONE_NEWPID)}, "--pid=host", false},
		{"helper in a namespace of one that sees it", []func(*Spec, *Host){slirp, member(0)}, "network in the user namespace of web", false},
		{"helper in a namespace of one that does not", []func(*Spec, *Host){slirp, member(unix.CLONE_NEWPID)}, "", true},
		{"defaults and pasta", []func(*Spec, *Host){sharedPID, pasta}, "", false},
		{"defaults and a port", []func(*Spec, *Host){sharedPID, published}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, h := basic(), desktop()
			for _, change := range c.changes {
				change(&s, &h)
			}
			start, err := Compile(&s, &h, nil)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("error: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if low := start.Sets.Bounding.Has(caps.NetBindService); low != c.low {
				t.Errorf("CAP_NET_BIND_SERVICE: %v, want %v", low, c.low)
			}
		})
	}
}
