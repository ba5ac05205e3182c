package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps/seccomp"
	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/heir"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
)

// listing is the state of a container that is started, as far as it is written down.
type listing struct {
	f      *flags
	host   *launch.Host
	filter *seccomp.Profile
	note   func(string)
	entry  *container.Entry // nil while it is not
	heir   *heir.Heir       // who removes it if rl-run is killed; nil where none could be started
	tried  bool             // it cannot be, when entry is nil
}

// reserve takes a name for the container. Where there is no place for its state, a container in the foreground goes on
// without.
func (l *listing) reserve() error {
	if l.tried {
		return nil
	}
	l.tried = true
	s := &l.f.spec
	launch.Unpin() // for the heir
	// First, so that there is no moment at which nobody would remove it. Without an heir the next command does.
	l.heir, _ = container.StartHeir()
	e, err := containers().Reserve(container.Request{
		Name: s.Name, Base: filepath.Base(l.host.Rootfs.Path), Detached: s.Detach, Rootfs: l.host.Rootfs.Path, Command: s.Command,
	})
	if err == nil {
		l.entry = e
		return nil
	}
	l.heir.Release()
	l.heir = nil
	var used *container.InUseError
	var name *container.NameError
	switch {
	case s.Detach, errors.As(err, &used), errors.As(err, &name):
		return err
	case s.Strict:
		return fmt.Errorf("--strict: %s%w", notListed, err)
	}
	l.note(notListed + err.Error())
	return nil
}

// before writes down what is to be done behind a start, before that does anything.
func (l *listing) before(s *launch.Start) error {
	if s.Leaves() {
		if err := l.reserve(); err != nil {
			return err
		}
	}
	if l.entry == nil {
		return nil
	}
	return l.entry.WriteCleanup(s, l.host.Path)
}

// end removes the state, and says what went wrong with that.
func (l *listing) end() error {
	if l.entry == nil {
		return nil
	}
	err := l.entry.Remove()
	l.heir.Release()
	return err
}

// launcher starts a container; the keeper gets the descriptors, and the function each start that is compiled.
type launcher func(plan.Keep, func(*launch.Start) error) (*launch.Container, error)

// detached starts a container that rl-run leaves behind, and prints its name.
func detached(f *flags, host *launch.Host, start launcher) int {
	l := &listing{f: f, host: host}
	if err := l.reserve(); err != nil {
		return fail(err)
	}
	defer l.entry.Close()
	if code := l.detach(start); code != 0 {
		if err := l.end(); err != nil {
			fail(err)
		}
		return code
	}
	// From here on the container runs, and what is written down of it stays: without that nobody could end it.
	if _, err := os.Stdout.WriteString(l.entry.Name + "\n"); err != nil {
		return fail(&launch.Hinted{Err: err, Hint: l.entry.Name + " runs; rl-rm -f " + l.entry.Name + " ends and removes it"})
	}
	return 0
}

// detach starts the container and leaves it; after a failure nothing of it runs.
func (l *listing) detach(start launcher) int {
	e := l.entry
	exit, err := e.ExitFile()
	if err != nil {
		return fail(err)
	}
	defer unix.Close(exit)
	keep := plan.Keep{Dir: e.DirFD(), Exit: exit}
	if l.heir != nil {
		keep.Locks = []int{l.heir.Will}
	}
	c, err := start(keep, l.before)
	if err != nil {
		return fail(err)
	}
	if err := register(e, l.f, l.host, c); err != nil {
		c.Abort()
		return fail(err)
	}
	if err := c.Detach(); err != nil {
		c.Abort()
		return fail(err)
	}
	if c.Leaves() {
		l.heir.Leave() // the keeper holds the will
	} else {
		l.heir.Release()
	}
	return 0
}

const notListed = "the container is not listed: "

// listable is why there is no place for the state of a container, as far as that shows before one is made.
func listable() error {
	fd, _, err := callersRuntime().Find()
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// unlisted is for how long a container without a name is not listed: to write
// down what has ended before anybody can ask for it would cost every start.
const unlisted = 50 * time.Millisecond

// attended starts a container in the foreground, and returns with its end.
func attended(f *flags, host *launch.Host, filter *seccomp.Profile, start launcher, signals int, note func(string)) int {
	l := &listing{f: f, host: host, filter: filter, note: note}
	early := f.spec.Name != "" || f.covered || f.spec.Strict // later it would be too late to refuse
	if early {
		if err := l.reserve(); err != nil {
			return fail(err)
		}
	}
	code := l.attend(early, start, signals)
	if err := l.end(); err != nil {
		note(err.Error())
	}
	return code
}

func (l *listing) attend(early bool, start launcher, signals int) int {
	c, err := start(plan.Keep{}, l.before)
	if err != nil {
		return fail(err)
	}
	if l.f.timing {
		c.WriteTimes(os.Stderr)
	}
	if !early {
		remember(l.f, l.host, l.filter)
	}
	return l.lookAfter(c, early, unlisted, signals)
}

// lookAfter returns with the end of a container that runs. It is written down early, or after a while.
func (l *listing) lookAfter(c *launch.Container, early bool, after time.Duration, signals int) int {
	if early || !c.Within(after) {
		l.register(c)
		if l.entry != nil {
			c.StandIn(signals, l.entry.DirFD(), l.entry.Remains(), l.heir)
		}
	}
	code, err := c.Supervise(signals)
	if c.OOM != "" {
		complain(fmt.Sprintf("run %s: %s", execOf(&c.Plan).Argv[0], c.OOM))
	}
	if err != nil {
		return fail(err)
	}
	return code
}

// register writes down that the container runs, under a name that it may get only now.
func (l *listing) register(c *launch.Container) {
	if err := l.reserve(); err != nil {
		l.note(notListed + err.Error())
	}
	if l.entry == nil {
		return
	}
	if err := register(l.entry, l.f, l.host, c); err != nil {
		l.note("the container cannot be entered: " + err.Error())
	}
}
