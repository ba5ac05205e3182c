package veth

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rl-run/rl-run/net/usernet"
	"github.com/rl-run/rl-run/net/veth/rtnl"
)

// lxcBridge is the bridge that LXC's own packages make, and grant first.
const lxcBridge = "lxcbr0"

// lxcUserNIC has lxc-user-nic(1) make the pair. It knows bridges and counts
// (/etc/lxc/lxc-usernet), but no addresses and no filters: the address must have been
// asked for, and the gateway is the bridge's own.
func (h Helper) lxcUserNIC(c Container, r usernet.Request) (usernet.Answer, error) {
	bridge := r.Bridge
	if bridge == "" {
		bridge = lxcBridge
	}
	answer, err := lxcAddresses(bridge, r)
	if err != nil {
		return usernet.Answer{}, err
	}
	// The first two name a container of LXC, whose log and lock it does not use here.
	var out, complaint bytes.Buffer
	cmd := exec.Command(h.Path, "create", "/dev/null", "rl-run", strconv.Itoa(c.Pid), "veth", bridge, usernet.Inner)
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return usernet.Answer{}, failed(h.Path, err, nil, complaint.String())
	}
	if err := parseLXC(out.String(), &answer); err != nil {
		return usernet.Answer{}, failed(h.Path, nil, err, complaint.String())
	}
	return answer, nil
}

// lxcAddresses are what the container gets on a bridge.
func lxcAddresses(bridge string, r usernet.Request) (a usernet.Answer, err error) {
	if !r.IP.IsValid() {
		return a, errors.New("lxc-user-nic gives no addresses: --veth-ip is needed")
	}
	kernel, err := rtnl.Open()
	if err != nil {
		return a, err
	}
	defer kernel.Close()
	link, err := kernel.Named(bridge)
	if err != nil {
		return a, fmt.Errorf("bridge %s: %w", bridge, err)
	}
	addrs, err := kernel.Addrs()
	if err != nil {
		return a, err
	}
	a = usernet.Answer{Inner: usernet.Inner, IP: r.IP, MTU: link.MTU}
	if r.MTU != 0 {
		a.MTU = min(r.MTU, link.MTU)
	}
	for _, addr := range addrs {
		if addr.Link == link.Index && addr.Local.Addr().Is4() && r.IP.Contains(addr.Local.Addr()) {
			a.Gateway = addr.Local.Addr()
		}
	}
	switch {
	case a.Gateway == r.IP.Addr():
		return a, fmt.Errorf("%v is the address of %s itself", r.IP.Addr(), bridge)
	case r.Host.IsValid() && a.Gateway != r.Host.Addr():
		return a, fmt.Errorf("the host's end is %s, whose address lxc-user-nic does not change to %v", bridge, r.Host.Addr())
	case a.Gateway == (netip.Addr{}):
		return a, fmt.Errorf("%s has no address in %v", bridge, r.IP.Masked())
	}
	return a, nil
}

// parseLXC reads NAME:INDEX:NAME:INDEX, the container's end and the host's. Which of the
// indexes is whose has changed between its versions, so they are looked up.
func parseLXC(line string, a *usernet.Answer) error {
	fields := strings.Split(strings.TrimSpace(line), ":")
	if len(fields) != 4 {
		return fmt.Errorf("answer %q: want NAME:INDEX:NAME:INDEX", line)
	}
	kernel, err := rtnl.Open()
	if err != nil {
		return err
	}
	defer kernel.Close()
	a.Inner = usernet.Inner
	for _, name := range []string{fields[0], fields[2]} {
		if name == usernet.Inner {
			continue
		}
		link, err := kernel.Named(name)
		if err != nil {
			return err
		}
		a.Name, a.Index, a.InnerIndex = name, link.Index, link.Peer
	}
	return nil
}
