package main

import (
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps/seccomp"
	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/sys"
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
	// Which directories hold links on the way is no premise, and none may be in a container's reach.
	if path != wanted || len(f.spec.Mounts) > 0 && behindLink(path) {
		callersRuntime().Tidy("starts")
		return
	}
	_ = launch.Remember(&f.spec, host, filter, dir, path, f.before, unlisted)
}

func behindLink(path string) bool {
	real, err := filepath.EvalSymlinks(path)
	return err != nil || real != filepath.Clean(path)
}

// adopted goes on with a container that was started by memo and has turned out to run for longer: from here on it is listed.
func adopted(f *flags, child *plan.Child, image, signals int) int {
	note := note(f.spec.Quiet)
	filter, err := launch.LoadFilter(&f.spec)
	var host launch.Host
	if err == nil {
		host, err = launch.Probe(&f.spec)
	}
	if err == nil {
		err = findSession(f, &host)
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

// rememberExec is remember for a further command in a container.
func rememberExec(f *flags, host *launch.Host, s *container.Store, t *launch.Target) {
	dir := t.Dirs[0]
	if plan.MemoWanted() != dir || f.before == 0 || f.verbose || f.timing {
		return
	}
	fd, err := sys.OpenAt(unix.AT_FDCWD, dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_ = launch.RememberExec(&f.spec, host, t, fd, f.before, unlisted, func(any *launch.Spec) (*launch.Target, error) {
		return target(s, t.Name, any)
	})
	container.Late(fd, dir)
}
