package launch

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/port"
	"github.com/rl-run/rl-run/net/usermode"
	"github.com/rl-run/rl-run/net/usernet"
	"github.com/rl-run/rl-run/plan"
)

// inner is the name of the container's link to the outside.
const inner = "eth0"

// network chooses what connects the container.
func (c *compiler) network() (err error) {
	s := c.spec
	if len(s.Publish) > 0 {
		switch {
		case !c.ownNet():
			return fmt.Errorf("-p %s: a shared net namespace has the ports of who shares it", s.Publish[0])
		case c.host.Netd == "":
			return hinted(fmt.Errorf("-p %s: rl-netd is not there, which forwards ports", s.Publish[0]),
				"make install puts it beside rl-run")
		}
	}
	if s.Listen {
		switch {
		case !c.ownPID():
			return fmt.Errorf("--listen-fd: in a shared pid namespace the command's own number is not known, which LISTEN_PID has to be")
		case c.joins():
			return fmt.Errorf("--listen-fd: no descriptor is passed into the user namespace of another container")
		}
	}
	switch s.Net {
	case NetAuto, NetPasta, NetSlirp:
		if c.onBridge() {
			return nil
		}
		return c.chooseDriver()
	case NetVeth:
		if c.host.VethErr != nil {
			return hinted(fmt.Errorf("--net=veth: %w", c.host.VethErr), c.host.VethHint)
		}
		c.Network.Kind = s.Net
		if s.Veth.IP.IsValid() {
			c.Network.Address = s.Veth.IP
		}
	}
	return nil
}

// drivers are the user-mode ones by their words.
var drivers = map[string]usermode.Kind{NetAuto: usermode.Auto, NetPasta: usermode.Pasta, NetSlirp: usermode.Slirp4netns}

func (c *compiler) chooseDriver() error {
	d, notes, err := usermode.Choose(c.host.Usermode, usermode.Request{
		Kind: drivers[c.spec.Net], Interface: inner, MTU: c.spec.MTU, Without: c.host.Without,
	})
	if e, is := errors.AsType[*usermode.Error](err); is {
		return hinted(fmt.Errorf("--net=%s: %w", c.spec.Net, err), e.Hint)
	} else if err != nil {
		return err
	}
	c.fallBack(notes...)
	c.driver = d
	c.Network = Network{Kind: d.Kind.String()}
	if d.Kind != usermode.None && d.Address.IsValid() {
		c.Network.Address = netip.PrefixFrom(d.Address, d.Subnet.Bits())
	}
	return nil
}

// Network is what connects a container, as far as the plan knows it.
type Network struct {
	Kind    string       // none, host, pasta, slirp4netns, veth
	Address netip.Prefix // the container's; zero where it is chosen later
}

func (c *compiler) hasDriver() bool {
	return c.driver.Kind != usermode.None && c.driver.Kind != usermode.Auto
}
func (c *compiler) hasVeth() bool   { return c.spec.Net == NetVeth }
func (c *compiler) connected() bool { return c.outward() || len(c.spec.Publish) > 0 }

// outward reports whether the container has a link.
func (c *compiler) outward() bool { return c.hasDriver() || c.hasVeth() || c.onBridge() }

// ports are bound first of all.
func (c *compiler) ports() error {
	if len(c.spec.Publish) == 0 {
		return nil
	}
	var list []string
	for _, p := range c.spec.Publish {
		list = append(list, p.String())
	}
	c.parent(plan.BindPorts{Ports: list}, "a busy port is an error before anything is started")
	return nil
}

// handOver is what command or init does with the net namespace that it has just made: the launcher gets it at once, so
// that what is started for it need not wait for the rest.
func (c *compiler) handOver(who plan.Actor) {
	if c.connected() {
		c.Plan.Add(who, plan.SendNetNS{}, "")
	}
	c.Plan.Add(who, plan.LoopbackUp{}, "")
	if c.outward() {
		if high, ok := c.highestGID(); ok {
			c.Plan.Add(who, plan.SetNetSysctl{Name: "ipv4/ping_group_range", Value: fmt.Sprintf("0 %d", high)}, "ping needs no capability")
		}
		c.Plan.Add(who, plan.SetNetSysctl{Name: "ipv4/ip_unprivileged_port_start", Value: "0"}, "the ports are the container's own")
	}
}

// HostGateway stands for the addresses of the host in an --add-host.
const HostGateway = "host-gateway"

// gatewayNames refuses names for a host that the container does not reach.
func (c *compiler) gatewayNames() error {
	for _, h := range c.spec.AddHost {
		if strings.HasSuffix(h, ":"+HostGateway) && len(c.hostAddresses()) == 0 {
			return hinted(fmt.Errorf("--add-host %s: with --net=%s there is no address of the host that is known", h, c.spec.Net),
				"with --net=auto there is, where the host has a way out; with --net=veth it is that of --veth-host")
		}
	}
	return nil
}

// Why the helpers are started as they are.
const apart, own = "the container has no path to it", "its end ends the helper, whoever ends it"

// startDriver starts the driver, as far as it gets without a net namespace, as soon as there is a user namespace.
func (c *compiler) startDriver() {
	if !c.hasDriver() && len(c.spec.Publish) == 0 {
		return
	}
	c.inInit(plan.SendUserNS{}, "which its helpers join")
	if c.hasDriver() {
		c.parent(plan.StartHelper{Which: plan.Driver}, "it takes longest: beside all that follows")
		c.Plan.Add(plan.Driver, plan.JoinContainer{}, "which owns the net namespace")
		c.Plan.Add(plan.Driver, plan.NewPIDNamespace{}, own)
		c.keepOverExec(plan.Driver, driverCaps)
		c.Plan.Add(plan.Driver, plan.ExecGuard{Argv: c.driver.Argv(), Follow: c.driver.ReadOnce()}, apart)
	}
}

// What helpers need in the container's user namespace: a driver to join the net namespace, to make its device, and to confine itself
// (it changes its root, its ids and its bounding set); the forwarder for the addresses of clients, see its confine,
// and so that no container has all that it has, see apartFromHelpers.
const (
	driverCaps = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_BIND_SERVICE |
		1<<unix.CAP_SETPCAP | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_SYS_CHROOT
	forwarderCaps = 1<<unix.CAP_NET_RAW | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_BIND_SERVICE
)

// keepOverExec has a helper keep capabilities when it executes its guard. It is the caller still, and who is not root in a
// user namespace has none there after an exec but ambient ones (capabilities(7)).
func (c *compiler) keepOverExec(who plan.Actor, set uint64) {
	if uid, ok := c.IDs.Maps.InsideUID(c.host.Caller.UID); ok && uid == 0 {
		return
	}
	c.Plan.Add(who, plan.SetCaps{Effective: set, Permitted: set, Inheritable: set}, "")
	c.Plan.Add(who, plan.RaiseAmbient{Set: set}, "so that they outlive the exec: the caller is not root in there")
}

// startHelpers is what begins once there is a net namespace.
func (c *compiler) startHelpers() {
	if c.hasDriver() {
		c.parent(plan.GiveNetNS{To: plan.Driver}, "its guard waits for it")
	}
	if len(c.spec.Publish) > 0 {
		c.parent(plan.StartHelper{Which: plan.Forwarder}, "")
		c.Plan.Add(plan.Forwarder, plan.JoinContainer{Net: true}, "from there it reaches the container's loopback")
		c.Plan.Add(plan.Forwarder, plan.NewPIDNamespace{}, own)
		c.keepOverExec(plan.Forwarder, forwarderCaps)
		c.Plan.Add(plan.Forwarder, plan.ExecGuard{Argv: []string{c.host.Netd, "forward"}}, apart)
	}
	if c.onBridge() {
		c.makePort()
	}
	if c.hasVeth() {
		r := c.spec.Veth
		r.Name, r.MTU = vethName(c.spec.Name), c.spec.MTU
		c.parent(plan.MakeVeth{Helper: c.host.Veth.Path, LXC: c.host.Veth.LXC, Args: r.Args()}, "a link of the host takes a privilege of the host")
	}
}

// vethName is the container's name where the alias of a link may have it.
func vethName(name string) string {
	if usernet.IsName(name) {
		return name
	}
	return ""
}

// connect waits for what was started for the network.
func (c *compiler) connect() {
	if !c.connected() {
		return
	}
	c.parent(plan.AwaitNetwork{}, "the command starts with its network")
	const why = "from inside, where the privilege for it is"
	switch {
	case c.hasVeth():
		c.inInit(plan.ConfigureLink{From: usernet.Inner, To: inner}, why)
	case c.onBridge():
		c.inInit(plan.ConfigureLink{From: inner, To: inner}, why)
	}
}

// highestGID is the last group of the container that a range of groups can end with.
func (c *compiler) highestGID() (high uint32, ok bool) {
	if _, ok := c.IDs.Maps.HostGID(0); !ok {
		return 0, false
	}
	for _, e := range c.IDs.Maps.GID {
		high = max(high, e.Inside+min(e.Count-1, 1<<31-1-e.Inside))
	}
	return high, true
}

// hostAddresses are those at which the container reaches the host.
func (c *compiler) hostAddresses() []netip.Addr {
	switch {
	case c.hasDriver():
		return c.driver.Hosts()
	case c.hasVeth() && c.spec.Veth.Host.IsValid():
		return []netip.Addr{c.spec.Veth.Host.Addr()}
	case c.onBridge() && !c.nesting.network.Internal && c.host.Session.Upstream != "" && c.host.Usermode.Outward4.IsValid():
		return []netip.Addr{c.host.Usermode.Outward4} // by way of the session's driver
	}
	return nil
}

// probeNetwork finds out what the network of a Spec needs.
func (h *Host) probeNetwork(s *Spec, executable string) error {
	beside := filepath.Dir(executable)
	if s.Listen {
		var err error
		get := variables(h.Environ).value
		h.Listen, err = port.ParseListenFDs(get("LISTEN_PID"), get("LISTEN_FDS"), get("LISTEN_FDNAMES"), os.Getpid())
		if err == nil {
			if err = h.Listen.Check(); err != nil {
				err = fmt.Errorf("--listen-fd: %w", err)
			}
		}
		if err != nil {
			return err
		}
	}
	if len(s.Publish) > 0 {
		h.Netd = findNetd(beside)
	}
	switch s.Net {
	case NetAuto, NetPasta, NetSlirp:
		h.Usermode = usermode.Probe(h.Path, drivers[s.Net])
	case NetVeth:
		h.findVeth(s, beside)
	default:
		if s.Named() {
			h.Usermode.Outward4 = usermode.Outward()
		}
	}
	return nil
}

// commandPID is the number of the command in a pid namespace of its own: the first
// process that init clones, or without an init process 1.
func (c *compiler) commandPID() int {
	if c.spec.NoInit {
		return 1
	}
	return 2
}

// publishes are the values of -p, one for each port.
func publishes(list []port.Bound) []string {
	var out []string
	for _, b := range list {
		out = append(out, b.String())
	}
	return out
}
