package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/net/session"
)

func netList(args []string) int {
	var asJSON, quiet bool
	c := command{
		program: "rl-net ls", help: netHelp, usage: "rl-net ls [-q] [--json]",
		options: []option{
			{"json", "", "true", func(*words) pflag.Value { return (*truth)(&asJSON) }},
			{"quiet", "q", "true", func(*words) pflag.Value { return (*truth)(&quiet) }},
		},
	}
	_, code, done := c.read(args)
	if done {
		return code
	}
	all, err := networks()
	if err != nil {
		return fail(err)
	}
	noteStuck(all)
	if asJSON {
		if all == nil {
			all = []listedNetwork{}
		}
		return sayJSON(all)
	}
	var b strings.Builder
	if quiet {
		for _, l := range all {
			b.WriteString(l.Name + "\n")
		}
		return say(b.String())
	}
	row := func(name, subnet, kind, state, containers string) {
		fmt.Fprintf(&b, "%-20s  %-18s  %-8s  %-5s  %s\n", name, subnet, kind, state, containers)
	}
	row("NAME", "SUBNET", "KIND", "STATE", "CONTAINERS")
	for _, l := range all {
		kind, state := "-", "down"
		switch {
		case l.Internal:
			kind = "internal"
		case l.Isolated:
			kind = "isolated"
		}
		if l.Up {
			state = "up"
		}
		row(l.Name, l.Subnet.String(), kind, state, strconv.Itoa(len(l.Containers)))
	}
	return say(b.String())
}

// listedNetwork is a network as rl-net shows it.
type listedNetwork struct {
	session.Network
	Gateway    string              `json:"gateway"`
	Up         bool                `json:"up"`
	Containers map[string][]string `json:"containers"` // addresses, and the names there

	stuck string // why it leads nowhere; empty where it does, or is meant not to
}

// noteStuck says of the first of some networks that lead nowhere why: all have the way out of the session.
func noteStuck(all []listedNetwork) {
	for _, l := range all {
		if l.stuck != "" {
			note(false)(l.stuck)
			return
		}
	}
}

// networks are those that there are, with what is known of those on them.
func networks() ([]listedNetwork, error) {
	d, err := sessionDir(false)
	if err != nil {
		return nil, nil // nothing was ever made
	}
	all, err := d.Networks()
	if err != nil {
		note(false)(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	s, err := session.Open(d)
	switch {
	case err == nil:
		s.Close()
		if auto, ok := s.Network(session.Auto); ok && s.Keep {
			all = append([]session.Network{auto}, all...)
		}
	case !errors.Is(err, session.ErrNone):
		return nil, err
	}
	out := make([]listedNetwork, 0, len(all))
	for _, n := range all {
		l := listedNetwork{Network: n, Gateway: n.Gateway().String(), Containers: map[string][]string{}}
		if s != nil {
			if s.Upstream == "" && !n.Internal {
				l.stuck = launch.NoWayOut(n.Name, s.Problem)
			}
			if up, ok := s.Network(n.Name); ok {
				l.Network, l.Up = up, true
				names, _ := d.Names(n.Name)
				for number, all := range names {
					if all == nil {
						all = []string{}
					}
					l.Containers[n.Port(number).Address.Addr().String()] = all
				}
			}
		}
		out = append(out, l)
	}
	return out, nil
}
