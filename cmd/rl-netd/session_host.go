package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/net/session/firewall"
	"github.com/rl-run/rl-run/userns"
)

// host is the session: what is in its net namespace, and what is written down of it.
// Its fields belong to the first thread.
type host struct {
	dir      session.Dir
	state    session.State
	firewall *firewall.Firewall
	networks map[string]*bridge
	control  net.Listener
	link     netip.Prefix // the subnet between the namespace and its way out
	ending   bool         // nothing is done for anybody any more

	work  chan func()   // for the first thread
	ended chan struct{} // closed when the session is to end
	over  chan struct{} // closed when the first thread takes no more work
}

func newHost(d session.Dir) (*host, error) {
	s := &host{
		dir: d, networks: map[string]*bridge{},
		work: make(chan func()), ended: make(chan struct{}), over: make(chan struct{}),
	}
	var err error
	if s.state.Outside, err = namespace("net"); err != nil { // as long as this thread is in it
		return nil, err
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("make a net namespace: %w", os.NewSyscallError("unshare", err))
	}
	if err := prepare(); err != nil {
		return nil, err
	}
	if s.firewall, err = firewall.New(); err != nil {
		return nil, err
	}
	if err := s.describe(); err != nil {
		return nil, err
	}
	// Of an earlier session: its links are gone.
	if err := os.RemoveAll(d.NamesDir("")); err != nil {
		return nil, err
	}
	if err := d.Make(); err != nil {
		return nil, err
	}
	return s, s.restore()
}

// prepare sets the namespace up for bridges and routing.
func prepare() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	for _, s := range []struct {
		name, value, lack string
	}{
		{"ipv4/ip_forward", "1", "containers do not reach the outside"},
		{"ipv6/conf/all/forwarding", "1", "containers do not reach the outside by IPv6"},
		// The bridges have filters of their own; those for routing, and tracking of
		// connections, would only slow them (br_netfilter).
		{"bridge/bridge-nf-call-iptables", "0", ""},
		{"bridge/bridge-nf-call-ip6tables", "0", ""},
		{"bridge/bridge-nf-call-arptables", "0", ""},
		// A router takes no address from advertisements unless told twice; the way out
		// advertises, and ports cannot (package firewall).
		{"ipv6/conf/default/accept_ra", "2", ""},
		{"ipv4/conf/all/send_redirects", "0", ""},
		{"ipv4/conf/default/send_redirects", "0", ""},
		{"ipv4/conf/all/arp_ignore", "1", ""}, // each bridge answers for its own address alone
	} {
		// Of all that is below /proc/sys, net shows the net namespace of the thread
		// that opens it.
		err := os.WriteFile("/proc/sys/net/"+s.name, []byte(s.value), 0)
		if err != nil && (s.lack != "" || !errors.Is(err, os.ErrNotExist)) {
			say("%v; %s", err, s.lack)
		}
	}
	return nil
}

// describe finds out what launchers want to know of this process.
func (s *host) describe() error {
	// /proc is the host's, where the session has another pid than its own 1.
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return err
	}
	if s.state.Pid, err = strconv.Atoi(self); err != nil {
		return &os.PathError{Op: "read", Path: "/proc/self", Err: err}
	}
	if s.state.StartTime, err = session.StartTime(s.state.Pid); err != nil {
		return err
	}
	if s.state.BootID, err = sys.BootID(); err != nil {
		return err
	}
	// A process that reads its own map sees the ids of the namespace above: the
	// caller's.
	maps, err := userns.ParentMaps()
	if err != nil {
		return err
	}
	s.state.UIDMap, s.state.GIDMap = maps.UID, maps.GID
	for name, into := range map[string]*uint64{"user": &s.state.UserNS, "net": &s.state.NetNS} {
		if *into, err = namespace(name); err != nil {
			return err
		}
	}
	s.state.Created = time.Now().UTC()
	return nil
}

// namespace is the inode number of the namespace of a kind in which the first thread is.
func namespace(kind string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/"+kind, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: "/proc/self/ns/" + kind, Err: err}
	}
	return st.Ino, nil
}

// restore brings up what is written down, and the network of those who name none.
func (s *host) restore() error {
	written, err := s.dir.Networks()
	if err != nil {
		say("%v", err)
	}
	for _, n := range written {
		if n.Name == session.Auto || s.used(n.Index) {
			continue // made anew below; a file that was copied
		}
		if err := s.up(n); err != nil {
			return err
		}
	}
	// It is not written down: its subnet may be another next time.
	auto, err := s.define(session.Request{Name: session.Auto}, autoBits)
	if err != nil {
		return err
	}
	auto.Isolated = true
	return s.up(auto)
}

// autoBits leaves room for 1021 containers, namedBits for 253.
const (
	autoBits  = 22
	namedBits = 24
)

func (s *host) used(index int) bool {
	for _, b := range s.networks {
		if b.network.Index == index {
			return true
		}
	}
	return false
}

// define chooses what a new network is made of.
func (s *host) define(r session.Request, bits int) (session.Network, error) {
	n := session.Network{Name: r.Name, Internal: r.Internal, MTU: session.MTU, Created: time.Now().UTC()}
	if n.Name != session.Auto {
		for n.Index = 1; s.used(n.Index); n.Index++ {
		}
		if n.Index > session.MaxNetworks {
			return n, fmt.Errorf("create network %s: there are %d networks", n.Name, session.MaxNetworks)
		}
	}
	n.Bridge = session.BridgeName(n.Index)
	var err error
	if n.Subnet, err = chooseSubnet(r.Subnet, bits, s.taken()); err != nil {
		return n, fmt.Errorf("create network %s: %w", n.Name, err)
	}
	if _, err := os.Stat("/proc/sys/net/ipv6"); err == nil {
		n.Subnet6 = uniqueLocal(n.Index)
	}
	return n, nil
}

// taken are the subnets that a new one may not overlap.
func (s *host) taken() []subnetOwner {
	var out []subnetOwner
	for _, b := range s.networks {
		out = append(out, subnetOwner{b.network.Subnet, "network " + b.network.Name})
	}
	slices.SortFunc(out, func(a, b subnetOwner) int { return a.subnet.Addr().Compare(b.subnet.Addr()) })
	if s.link.IsValid() {
		out = append(out, subnetOwner{s.link, "the session's way out"})
	}
	return append(out, hostRoutes()...)
}

// uniqueLocal is a subnet as RFC 4193 makes them: 40 bits of chance, so that no
// two sites that are joined one day have the same.
func uniqueLocal(index int) netip.Prefix {
	a := [16]byte{0: 0xfd, 7: byte(index)}
	_, _ = rand.Read(a[1:6]) // it never fails
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

// up makes a network's bridge and name server.
func (s *host) up(n session.Network) error {
	b, err := newBridge(s, n)
	if err != nil {
		return fmt.Errorf("network %s: %w", n.Name, err)
	}
	s.networks[n.Name] = b
	return nil
}

// write tells launchers what there is.
func (s *host) write() error {
	s.state.Networks = s.state.Networks[:0]
	for _, b := range s.networks {
		s.state.Networks = append(s.state.Networks, b.network)
	}
	slices.SortFunc(s.state.Networks, func(a, b session.Network) int { return a.Index - b.Index })
	return s.dir.WriteState(s.state)
}

// end takes away what says that there is a session. What is in its namespaces goes
// with the process. Another session may have been started since this one told that
// it ends: then all there is belongs to that one.
func (s *host) end() {
	close(s.over)
	if s.control != nil {
		_ = s.control.Close()
	}
	lock, err := s.dir.Lock()
	if err != nil {
		return // no directory is left
	}
	pid, another := s.dir.Pid()
	if another = another && pid != s.state.Pid; !another {
		s.dir.RemoveState()
	}
	_ = lock.Close()
	if !another {
		s.dir.Tidy()
	}
}
