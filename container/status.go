package container

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

// look finds out the status from the state that was read. The error is of the machine.
func (e *Entry) look() error {
	if e.State.Init.PID == 0 {
		is, err := e.State.Owner.look()
		e.Status, e.ended = Created, is == gone
		return err
	}
	p, is, err := e.State.Init.process()
	e.init = p
	var foreign *ForeignError
	switch {
	case isForeign(err, &foreign):
		e.Status, e.Damage = Damaged, foreign
		return nil
	case err != nil:
		return err
	case is != gone:
		e.readExit() // for what was dropped
		e.Status = Running
		return nil
	}
	// The keeper writes how it ended before it ends itself.
	keeper, err := e.State.Keeper.look()
	if err != nil {
		return err
	}
	e.ended = keeper == gone
	switch {
	case e.readExit():
		e.Status = Exited
	case e.ended:
		e.Status = Dead
	default:
		e.Status = Running
	}
	return nil
}

// exitSize is more than a file exit has: its line, and some ten counters of a control group.
const exitSize = 1024

// readExit reads the exit code, from the file that was there when the entry was opened first.
func (e *Entry) readExit() bool {
	if e.exitFD < 0 {
		fd, err := sys.OpenAt(e.dir, exitFile, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
		if err != nil {
			return false
		}
		e.exitFD = fd
	}
	text := make([]byte, exitSize)
	n, err := unix.Pread(e.exitFD, text, 0)
	if err != nil {
		return false
	}
	exit, ended := parseExit(text[:n])
	e.Exit = exit
	return ended
}

// stale reports whether nobody but the next command will remove the entry: those that ran detached stay for rl-rm.
func (e *Entry) stale() bool {
	switch e.Status {
	case Created:
		return e.ended
	case Exited, Dead:
		return e.ended && !e.State.Detached
	case Running, Damaged:
	}
	return false
}

// Settling reports whether a container has ended, or is about to, and its launcher or keeper is still busy with it.
func (e *Entry) Settling() bool { return e.Status != Damaged && !e.ended }

// ForeignError is a process that the state names and that is no container of the caller.
type ForeignError struct {
	PID    int
	Reason string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("look at process %d: it is no container of yours: %s", e.PID, e.Reason)
}
