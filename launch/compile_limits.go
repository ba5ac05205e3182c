package launch

import (
	"errors"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/cgroup/ulimit"
	"github.com/rl-run/rl-run/plan"
)

// limits decides where the container's control group is made, if it has one.
func (c *compiler) limits() error {
	name := c.spec.Name
	if name == "" {
		name = strconv.Itoa(c.host.PID)
	}
	mode := cgroup.Require
	if c.spec.BestEffort && !c.spec.Strict {
		mode = cgroup.BestEffort
	}
	p, notes, err := cgroup.Compile(&c.spec.Limits, &c.host.Groups, name, mode)
	var refusal *cgroup.Refusal
	switch {
	case errors.As(err, &refusal):
		return hinted(err, refusal.Hint)
	case err != nil:
		return err
	}
	c.placement = p
	c.fallBack(notes...)
	return nil
}

// group has init enter that group.
func (c *compiler) group() {
	if c.placement != nil {
		c.parent(enterGroup(c.placement), "while init waits: nothing of the container runs without its limits")
	}
}

// enterGroup is a placement as a step.
func enterGroup(p *cgroup.Placement) plan.EnterGroup {
	s := plan.EnterGroup{
		Way: string(p.Way), Bus: p.Bus, UID: p.UID, Unit: p.Unit, Mount: p.Mount, Parent: p.Parent, Name: p.Name,
		Controllers: slices.Clone(p.Controllers), BestEffort: p.BestEffort,
	}
	for _, f := range p.Settings {
		s.Files = append(s.Files, plan.GroupFile(f))
	}
	return s
}

// placement is what enterGroup made a step of.
func placement(s plan.EnterGroup) *cgroup.Placement {
	p := &cgroup.Placement{
		Way: cgroup.Way(s.Way), Bus: s.Bus, UID: s.UID, Unit: s.Unit, Mount: s.Mount, Parent: s.Parent, Name: s.Name,
		Controllers: s.Controllers, BestEffort: s.BestEffort,
	}
	for _, f := range s.Files {
		p.Settings = append(p.Settings, cgroup.Setting(f))
	}
	return p
}

// openFiles limits the open files of the command to what the caller has, unless that is
// asked for otherwise.
func (c *compiler) openFiles() {
	asked := slices.ContainsFunc(c.spec.Ulimits, func(l ulimit.Limit) bool { return l.Resource == unix.RLIMIT_NOFILE })
	if soft, hard := c.host.Files[0], c.host.Files[1]; soft != hard && !asked {
		c.inCmd(plan.SetLimit{Name: "nofile", Resource: unix.RLIMIT_NOFILE, Soft: soft, Hard: hard},
			"Go raised it for the launcher")
	}
}

// ulimits are set when all that might need more has been done.
func (c *compiler) ulimits() error {
	for _, l := range c.spec.Ulimits {
		if err := l.Check(c.host.Ulimits[l.Resource]); err != nil {
			return err
		}
		c.inCmd(plan.SetLimit{Name: l.Name, Resource: l.Resource, Soft: l.Soft, Hard: l.Hard}, "")
	}
	return nil
}
