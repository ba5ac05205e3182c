package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/rl-run/rl-run/internal/nearest"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/net/session"
)

const netHelp = `rl-net makes networks of your own, without root, and keeps a session warm.

  rl-net create NAME [--internal] [--subnet SUBNET]
  rl-net ls [-q] [--json]
  rl-net inspect NAME...
  rl-net rm [-f] NAME...
  rl-net prune
  rl-net start
  rl-net stop

Examples:
  rl-net create db
  rl-run -d --net=db --name pg ./postgres
  rl-run --net=db ./postgres pg_isready -h pg
                           containers of a network reach each other by name
  rl-net create --internal back
                           a network without a way out
  rl-net start             from now on containers start faster

Options of create:
  --internal           no way out, and no names from outside
  --subnet SUBNET      IPv4 addresses, like 10.9.8.0/24 (what is free)

Options of ls:
  -q, --quiet          names alone
  --json               one JSON array, with all that there is to tell

Options of rm:
  -f, --force          no error where there is no network of a name

All networks are in one session: a process of rl-netd, user and net namespaces.
It starts with the first network and ends with the last one that is removed.
rl-net start starts it without a network, and keeps it until rl-net stop; while
it runs, containers share its id map and its way out instead of making their
own. rl-net rm refuses to remove a network that containers are on, rl-net prune
removes all others, and prints their names. rl-net stop refuses while containers live in it, and leaves the networks
to the next session.
`

// verbs are what rl-net can be told.
var verbs = []struct {
	name string
	do   func(args []string) int
}{
	{"create", netCreate},
	{"ls", netList},
	{"inspect", netInspect},
	{"rm", netRemove},
	{"prune", netPrune},
	{"start", netStart},
	{"stop", netStop},
}

// network is rl-net.
func network(args []string) int {
	if len(args) == 0 {
		return fail(&launch.Hinted{Err: errors.New("rl-net: want create, ls, inspect, rm, prune, start or stop"), Hint: "rl-net --help says more"})
	}
	switch args[0] {
	case "-h", "--help", "help":
		return say(netHelp)
	case "list":
		args[0] = "ls"
	case "remove":
		args[0] = "rm"
	}
	names := make([]string, 0, len(verbs))
	for _, v := range verbs {
		if v.name == args[0] {
			return v.do(args[1:])
		}
		names = append(names, v.name)
	}
	if near := nearest.Word(args[0], typos, slices.Values(names)); near != "" {
		return fail(fmt.Errorf("rl-net: no command %s (did you mean %s?)", shown(args[0]), near))
	}
	return fail(&launch.Hinted{Err: fmt.Errorf("rl-net: no command %s", shown(args[0])), Hint: "rl-net --help lists them"})
}

func netCreate(args []string) int {
	var internal bool
	var subnet string
	c := command{
		program: "rl-net create", help: netHelp, usage: "rl-net create NAME [--internal] [--subnet SUBNET]", least: 1, most: 1,
		options: []option{
			{"internal", "", "true", func(*words) pflag.Value { return (*truth)(&internal) }},
			{"subnet", "", "", func(*words) pflag.Value { return (*text)(&subnet) }},
		},
	}
	names, code, done := c.read(args)
	if done {
		return code
	}
	r := session.Request{Verb: session.Create, Name: names[0], Internal: internal}
	err := session.CheckName(r.Name)
	if err == nil && subnet != "" {
		if r.Subnet, err = netip.ParsePrefix(subnet); err != nil {
			err = fmt.Errorf("--subnet %q: want an IPv4 subnet like 10.9.8.0/24", subnet)
		} else if err = session.CheckSubnet(r.Subnet); err != nil {
			err = fmt.Errorf("--%w", err) // which begins with that word
		}
	}
	if err == nil {
		err = netAsk(r)
	}
	if err != nil {
		return fail(err)
	}
	return say(r.Name + "\n")
}

// netAsk puts a request to the session, which is started where there is none.
func netAsk(r session.Request) error {
	d, err := sessionDir(true)
	if err != nil {
		return err
	}
	// One that was there a moment ago may end with the last network that somebody removes: then another is started.
	const tries = 5
	for i := range tries {
		s, err := startSession(d)
		if err != nil {
			return err
		}
		_, err = session.Ask(d, r)
		gone := errors.Is(err, session.ErrNone) || errors.Is(err, session.ErrEnded)
		if gone && i < tries-1 {
			_ = ended(s.Pidfd, 2*time.Second) // the next try says what is wrong
		}
		s.Close()
		if err == nil {
			break
		}
		if !gone || i == tries-1 {
			return err
		}
	}
	if s, err := session.Open(d); err == nil { // one that was just started may have no way out
		s.Close()
		if !r.Internal {
			noteNoWayOut(s, cmp.Or(r.Name, session.Auto))
		}
	}
	return nil
}

// noteNoWayOut says that a network leads nowhere, where the session has no way out.
func noteNoWayOut(s *session.Session, name string) {
	if s.Upstream == "" {
		note(false)(launch.NoWayOut(name, s.Problem))
	}
}

func netRemove(args []string) int {
	var force bool
	c := command{
		program: "rl-net rm", help: netHelp, usage: "rl-net rm [-f] NAME...", least: 1,
		options: []option{{"force", "f", "true", func(*words) pflag.Value { return (*truth)(&force) }}},
	}
	names, code, done := c.read(args)
	if done {
		return code
	}
	for _, name := range names {
		if err := removeNetwork(name); force && errors.Is(err, errNoNetwork) {
			continue
		} else if err != nil {
			code = fail(err)
			continue
		}
		say(name + "\n")
	}
	return code
}

func removeNetwork(name string) error {
	d, err := sessionDir(false)
	if err != nil {
		return noNetwork("remove", name)
	}
	if all, _ := d.Networks(); !slices.ContainsFunc(all, func(n session.Network) bool { return n.Name == name }) {
		return noNetwork("remove", name)
	}
	s, err := session.Open(d)
	if err == nil {
		_, err = session.Ask(d, session.Request{Verb: session.Remove, Name: name})
		if errors.Is(err, session.ErrEnded) { // meanwhile, for somebody else
			if late := ended(s.Pidfd, 2*time.Second); late == nil {
				err = session.ErrNone
			}
		}
		s.Close()
	}
	if !errors.Is(err, session.ErrNone) {
		return err
	}
	// No session: nobody can be on it.
	if session.CheckName(name) != nil || d.RemoveNetwork(name) != nil {
		return noNetwork("remove", name)
	}
	d.Tidy()
	return nil
}

// netPrune removes the networks that no container is on: the session knows.
func netPrune(args []string) int {
	var force bool
	c := command{
		program: "rl-net prune", help: netHelp, usage: "rl-net prune",
		options: []option{{"force", "f", "true", func(*words) pflag.Value { return (*truth)(&force) }}}, // podman asks without it
	}
	_, code, done := c.read(args)
	if done {
		return code
	}
	d, err := sessionDir(false)
	if err != nil {
		return 0 // nothing was ever made
	}
	all, err := d.Networks()
	if err != nil {
		code = fail(err)
	}
	for _, n := range all {
		err := removeNetwork(n.Name)
		if _, used := errors.AsType[session.InUseError](err); used {
			continue
		}
		if err != nil {
			code = fail(err)
			continue
		}
		say(n.Name + "\n")
	}
	return code
}

var errNoNetwork = errors.New("there is none of this name")

func noNetwork(verb, name string) error {
	if near := nearestNetwork(name); near != "" {
		return fmt.Errorf("%s network %s: %w (did you mean %s?)", verb, shown(name), errNoNetwork, near)
	}
	return &launch.Hinted{Err: fmt.Errorf("%s network %s: %w", verb, shown(name), errNoNetwork), Hint: "rl-net ls lists them"}
}

func nearestNetwork(name string) string {
	d, err := sessionDir(false)
	if err != nil {
		return ""
	}
	all, _ := d.Networks()
	return nearest.Word(name, typos, func(yield func(string) bool) {
		for _, n := range all {
			if !yield(n.Name) {
				return
			}
		}
	})
}

func netStart(args []string) int {
	c := command{program: "rl-net start", help: netHelp, usage: "rl-net start"}
	_, code, done := c.read(args)
	if done {
		return code
	}
	if err := netAsk(session.Request{Verb: session.Keep}); err != nil {
		return fail(err)
	}
	return 0
}

func netStop(args []string) int {
	c := command{program: "rl-net stop", help: netHelp, usage: "rl-net stop"}
	_, code, done := c.read(args)
	if done {
		return code
	}
	d, err := sessionDir(false)
	if err == nil {
		err = stopSession(d)
	} else {
		err = session.ErrNone
	}
	switch {
	case errors.Is(err, session.ErrNone):
		note(false)("stop the session: none runs")
	case err != nil:
		return fail(err)
	}
	return 0
}

func netInspect(args []string) int {
	c := command{program: "rl-net inspect", help: netHelp, usage: "rl-net inspect NAME...", least: 1}
	names, code, done := c.read(args)
	if done {
		return code
	}
	all, err := networks()
	if err != nil {
		return fail(err)
	}
	out := []listedNetwork{}
	for _, name := range names {
		i := slices.IndexFunc(all, func(l listedNetwork) bool { return l.Name == name })
		if i < 0 {
			code = fail(noNetwork("inspect", name))
			continue
		}
		out = append(out, all[i])
	}
	noteStuck(out)
	if len(out) > 0 {
		sayJSON(out)
	}
	return code
}
