package launch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/nearest"
	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/userns"
)

// TheSession is the name of the session's process among those that a plan joins:
// none that a container can have.
const TheSession = "the network session"

// nesting is a container's place in the caller's network session.
type nesting struct {
	uid, gid []plan.Extent    // as the session's user namespace has them
	network  *session.Network // whose bridge it is connected to; nil for none
}

// netModes are the words of --net that name no network.
func netModes() []string { return []string{"", NetAuto, NetNone, NetHost, NetPasta, NetSlirp, NetVeth} }

// Named reports whether --net names a network.
func (s *Spec) Named() bool {
	return Share(s.Net).Owner() == "" && !slices.Contains(netModes(), s.Net)
}

// NoNetwork is the error for a name that is none of the networks'.
func NoNetwork(name string, networks []session.Network) error {
	known := netModes()
	for _, n := range networks {
		known = append(known, n.Name)
	}
	if near := nearest.Word(name, 2, slices.Values(known)); near != "" {
		return fmt.Errorf("--net=%s: there is no such network (did you mean %s?)", name, near)
	}
	return hinted(fmt.Errorf("--net=%s: there is no such network", name), "rl-net create "+name+"; rl-net ls lists them")
}

// nest finds out whether the container nests in the session: for a named network it
// has to; else it does where that saves the call of newuidmap and newgidmap.
func (c *compiler) nest() error {
	s, named := c.host.Session, c.spec.Named()
	switch {
	case named && c.joins():
		return fmt.Errorf("--net=%s: the container is in the user namespace of another, not in that of the network session", c.spec.Net)
	case named && s == nil:
		return hinted(fmt.Errorf("--net=%s: the network session does not run", c.spec.Net), "rl-net start")
	case s == nil, c.joins(), !named && c.IDs.How.Way != userns.WayHelpers:
		return nil
	}
	var in nesting
	var err error
	if in.uid, err = session.NestedMaps(s.UIDMap, c.IDs.Maps.UID); err == nil {
		in.gid, err = session.NestedMaps(s.GIDMap, c.IDs.Maps.GID)
	}
	if err != nil {
		if named {
			return fmt.Errorf("--net=%s: %w", c.spec.Net, err)
		}
		return nil // with maps of its own it stands beside
	}
	name := c.spec.Net
	if c.spec.Net == NetAuto {
		name = session.Auto
	}
	// a bridge's links have its MTU; its way out begins where the session was started
	if n, known := s.Network(name); known && (named || s.Upstream != "" && c.spec.MTU == 0 && !s.Elsewhere) {
		if s.Elsewhere && !n.Internal {
			return hinted(fmt.Errorf("--net=%s: its way out begins in another net namespace than this one", name),
				"rl-net stop ends the session; the next one begins in the net namespace of who starts it")
		}
		if err := c.spec.fits(n); err != nil {
			return err
		}
		if named && len(c.spec.DNS) > 0 {
			c.note(fmt.Sprintf("--dns: name servers of your own do not know the containers of network %s; its own is at %s", name, n.Gateway()))
		}
		if named && s.Upstream == "" && !n.Internal {
			c.fallBack(NoWayOut(name, s.Problem))
		}
		in.network = &n
		c.Network = Network{Kind: "session"}
	} else if named {
		return NoNetwork(name, s.Networks)
	}
	c.nesting = &in
	return nil
}

// NoWayOut is the note for a network that is to lead out, in a session that has no way out.
func NoWayOut(network, problem string) string {
	return fmt.Sprintf("network %s has no way out: %s", network, cmp.Or(strings.TrimPrefix(problem, "no network: "), "it has ended"))
}

// fits tells whether a network has room for the address and the names that were asked for.
func (s *Spec) fits(n session.Network) error {
	if _, ok := n.At(s.IP); s.IP.IsValid() && !ok {
		return fmt.Errorf("--ip %s: the containers of network %s have addresses from %s to %s",
			s.IP, n.Name, n.First().Address.Addr(), n.Last().Address.Addr())
	}
	if size := len(session.NamesText(s.registered()...)); size > session.MaxNames {
		return fmt.Errorf("--network-alias: all names of the container take %d bytes, of %d that there are", size, session.MaxNames)
	}
	return nil
}

// registered are the names by which a network's name server knows the container.
func (s *Spec) registered() (names []string) {
	for _, name := range append([]string{s.Name, s.Hostname}, s.Aliases...) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// startNested has a joiner, which is in the session, start init.
func (c *compiler) startNested(by plan.Actor, flags uint64) {
	c.Plan.Add(by, plan.StartJoiner{}, "a user namespace is entered by a process of one thread")
	c.Plan.Add(plan.Joiner, plan.DieWithParent{}, "")
	c.Plan.Add(plan.Joiner, plan.Join{Flags: unix.CLONE_NEWUSER, Of: TheSession, PID: c.host.Session.Pid}, "which has the ids, and the bridges")
	c.Plan.Add(plan.Joiner, plan.StartInit{Flags: flags}, "the user namespace comes first; the others are made inside it")
}

func (c *compiler) mapNested() {
	c.Plan.Add(plan.Joiner, plan.WriteIDMaps{UID: c.nesting.uid, GID: c.nesting.gid}, "no newuidmap is needed there")
	c.parent(plan.AwaitJoiner{}, "a namespace gets its owner when it is made: maps before the others")
}

// onBridge reports whether the container is connected to a bridge of the session.
func (c *compiler) onBridge() bool { return c.nesting != nil && c.nesting.network != nil && c.ownNet() }

func (c *compiler) makePort() {
	port := plan.MakePort{Network: c.nesting.network.Name, Names: c.spec.registered()}
	if c.spec.IP.IsValid() {
		port.Address = c.spec.IP.String()
	}
	c.parent(port, "nobody is asked but the kernel")
	c.Plan.Add(plan.Linker, plan.Join{Flags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET, Of: TheSession, PID: c.host.Session.Pid}, "where the bridges are")
	c.Plan.Add(plan.Linker, plan.SendLink{}, "")
}
