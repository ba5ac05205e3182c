package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/runtimedir"
	"github.com/rl-run/rl-run/internal/sys"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/userns"
)

// sessionDir is where the caller's session keeps its state; make makes it.
func sessionDir(make bool) (session.Dir, error) {
	fd, path, err := callersRuntime().Sub("net", make)
	if err != nil {
		return "", err
	}
	_ = unix.Close(fd)
	return session.Dir(path), nil
}

func callersRuntime() *runtimedir.Dir {
	return runtimedir.New(os.Getenv("XDG_RUNTIME_DIR"), os.Geteuid())
}

// startSession opens the session, and starts one where none runs. It gets all ids
// that the caller has, for any container may want them.
func startSession(d session.Dir) (*session.Session, error) {
	program, err := netd()
	if err != nil {
		return nil, err
	}
	caller, err := userns.Probe(userns.ModeAuto, os.Getenv("PATH"))
	if err != nil {
		return nil, err
	}
	ids, err := userns.Compile(userns.Request{}, caller)
	if err != nil {
		return nil, err
	}
	return session.Start(d, program, os.Getenv("PATH"), func(pid int) error {
		return userns.WriteMaps(pid, ids.Maps, ids.How)
	})
}

// netd finds rl-netd: beside this program, where it was installed, else in PATH.
func netd() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "rl-netd")
		if unix.Access(beside, unix.X_OK) == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath("rl-netd")
	if err != nil {
		return "", &launch.Hinted{
			Err:  errors.New("find rl-netd: neither beside rl-run nor in PATH"),
			Hint: "install it with rl-run: make install",
		}
	}
	return filepath.Abs(path)
}

// stopSession returns when the session's process is gone, and all that it held.
func stopSession(d session.Dir) error {
	s, err := session.Open(d)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := session.Ask(d, session.Request{Verb: session.Stop}); err != nil && !errors.Is(err, session.ErrEnded) {
		return err // ended it has for somebody else, too
	}
	if err := ended(s.Pidfd, 10*time.Second); err != nil {
		return fmt.Errorf("stop the session: process %d: %w", s.Pid, err)
	}
	d.Tidy()
	return nil
}

// ended waits until the process of a pidfd has ended.
func ended(pidfd int, limit time.Duration) error {
	until := time.Now().Add(limit)
	for {
		left := time.Until(until).Milliseconds()
		if left <= 0 {
			return errors.New("it does not end")
		}
		if ended, err := sys.Readable(pidfd, int(left)); err != nil || ended {
			return err
		}
	}
}

// findSession finds the session in which the container is to nest. One that is asked for
// by the name of a network that is written down is started where none runs.
func findSession(f *flags, host *launch.Host) (err error) {
	if f.spec.Net == launch.NetHost || f.explain == "sh" && !f.spec.Named() {
		return nil
	}
	if host.SessionDir, err = sessionDir(false); err != nil {
		if f.spec.Named() && errors.Is(err, os.ErrNotExist) {
			return launch.NoNetwork(f.spec.Net, nil)
		}
		return nil // none can run
	}
	host.Session, err = session.Open(host.SessionDir)
	switch {
	case err == nil:
		return nil
	case !f.spec.Named():
		host.Session = nil
		return nil
	case !errors.Is(err, session.ErrNone):
		return err
	}
	list, err := host.SessionDir.Networks()
	if !slices.ContainsFunc(list, func(n session.Network) bool { return n.Name == f.spec.Net }) {
		if err != nil {
			return err
		}
		return launch.NoNetwork(f.spec.Net, list)
	}
	if f.explain != "" {
		return nil // nothing is started for it
	}
	host.Session, err = startSession(host.SessionDir)
	return err
}
