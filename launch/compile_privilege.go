package launch

import (
	"fmt"

	"github.com/rl-run/rl-run/caps"
	"github.com/rl-run/rl-run/caps/seccomp"
	"github.com/rl-run/rl-run/plan"
)

// LoadFilter reads the seccomp profile that a Spec names; nil where it names
// none.
func LoadFilter(s *Spec) (*seccomp.Profile, error) {
	if s.Seccomp == "" || s.Seccomp == "unconfined" {
		return nil, nil
	}
	return seccomp.Load(s.Seccomp)
}

// privileges chooses the capability sets.
func (c *compiler) privileges(*seccomp.Profile) error {
	bounding, added, err := caps.Compile(caps.UpTo(c.host.LastCap), c.spec.CapAdd, c.spec.CapDrop)
	if err == nil {
		err = c.within(&bounding, &added)
	}
	if err != nil {
		return err
	}
	c.sets = caps.For(c.User.UID, bounding, added)
	return nil
}

// seccomp compiles the filter; nil for unconfined.
func (c *compiler) seccomp(p *seccomp.Profile) (*plan.Seccomp, error) {
	env := seccomp.Env{Arch: c.host.Arch, Caps: c.sets.Bounding, Kernel: c.host.Kernel}
	s := &plan.Seccomp{Profile: "default"}
	var err error
	switch {
	case c.spec.Seccomp == "unconfined":
		return nil, nil
	case p == nil:
		s.Filter, err = seccomp.DefaultFilter(env)
	default:
		s.Profile = c.spec.Seccomp
		if s.Flags, err = p.FilterFlags(); err == nil {
			s.Filter, err = seccomp.Compile(p, env)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("--security-opt seccomp=%s: %w", s.Profile, err)
	}
	return s, nil
}
