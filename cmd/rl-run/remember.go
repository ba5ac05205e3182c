package main

import (
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps/seccomp"
	"github.com/rl-run/rl-run/internal/sigpipe"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
)

// remember keeps the plan of the container that has just been started, for the next one of the same options. What goes
// wrong is nobody's business: that one starts as this one did.
func remember(f *flags, host *launch.Host, filter *seccomp.Profile) {
	wanted := plan.MemoWanted()
	if wanted == "" || f.before == 0 || f.covered || f.verbose || f.timing {
		return
	}
	dir, path, err := callersRuntime().Sub("starts", true)
	if err != nil {
		return
	}
	defer unix.Close(dir)
	if path != wanted {
		callersRuntime().Tidy("starts")
		return
	}
	_ = launch.Remember(&f.spec, host, filter, dir, path, f.before, unlisted)
}

// adopted goes on with a container that was started by memo and has turned out to run for longer: from here on it is listed.
func adopted(f *flags, child *plan.Child, image int) int {
	signals, err := sigpipe.Open()
	if err == nil {
		err = plan.Unblock()
	}
	if err != nil {
		return fail(err)
	}
	note := note(f.spec.Quiet)
	filter, err := launch.LoadFilter(&f.spec)
	var host launch.Host
	if err == nil {
		host, err = launch.Probe(&f.spec)
	}
	c, compiled := launch.Adopt(&f.spec, &host, filter, child, image, note)
	if err == nil {
		err = compiled
	}
	if err == nil {
		l := &listing{f: f, host: &host, note: note}
		code := l.lookAfter(c, false, 0, signals)
		if err := l.end(); err != nil {
			note(err.Error())
		}
		return code
	}
	note("the container is not listed: " + err.Error())
	code, err := c.Supervise(signals)
	if err != nil {
		return fail(err)
	}
	return code
}
