package launch

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/userns"
)

// shared is the namespaces that one other container gives.
type shared struct {
	of    *Target
	flags uint64
}

// share finds out which namespaces come from which containers. All of these, and the
// one to start, are in one user namespace: the others belong to it, and it alone has
// power over them. Where such a container has the host's, so has this one.
func (c *compiler) share() error {
	spec := *c.spec
	net := Share(spec.Net)
	var first string // the option that names the first of them
	for _, ns := range []struct {
		option string
		share  *Share
		flag   uint64
	}{
		{"userns", nil, unix.CLONE_NEWUSER},
		{"pid", &spec.PID, unix.CLONE_NEWPID},
		{"net", &net, unix.CLONE_NEWNET},
		{"ipc", &spec.IPC, unix.CLONE_NEWIPC},
		{"uts", &spec.UTS, unix.CLONE_NEWUTS},
		{"cgroupns", &spec.Cgroup, unix.CLONE_NEWCGROUP},
	} {
		name := spec.UserOf
		if ns.share != nil {
			name = ns.share.Owner()
		}
		if name == "" {
			continue
		}
		of, known := c.host.Owners[name]
		if !known {
			return fmt.Errorf("--%s %s%s: there is no such container", ns.option, OfContainer, name)
		}
		option := fmt.Sprintf("--%s %s%s", ns.option, OfContainer, name)
		if first == "" {
			first = option
			if of.Join&unix.CLONE_NEWUSER == 0 {
				return fmt.Errorf("%s: it is in your own user namespace", option)
			}
			c.shares = []shared{{of, unix.CLONE_NEWUSER}}
		} else if of.User != c.shares[0].of.User {
			return hinted(fmt.Errorf("%s: its user namespace is another one than that of %s, and a process is in one alone", option, first),
				"containers that were started with --userns="+OfContainer+"NAME are in one")
		}
		switch {
		case of.Join&ns.flag != 0:
			c.addShare(of, ns.flag)
			if ns.flag == unix.CLONE_NEWUTS {
				spec.Hostname = of.Hostname
			}
		case ns.share != nil:
			*ns.share = Shared
		}
	}
	spec.Net = string(net)
	c.spec = &spec
	return nil
}

func (c *compiler) addShare(of *Target, flag uint64) {
	for i := range c.shares {
		if c.shares[i].of.Name == of.Name {
			c.shares[i].flags |= flag
			return
		}
	}
	c.shares = append(c.shares, shared{of, flag})
}

// netOwner is the container whose net namespace is shared; nil for none.
func (c *compiler) netOwner() *Target {
	for _, s := range c.shares {
		if s.flags&unix.CLONE_NEWNET != 0 {
			return s.of
		}
	}
	return nil
}

// sharedHosts is /etc/hosts of whoever gives the net namespace: the names there are those of its addresses.
func (c *compiler) sharedHosts() []byte {
	if of := c.netOwner(); of != nil {
		return of.Hosts
	}
	if c.spec.Net == NetHost {
		return c.host.Hosts
	}
	return nil
}

// joins reports whether namespaces of other containers are shared.
func (c *compiler) joins() bool { return len(c.shares) > 0 }

// own reports whether the container makes a namespace of a type itself.
func (c *compiler) own(flag uint64) bool {
	for _, s := range c.shares {
		if s.flags&flag != 0 {
			return false
		}
	}
	switch flag {
	case unix.CLONE_NEWPID:
		return c.spec.PID != Shared
	case unix.CLONE_NEWNET:
		return c.spec.Net != NetHost
	case unix.CLONE_NEWIPC:
		return c.spec.IPC != Shared
	case unix.CLONE_NEWUTS:
		return c.spec.UTS != Shared
	case unix.CLONE_NEWCGROUP:
		return c.spec.Cgroup != Shared
	}
	return true
}

// sharedIDs are the id maps of the user namespace that is shared.
func (c *compiler) sharedIDs() {
	of := c.shares[0].of
	c.IDs = userns.Result{Maps: of.Maps, GroupsStay: of.GroupsStay}
	c.chooseBase()
}

// within limits capabilities to those of the containers whose namespaces are shared: root in one user namespace is
// root of all that is in it.
func (c *compiler) within(bounding, added *caps.Set) error {
	for _, s := range c.shares {
		for _, name := range c.spec.CapAdd {
			set, err := caps.Parse(name)
			if err == nil && !strings.EqualFold(name, "ALL") && !s.of.Bounding.Has(set) {
				return fmt.Errorf("--cap-add %s: container %s, whose namespaces are shared, does not have it", name, s.of.Name)
			}
		}
		*bounding &= s.of.Bounding
		*added &= s.of.Bounding
	}
	return nil
}

// ownFiles is for a command that is not given the caller's stdin, stdout and stderr: who joins a container has them no longer either.
var ownFiles = plan.NullStdin{Output: true, Until: true}

const notTheirs = "the terminal of the caller is not for the container, nor for who looks at a process as it ends"

// startJoined has a joiner start init: it may see no more of the launcher than a
// process of that container, which may share its pid namespace, is to see.
func (c *compiler) startJoined(by plan.Actor, flags uint64) {
	join := func(s plan.Step, why string) { c.Plan.Add(plan.Joiner, s, why) }
	c.Plan.Add(by, plan.StartJoiner{}, "a user namespace is entered by a process of one thread, a pid namespace by its child")
	join(plan.DieWithParent{}, "")
	if c.spec.Terminal || c.spec.Detach {
		join(ownFiles, notTheirs)
	}
	join(plan.OwnMemory{}, "the other container must not reach rl-run's binary, memory and command line")
	join(plan.HideMemory{}, "")
	for _, s := range c.shares {
		join(plan.Join{Flags: s.flags, Of: s.of.Name, PID: s.of.PID}, "")
	}
	join(plan.StartInit{Flags: flags}, "")
}
