package launch

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

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
	if err == nil {
		err = c.apartFromHelpers(&bounding, &added)
	}
	if err != nil {
		return err
	}
	c.sets = caps.For(c.User.UID, bounding, added)
	return nil
}

// apartFromHelpers keeps a container that sees the processes of the host from those that serve its network. They have joined its
// user namespace, for the privilege over its net namespace, and have the host's root and network: who may trace them
// (ptrace(2), "Ptrace access mode checking") has these too. CAP_SYS_PTRACE is enough for that, which is refused, and so are all
// capabilities that the other process has. Each has the one to bind low ports, which a container may do without where the net
// namespace is its own (ip_unprivileged_port_start); but the forwarder, which cannot be traced (PR_SET_DUMPABLE). Those of another
// container are in the user namespace that is shared with it.
func (c *compiler) apartFromHelpers(bounding, added *caps.Set) error {
	const outer, shared = "an outer /proc that is masked in part", "--pid=host"
	seen, serves := outer, c.hasDriver() || len(c.spec.Publish) > 0
	for _, s := range c.shares {
		if serves && s.of.Join&unix.CLONE_NEWPID == 0 && s.of.Bounding&(caps.SysPtrace|caps.NetBindService) != 0 {
			return hinted(fmt.Errorf("start what serves the network in the user namespace of %s: that container sees the host's processes, and would reach the host by way of these",
				s.of.Name), "--net=none, or --net="+OfContainer+s.of.Name)
		}
	}
	switch {
	case !serves && !c.joins():
		return nil
	case c.spec.PID == Shared:
		seen = shared
	case c.host.Facts.OwnProc:
		return nil
	}
	if bounding.Has(caps.SysPtrace) {
		return hinted(fmt.Errorf("give the command SYS_PTRACE: with %s it would reach the host by way of the processes of its network", seen),
			"--net=host, or --net=none without -p, has no such processes")
	}
	if added.Has(caps.NetBindService) && slices.ContainsFunc(c.spec.CapAdd, func(name string) bool { return strings.HasSuffix(strings.ToUpper(name), "NET_BIND_SERVICE") }) {
		c.fallBack("the command gets no CAP_NET_BIND_SERVICE: with " + seen + " it would reach the host by way of the processes of its network")
	}
	*bounding &^= caps.NetBindService
	*added &^= caps.NetBindService
	return nil
}

// seccomp compiles the filter; nil for unconfined.
func (c *compiler) seccomp(p *seccomp.Profile) (*plan.Seccomp, error) {
	env := seccomp.Env{Arch: c.host.Arch, Caps: c.sets.Bounding, Kernel: c.host.Kernel}
	s := &plan.Seccomp{Profile: "default"}
	var err error
	if c.spec.FakeRoot {
		s.Profile = "fake-root"
		if c.spec.Nest && p == nil {
			p = seccomp.Nest()
		}
		fake := fakeRoot(c.spec.Seccomp, p)
		if s.Flags, err = fake.FilterFlags(); err == nil {
			s.Filter, err = seccomp.Compile(fake, env)
		}
		if err != nil {
			return nil, fmt.Errorf("--fake-root: %w", err)
		}
		return s, nil
	}
	switch {
	case c.spec.Seccomp == "unconfined":
		return nil, nil
	case c.spec.Nest:
		s.Profile = "nest"
		s.Filter, err = seccomp.Compile(seccomp.Nest(), env)
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

// fakeRoot is a profile with the rules of --fake-root before its own.
func fakeRoot(name string, p *seccomp.Profile) *seccomp.Profile {
	var with seccomp.Profile
	switch {
	case name == "unconfined":
		with.DefaultAction = seccomp.Allow
	case p == nil:
		with = *seccomp.Default()
	default:
		with = *p
	}
	with.Refuse = append(seccomp.FakeRoot(), with.Refuse...)
	return &with
}

// aptConfig is where a container finds what --fake-root has to say to apt: it checks
// that it has become the user of its sandbox.
const aptConfig = "/dev/rl-run-apt.conf"

// nests announces --nest, and what it gives up.
func (c *compiler) nests() error {
	switch s := c.spec; {
	case !s.Nest:
		return nil
	case s.Seccomp != "" && s.Seccomp != "unconfined":
		return fmt.Errorf("--nest and --security-opt seccomp=%s exclude each other: --nest has a filter of its own", s.Seccomp)
	case len(s.Mask) > 0:
		return fmt.Errorf("--nest and --security-opt mask=%s exclude each other: under a masked /proc the kernel mounts no other one", s.Mask[0])
	}
	c.note("--nest: /proc and /sys are not masked, and the filter lets namespaces and mounts be made")
	return nil
}

// unmask are the paths that are not masked.
func (c *compiler) unmask() []string {
	if c.spec.Nest {
		return []string{"ALL"}
	}
	return c.spec.Unmask
}

// fakes announces --fake-root, and provides for apt.
func (c *compiler) fakes() error {
	switch {
	case !c.spec.FakeRoot:
		return nil
	case c.spec.NewPrivs:
		return errors.New("--fake-root: with no-new-privileges=false the filter is in force before the command has its own ids")
	}
	c.note("--fake-root: changes of owner and of ids succeed, and nothing is changed")
	c.ownMountPoint("/dev", aptConfig, false)
	c.inInit(plan.ProvideFile{Target: aptConfig, Name: "apt.conf", Content: "APT::Sandbox::User \"root\";\n"}, "apt checks its ids")
	return nil
}
