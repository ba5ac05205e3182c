package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/net/session/nameserver"
)

// bridge is one network that is up.
type bridge struct {
	network session.Network
	link    netlink.Link
	watch   *nameserver.Watch
	names   *nameserver.Server
}

// newBridge runs on the first thread. The filters of the ports come first: there
// is no bridge without them.
func newBridge(s *host, n session.Network) (*bridge, error) {
	if err := s.firewall.Add(n); err != nil {
		return nil, err
	}
	b := &bridge{network: n}
	if err := b.make(s); err != nil {
		b.remove(s)
		return nil, err
	}
	return b, nil
}

func (b *bridge) make(s *host) error {
	n := &b.network
	mac := n.BridgeMAC()
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU, attributes.HardwareAddr = n.Bridge, n.MTU, mac[:]
	// Without a querier snooping learns nothing, and loses groups in time.
	off := false
	link := &netlink.Bridge{LinkAttrs: attributes, MulticastSnooping: &off}
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("make bridge %s: %w", n.Bridge, err)
	}
	b.link = link
	n.IfIndex = link.Index
	if err := b.address(n.Gateway(), n.Subnet.Bits(), 0); err != nil {
		return err
	}
	if n.Subnet6.IsValid() {
		// Nobody else can have it, so it is not asked for: it would not serve meanwhile.
		if err := b.address(n.Gateway6(), n.Subnet6.Bits(), unix.IFA_F_NODAD); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set bridge %s up: %w", n.Bridge, err)
	}
	return b.serveNames(s)
}

func (b *bridge) address(a netip.Addr, bits, flags int) error {
	address := &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, a.BitLen())}, Flags: flags}
	if err := netlink.AddrAdd(b.link, address); err != nil {
		return fmt.Errorf("give bridge %s the address %s: %w", b.network.Bridge, a, err)
	}
	return nil
}

// serveNames opens the name server's sockets on the first thread, where they
// belong to the session's net namespace, whoever uses them.
func (b *bridge) serveNames(s *host) error {
	n := b.network
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), n.Bridge) }); e != nil {
			return e
		}
		return os.NewSyscallError("setsockopt SO_BINDTODEVICE", err)
	}}
	at := netip.AddrPortFrom(n.Gateway(), 53).String()
	packets, err := config.ListenPacket(context.Background(), "udp4", at)
	if err != nil {
		return err
	}
	streams, err := config.Listen(context.Background(), "tcp4", at)
	if err != nil {
		_ = packets.Close()
		return err
	}
	if b.watch, err = nameserver.NewWatch(s.dir, n.Name); err != nil {
		_, _ = packets.Close(), streams.Close()
		return err
	}
	b.names = &nameserver.Server{Network: n, Names: b.watch.Names}
	if n.Isolated {
		b.names.Names = func() nameserver.Names { return nil } // they do not reach each other
	}
	if !n.Internal {
		b.names.Forward = nameserver.Resolvers{Path: "/etc/resolv.conf"}.Forward
	}
	b.names.Start(packets, streams)
	return nil
}

// remove undoes make, as far as it came.
func (b *bridge) remove(s *host) {
	if b.names != nil {
		b.names.Close()
	}
	if b.watch != nil {
		b.watch.Close()
	}
	if b.link != nil {
		if err := netlink.LinkDel(b.link); err != nil {
			say("remove bridge %s: %v", b.network.Bridge, err)
		}
	}
	if err := s.firewall.Remove(b.network); err != nil {
		say("%v", err)
	}
}

// ports are the numbers of those that have a link, and a process at its other end: the kernel may take its time to remove
// the link of a container that has ended.
func (s *host) ports(n session.Network) ([]int, error) {
	links, err := portLinks(n)
	if err != nil || len(links) == 0 {
		return nil, err
	}
	pids, err := session.Members(s.state.UserNS)
	if err != nil {
		return nil, err
	}
	// The session has a number for each net namespace in which a link ends.
	inhabited := map[int]bool{}
	for _, pid := range pids {
		if f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil {
			if id, err := netlink.GetNetNsIdByFd(int(f.Fd())); err == nil && id >= 0 {
				inhabited[id] = true
			}
			_ = f.Close()
		}
	}
	var out []int
	for number, l := range links {
		if inhabited[l.Attrs().NetNsID] {
			out = append(out, number)
		}
	}
	return out, nil
}

func portLinks(n session.Network) (map[int]netlink.Link, error) {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list links: %w", err)
	}
	out := map[int]netlink.Link{}
	for _, l := range links {
		if index, number, ok := session.ParsePortName(l.Attrs().Name); ok && index == n.Index {
			out[number] = l
		}
	}
	return out, nil
}
