package launch

import (
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/cgroup/ulimit"
)

// Nothing of a placement is lost in the plan.
func TestPlacementIsAStep(t *testing.T) {
	for name, on := range map[string]func(*Spec, *Host){"scope": loginSession, "subtree": subtree} {
		s, h := basic(), desktop()
		on(&s, &h)
		s.Limits = cgroup.Limits{Memory: 50 << 20, Pids: 20}
		p, _, err := cgroup.Compile(&s.Limits, &h.Groups, "box", cgroup.BestEffort)
		if err != nil || p == nil {
			t.Fatal(name, p, err)
		}
		if got := placement(enterGroup(p)); !reflect.DeepEqual(got, p) {
			t.Errorf("%s: %+v, want %+v", name, got, p)
		}
	}
}

// What cannot be enforced is refused before anything is done, with a remedy.
func TestRefusedLimits(t *testing.T) {
	nothing := cgroup.Host{Layout: cgroup.Hybrid, Mount: "/sys/fs/cgroup/unified", Legacy: []string{"memory"}, UID: 1000}
	for want, c := range map[string]struct {
		change func(*Spec, *Host)
		hint   string
	}{
		"enforce --memory 50m: the memory controller is bound to cgroup v1": {func(s *Spec, h *Host) {
			s.Limits.Memory, h.Groups = 50<<20, nothing
		}, "Delegate=cpu memory pids"},
		"enforce --blkio-weight 500: the io controller is not delegated to user@1000.service": {func(s *Spec, h *Host) {
			loginSession(s, h)
			s.Limits.BlkioWeight = 500
		}, "Delegate=cpu io memory pids"},
		"--ulimit nofile=524289: the caller's hard limit is 524288": {func(s *Spec, _ *Host) {
			s.Ulimits = []ulimit.Limit{{Name: "nofile", Resource: unix.RLIMIT_NOFILE, Soft: 524289, Hard: 524289}}
		}, ""},
	} {
		s, h := basic(), desktop()
		c.change(&s, &h)
		_, err := Compile(&s, &h, nil)
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(Hint(err), c.hint) {
			t.Errorf("got %v with the hint %q, want %s", err, Hint(err), want)
		}
	}
}
