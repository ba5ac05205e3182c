package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/session"
)

const sessionUsage = `usage: rl-netd session DIR

Holds the caller's named networks: the user namespace that containers nest in, a net namespace
with a bridge for each network, name servers, and one way out. rl-net starts it.
`

// insideVerb is the session's process once its ids are mapped.
const insideVerb = "session-inside"

// The first thread of the session's process moves to the net namespace of its own,
// which so is that of the process in /proc and for a pidfd. All others stay in the
// host's, where the resolvers are, and the way out begins.
func init() {
	if len(os.Args) > 1 && os.Args[1] == insideVerb {
		runtime.LockOSThread()
	}
}

// runSession is the first process of new user and pid namespaces. Its ids are not
// mapped yet, so that its exec took its capabilities away; another exec, once they
// are, gives them to it as to any root.
func runSession(args []string) error {
	if len(args) != 1 || !filepath.IsAbs(args[0]) {
		return errors.New("session: want the absolute path of a directory")
	}
	// What the caller happened to have open, a lock of a script's or the end of a pipe, ends with the exec below: the
	// session and its driver outlive the caller.
	if err := unix.CloseRange(session.ReadyFD+1, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return os.NewSyscallError("close_range", err)
	}
	mapped := os.NewFile(session.MappedFD, "mapped")
	var b [1]byte
	if n, err := mapped.Read(b[:]); n != 1 {
		return fmt.Errorf("session: wait for the ids to be mapped: %w", err)
	}
	_ = mapped.Close()
	if os.Getpid() != 1 {
		return errors.New("session: want to be pid 1 of a pid namespace")
	}
	err := unix.Exec("/proc/self/exe", []string{"rl-netd", insideVerb, args[0]}, os.Environ())
	return &os.PathError{Op: "exec", Path: "/proc/self/exe", Err: err}
}

// runSessionInside is the session. Here: uid 0 and all capabilities in the
// session's user namespace; outside the caller's uid and nothing more.
func runSessionInside(args []string) error {
	if len(args) != 1 {
		return errors.New("session: want a directory")
	}
	unix.CloseOnExec(session.ReadyFD)
	ready := os.NewFile(session.ReadyFD, "ready")
	d := session.Dir(args[0])

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE)

	s, err := newHost(d)
	if err != nil {
		_, _ = fmt.Fprintln(ready, err)
		return err
	}
	defer s.end()
	if err := s.serve(); err != nil {
		_, _ = fmt.Fprintln(ready, err)
		return err
	}
	_, _ = fmt.Fprintln(ready, "ok")
	_ = ready.Close()

	// One who starts a session and is killed before he asks for a network leaves
	// one without purpose.
	look := time.NewTicker(purposeless)
	defer look.Stop()
	for {
		select {
		case f := <-s.work:
			f()
		case <-look.C:
			s.endWithoutPurpose()
		case <-signals:
			return nil
		case <-s.ended:
			return nil
		}
	}
}

// purposeless is how often the session looks whether anybody wants it still.
const purposeless = 10 * time.Second

// on runs f on the first thread, in the session's net namespace, and waits for it.
func (s *host) on(f func()) {
	done := make(chan struct{})
	select {
	case s.work <- func() { f(); close(done) }:
		<-done
	case <-s.over:
	}
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().UTC().Format(time.RFC3339)+" "+format+"\n", args...)
}
