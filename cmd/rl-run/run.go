package main

import (
	"errors"
	"os"

	"github.com/spf13/pflag"

	"github.com/rl-run/rl-run/internal/sigpipe"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/launch/explain"
	"github.com/rl-run/rl-run/plan"
)

// run is rl-run itself: it returns the exit code.
func run(args []string) int {
	f, err := parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return say(help)
	case err != nil:
		return fail(err)
	case f.version:
		return say("rl-run " + version + "\n")
	}
	if child, image, signals, err := plan.Recalled(); err != nil {
		return fail(err)
	} else if child != nil {
		return adopted(f, child, image, signals)
	}
	filter, err := launch.LoadFilter(&f.spec)
	if err != nil {
		return fail(err)
	}
	if err := unexposed(f); err != nil {
		return fail(err)
	}
	host, err := launch.Probe(&f.spec)
	if err != nil {
		return fail(err)
	}
	if host.Owners, err = owners(f.owners()); err != nil {
		return fail(err)
	}
	if err := findSession(f, &host); err != nil {
		return fail(err)
	}
	note := note(f.spec.Quiet)
	if f.explain != "" {
		if err := launch.Foresee(&f.spec, &host); err != nil {
			return fail(err)
		}
		start, err := launch.Compile(&f.spec, &host, filter)
		if err != nil {
			return fail(err)
		}
		for _, n := range start.Notes {
			note(n)
		}
		if err := listable(); err != nil && !f.spec.Detach {
			note(notListed + err.Error())
		}
		if err := explained(f, start); err != nil {
			return fail(err)
		}
		return 0
	}
	start := func(k plan.Keep, before func(*launch.Start) error) (*launch.Container, error) {
		return launch.Launch(&f.spec, &host, filter, plan.Options{Verbose: f.verbose, Timing: f.timing, Keep: k}, note, before)
	}
	if f.removeLater {
		note("--rm: " + keptUntil)
	}
	if f.spec.Detach {
		return detached(f, &host, start)
	}
	signals, err := sigpipe.Open()
	if err != nil {
		return fail(err)
	}
	return attended(f, &host, filter, start, signals, note)
}

func explained(f *flags, start *launch.Start) error {
	switch f.explain {
	case "json":
		return explain.JSON(os.Stdout, start, f.secrets)
	case "sh":
		return explain.Script(os.Stdout, start, f.secrets)
	}
	return explain.Text(os.Stdout, start, f.secrets)
}
