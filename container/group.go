package container

import "github.com/rl-run/rl-run/cgroup"

// removeGroup removes the control group of a container that has ended, in case whoever should have done it was killed.
// Where it is a scope of systemd's, that has done it.
func (e *Entry) removeGroup() {
	if e.State.Cgroup == "" || e.Status == Running || e.Status == Created {
		return
	}
	if g, err := cgroup.Open(e.State.Cgroup, nil); err == nil {
		_ = g.Remove()
	}
}
