package launch

import (
	"os"

	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/plan"
)

// Subtree is the group of the caller's own in which the container gets one, which nobody but rl-run removes; empty where it gets none
// there. In a scope of systemd's, that does it.
func (s *Start) Subtree() string {
	for _, e := range s.Plan.Entries {
		if g, ok := e.Step.(plan.EnterGroup); ok && cgroup.Way(g.Way) == cgroup.Delegee {
			return g.Parent
		}
	}
	return ""
}

// Leaves reports whether something is to be done at the end that does not end with a process.
func (s *Start) Leaves() bool { return len(s.Plan.Cleanup) > 0 || s.Subtree() != "" }

// enterGroup puts init into the control group with the limits.
func (c *Container) enterGroup(s plan.EnterGroup) error {
	waits := os.Getpid()
	if c.Child.Keeper != 0 {
		waits = c.Child.Keeper
	}
	group, notes, err := placement(s).Apply(c.Child.PID, waits)
	c.Group = group
	for _, n := range notes {
		c.note(n)
	}
	c.Notes = append(c.Notes, notes...)
	return err
}

// leaveGroup finds out how the container came to its end, and removes its group.
func (c *Container) leaveGroup() {
	if events, err := c.Group.Events(); err == nil {
		c.OOM = c.Group.OutOfMemory(events)
	}
	if err := c.Group.Remove(); err != nil {
		c.note(err.Error())
	}
}

// joinGroup puts the joiner into the group of the container that it is about to enter.
func (c *Container) joinGroup(s plan.JoinCgroup) error {
	g, err := cgroup.Open(s.Path, func(name string) string {
		value, _ := variables(c.environ).get(name)
		return value
	})
	if err != nil {
		return err
	}
	return g.Join(c.Child.Joiner)
}
