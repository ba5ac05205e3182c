package main

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/usernet"
	"github.com/rl-run/rl-run/net/veth/antispoof"
	"github.com/rl-run/rl-run/net/veth/rtnl"
)

// maker makes a link between the net namespace of its socket and a descriptor's.
type maker struct {
	kernel *rtnl.Socket
	target int
}

// tries is how often another address or name is tried when a parallel call took it.
const tries = 16

// link makes what a request is granted.
func (m maker) link(c usernet.Caller, r usernet.Request, p usernet.Policy) (usernet.Answer, error) {
	for try := 1; ; try++ {
		state, err := m.state()
		if err == nil {
			state.Routes, err = m.kernel.Routes()
		}
		if err != nil {
			return usernet.Answer{}, err
		}
		grant, err := p.Decide(c, r, state, below)
		if err != nil {
			return usernet.Answer{}, err
		}
		answer, err := m.pair(grant)
		if refusal, ok := errors.AsType[*usernet.Refusal](err); ok && refusal.Word == usernet.Taken && try < tries {
			continue
		}
		return answer, err
	}
}

// state is what decisions depend on, without routes: those do not tell calls apart.
func (m maker) state() (s usernet.State, err error) {
	if s.Links, err = m.kernel.Links(); err != nil {
		return s, err
	}
	s.Addrs, err = m.kernel.Addrs()
	return s, err
}

// pair makes the pair of a grant. What was made is removed again when it cannot be made
// whole.
func (m maker) pair(g usernet.Grant) (usernet.Answer, error) {
	name, err := m.create(g)
	if err != nil {
		return usernet.Answer{}, err
	}
	link, err := m.finish(name, &g)
	if err != nil {
		m.remove(name)
		return usernet.Answer{}, err
	}
	return usernet.Answer{
		Name: name, Index: link.Index,
		Inner: usernet.Inner, InnerIndex: link.Peer, MAC: g.MAC, MTU: g.Inner,
		IP: g.IP, Gateway: g.Gateway, IP6: g.IP6, Gateway6: g.Gateway6,
	}, nil
}

// create makes both ends, down, by one message. From here on the link has its user,
// bridge and address; see package usernet.
func (m maker) create(g usernet.Grant) (string, error) {
	for range tries {
		name := usernet.LinkName(g.UID, suffix())
		err := m.kernel.MakePair(
			rtnl.End{Name: name, MAC: g.HostMAC, MTU: g.MTU},
			rtnl.End{Name: usernet.Inner, MAC: g.MAC, MTU: g.Inner},
			g.Master, m.target)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			// It may be there all the same, where the kernel's answer was lost.
			m.remove(name)
		}
		return name, err
	}
	return "", refuse(usernet.Exists)
}

// finish makes the host's end complete and sets it up behind all that decides.
func (m maker) finish(name string, g *usernet.Grant) (rtnl.Link, error) {
	link, err := m.kernel.Named(name)
	if err != nil {
		return link, err
	}
	program := antispoof.Program(antispoof.Container{MAC: g.MAC, IP: g.IP.Addr(), IP6: g.IP6.Addr()})
	if err := m.kernel.Filter(link.Index, program); err != nil {
		return link, refuse(usernet.Filter)
	}
	if g.Host.IsValid() {
		if err := m.kernel.AddPeer(link.Index, g.Host, g.IP.Addr()); err != nil {
			return link, err
		}
	}
	// All that others look at is in place, now look at theirs.
	state, err := m.state()
	if err != nil {
		return link, err
	}
	if err := g.Holds(state, link.Index); err != nil {
		return link, err
	}
	if err := m.kernel.SetUp(link.Index, g.Alias()); err != nil || !g.Host6.IsValid() {
		return link, err
	}
	// An IPv6 address has a route to its peer only where the link is up. It claims nothing
	// of its own, and so it may come behind the look.
	err = m.kernel.AddPeer(link.Index, g.Host6, g.IP6.Addr())
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		// The host has IPv6 switched off: net.ipv6.conf.default.disable_ipv6, ipv6.disable.
		g.IP6, g.Gateway6 = netip.Prefix{}, netip.Addr{}
		return link, nil
	}
	return link, err
}

// remove removes the link that this call made. A link that is not there any more went
// with the container's namespace.
func (m maker) remove(name string) { _ = m.kernel.Remove(name) }

// below is a random number from 0 to n-1.
func below(n int) int {
	b := random()
	return int(binary.NativeEndian.Uint64(b[:]) % uint64(n))
}

// suffix is what makes a link's name random: eight letters and digits.
func suffix() string {
	const digits = "0123456789abcdefghijklmnopqrstuv" // 32, so that each is as likely
	b := random()
	for i := range b {
		b[i] = digits[b[i]%32]
	}
	return string(b[:])
}

func random() (b [8]byte) {
	// It does not fail for up to 256 bytes once the machine has come up, getrandom(2).
	_, _ = unix.Getrandom(b[:], 0)
	return b
}
