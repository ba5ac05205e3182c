package launch

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/terminal"
)

// unforwarded are the signals that are the launcher's own business: of its
// children, of its runtime, of its writes and of its terminal.
var unforwarded = [...]unix.Signal{
	unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU, unix.SIGKILL, unix.SIGSTOP,
	// faults of the launcher itself
	unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSYS, unix.SIGPROF,
	// of the C library
	32, 33,
}

// Signals receives what is to be forwarded, from now on. What the caller
// ignores, as under nohup(1), stays ignored.
func Signals() chan os.Signal {
	var list []os.Signal
next:
	for s := unix.Signal(1); s <= 64; s++ {
		for _, u := range unforwarded {
			if s == u {
				continue next
			}
		}
		if !signal.Ignored(s) {
			list = append(list, s)
		}
	}
	ch := make(chan os.Signal, 128)
	signal.Notify(ch, list...)
	return ch
}

// Supervise relays the terminal and forwards signals until the container has
// ended, cleans up, and returns the exit code: the command's own, or 128 and the
// signal that ended it.
func (c *Container) Supervise(signals chan os.Signal) (int, error) {
	session, err := c.attachTerminal()
	if err != nil {
		c.tearDown()
		return 125, err
	}
	go func() {
		for s := range signals {
			if session == nil || !session.HandleSignal(s) {
				c.forward(s.(syscall.Signal))
			}
		}
	}()
	var ws unix.WaitStatus
	if session != nil {
		relayed := make(chan error, 1)
		go func() { relayed <- session.Relay(c.Child.Terminal) }()
		_, err = wait4(c.Child.PID, &ws)
		session.End()
		<-relayed
		_ = session.Close()
	} else {
		_, err = wait4(c.Child.PID, &ws)
	}
	signal.Stop(signals)
	c.Child.Close()
	c.Cleanup()
	if err != nil {
		return 125, os.NewSyscallError("wait4", err)
	}
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
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
func (c *Container) forward(s syscall.Signal) {
	if s == syscall.SIGTSTP {
		_ = unix.Kill(unix.Getpid(), unix.SIGSTOP)
		return
	}
	_ = unix.PidfdSendSignal(c.Child.PIDFD, s, nil, 0)
}
