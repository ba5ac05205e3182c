package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
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
