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
		if !isAddress(d) {
			return fmt.Errorf("--dns %q: expected an IP address", d)
		}
	}
	for _, d := range s.DNSSearch {
		if d != "." && !isDomain(strings.TrimSuffix(d, ".")) {
			return fmt.Errorf("--dns-search %q: expected a domain, as example.org, or . for none", d)
		}
	}
	for _, o := range s.DNSOption {
		if o == "" || strings.ContainsFunc(o, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("--dns-option %q: expected an option of resolv.conf(5), as ndots:2", o)
		}
	}
	for i, h := range s.AddHost {
		name, ip, equals := strings.Cut(h, "=") // docker's newer form
		if !equals {
			name, ip, _ = strings.Cut(h, ":")
		}
		if !isAddress(strings.Trim(ip, "[]")) && ip != launch.HostGateway || name == "" || strings.ContainsAny(name, " \t\n\v\f\r#") {
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
	if err := f.place(w); err != nil {
		return err
	}
	return f.veth(w)
}

// place is what is asked for of a named network.
func (f *flags) place(w *words) (err error) {
	s := &f.spec
	if w.ip != "" {
		if s.IP, err = netip.ParseAddr(w.ip); err != nil || !s.IP.Is4() {
			return fmt.Errorf("--ip %q: expected an IPv4 address, as 10.9.8.7", w.ip)
		}
	}
	for _, a := range s.Aliases {
		if !isDomain(a) {
			return fmt.Errorf("--network-alias %q: expected letters, digits, hyphens, dots and _", a)
		}
	}
	if !s.Named() && (w.ip != "" || len(s.Aliases) > 0) {
		hint := "rl-net create NAME, and --net=NAME"
		if s.Net == launch.NetVeth {
			hint = "--veth-ip ADDRESS/LENGTH"
		}
		return &launch.Hinted{Err: fmt.Errorf("--ip, --network-alias: they go with a named network, not --net=%s", s.Net), Hint: hint}
	}
	return nil
}

// isAddress reports whether a text is an IP address that a line of hosts(5) or resolv.conf(5) can have. In a zone Go takes any
// letter for good, even a line's end.
func isAddress(text string) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && (a.Zone() == "" || usernet.IsInterface(a.Zone()))
}

// isDomain reports whether a name of hosts is one that DNS can ask for, with the underscores that many have.
func isDomain(name string) bool {
	const longest, label = 253, 63
	if len(name) > longest {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || len(part) > label || strings.ContainsFunc(part, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return false
		}
	}
	return true
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
		// The rules are rl-veth's, which says in one word what it does not take.
		if *o.to, err = netip.ParsePrefix(o.value); err == nil {
			_, err = usernet.ParseArgs(usernet.Request{IP: *o.to}.Args())
		}
		if err != nil {
			return fmt.Errorf("%s %q: expected the IPv4 address of a host with a length of 8 to 31, as 192.168.47.12/24", o.flag, o.value)
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
	if _, err := usernet.ParseArgs(r.Args()); err != nil {
		return fmt.Errorf("--veth-ip %s: expected another address of one net with --veth-host %s, as 192.168.47.12/24 with 192.168.47.11/24", r.IP, r.Host)
	}
	return nil
}
