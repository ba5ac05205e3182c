package launch

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sigpipe"
	"github.com/rl-run/rl-run/internal/sys"
	"github.com/rl-run/rl-run/internal/terminal"
)

// Supervise relays the terminal and forwards signals until the container has
// ended, cleans up, and returns the exit code: the command's own, or 128 and the
// signal that ended it. signals is the fd of sigpipe.Open.
func (c *Container) Supervise(signals int) (int, error) {
	if !c.Within(0) {
		Unpin()
	}
	session, err := c.attachTerminal()
	if err != nil {
		c.tearDown()
		return 125, err
	}
	if session != nil {
		// also when this panics: the terminal must not stay raw
		defer func() { _ = session.Close() }()
	}
	relay := c.relay(session)
	forwardUntilEnd(c.Child.PIDFD, signals, func(s unix.Signal) {
		if session == nil || !session.HandleSignal(s) {
			c.forward(s)
		}
	})
	var ws unix.WaitStatus
	_, err = wait4(c.Child.PID, &ws)
	if session != nil {
		session.End()
		<-relay
		_ = session.Close()
	}
	c.Child.Close()
	_ = unix.Close(c.image)
	c.leaveGroup()
	c.Cleanup()
	if err != nil {
		return 125, os.NewSyscallError("wait4", err)
	}
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// Within reports whether the container ends within a time. Signals that come
// meanwhile wait.
func (c *Container) Within(d time.Duration) bool {
	ended, err := sys.Readable(c.Child.PIDFD, int(d.Milliseconds()))
	return err == nil && ended
}

// relay copies between the user's terminal and the container's until both ends
// are done. When the user's is gone, the master is closed, so that the kernel
// hangs the container's terminal up.
func (c *Container) relay(session *terminal.Session) <-chan struct{} {
	done := make(chan struct{})
	if session == nil {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		_ = session.Relay(c.Child.Terminal)
		_ = unix.Close(c.Child.Terminal)
	}()
	return done
}

// forwardUntilEnd gives each signal to forward, until the process of the pidfd
// has ended.
func forwardUntilEnd(pidfd, signals int, forward func(unix.Signal)) {
	fds := []unix.PollFd{
		{Fd: int32(pidfd), Events: unix.POLLIN},
		{Fd: int32(signals), Events: unix.POLLIN},
	}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		for s := sigpipe.Read(signals); s != 0; s = sigpipe.Read(signals) {
			forward(s)
		}
		if fds[0].Revents != 0 {
			return
		}
	}
}

// attachTerminal makes the user's terminal raw; nil where the container has none.
func (c *Container) attachTerminal() (*terminal.Session, error) {
	if !c.Terminal {
		return nil, nil
	}
	if err := terminal.CheckMaster(c.Child.Terminal); err != nil {
		return nil, err
	}
	stdin := 0
	if c.spec.NoStdin {
		stdin = -1
	}
	session, err := terminal.Open(stdin, 1)
	if err != nil {
		return nil, err
	}
	return session, session.Raw()
}

// forward sends a signal to init, which passes it on to the command. A stop of
// the launcher stops only itself: a command that leads an orphaned process group
// ignores SIGTSTP (POSIX, Signal Generation and Delivery).
func (c *Container) forward(s unix.Signal) {
	if s == unix.SIGTSTP {
		_ = unix.Kill(unix.Getpid(), unix.SIGSTOP)
		return
	}
	_ = unix.PidfdSendSignal(c.Child.PIDFD, s, nil, 0)
}
