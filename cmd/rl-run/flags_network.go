package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/net/port"
	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/net/usernet"
)

// netModes are the words of --net beside names.
var netModes = [...]string{launch.NetAuto, launch.NetNone, launch.NetHost, launch.NetPasta, launch.NetSlirp, launch.NetVeth}

func (f *flags) network(w *words) (err error) {
	s := &f.spec
	if s.Net == "private" {
		s.Net = launch.NetAuto
	}
	if s.Named() && s.Net == "bridge" {
		return &launch.Hinted{
			Err:  errors.New("--net=bridge: the networks here have names of their own"),
			Hint: "rl-net create NAME, and --net=NAME; --net=auto is for a container that no other has to find",
		}
	} else if s.Named() && session.CheckName(s.Net) != nil {
		return oneOfOrContainer("net", s.Net, append(netModes[:], "the name of a network", "container:NAME")...)
	} else if !s.Named() && strings.HasPrefix(s.Net, launch.OfContainer) {
		if err := oneOfOrContainer("net", s.Net, "container:NAME"); err != nil {
			return err
		}
	}
	s.Listen = w.listen
	if s.Publish, err = port.Parse(w.publish); err != nil {
		return err
	}
	for _, d := range s.DNS {
		if _, err := netip.ParseAddr(d); err != nil {
			return fmt.Errorf("--dns %q: expected an IP address", d)
		}
	}
	for i, h := range s.AddHost {
		name, ip, equals := strings.Cut(h, "=") // docker's newer form
		if !equals {
			name, ip, _ = strings.Cut(h, ":")
		}
		if _, err := netip.ParseAddr(strings.Trim(ip, "[]")); err != nil && ip != launch.HostGateway || name == "" || strings.ContainsAny(name, " \t\n#") {
			return fmt.Errorf("--add-host %q: expected NAME:ADDRESS, or NAME:host-gateway for the host", h)
		}
		s.AddHost[i] = name + ":" + ip
	}
	if w.mtu != "" {
		s.MTU, err = strconv.Atoi(w.mtu)
		if err != nil || s.MTU < usernet.MinMTU || s.MTU > maxMTU {
			return fmt.Errorf("--mtu %q: expected a number of bytes from %d to %d", w.mtu, usernet.MinMTU, maxMTU)
		}
		if s.Net == launch.NetNone || s.Net == launch.NetHost || s.Named() || launch.Share(s.Net).Owner() != "" {
			return fmt.Errorf("--mtu %s: with --net=%s the container has no link that it could be of", w.mtu, s.Net)
		}
	}
	return f.veth(w)
}

// maxMTU is the largest that all modes can have.
const maxMTU = 65520

func (f *flags) veth(w *words) (err error) {
	r := &f.spec.Veth
	for _, o := range [...]struct {
		flag, value string
		to          *netip.Prefix
	}{{"--veth-host", w.vethHost, &r.Host}, {"--veth-ip", w.vethIP, &r.IP}} {
		if o.value == "" {
			continue
		}
		if *o.to, err = netip.ParsePrefix(o.value); err != nil || !o.to.Addr().Is4() {
			return fmt.Errorf("%s %q: expected an IPv4 address with its length, as 192.168.47.12/24", o.flag, o.value)
		}
	}
	if r.Bridge = w.vethBridge; r.Bridge != "" && !usernet.IsInterface(r.Bridge) {
		return fmt.Errorf("--veth-bridge %q: expected the name of a network interface", r.Bridge)
	}
	if f.spec.Net != launch.NetVeth && (w.vethHost != "" || w.vethIP != "" || w.vethBridge != "") {
		return fmt.Errorf("--veth-host, --veth-ip, --veth-bridge: they go with --net=veth, not --net=%s", f.spec.Net)
	}
	if r.Bridge != "" && r.Host.IsValid() {
		return fmt.Errorf("--veth-host %s: with --veth-bridge the host has the bridge's own address", r.Host)
	}
	return nil
}
