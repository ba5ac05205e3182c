package plan

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Network is what the helpers of a plan get. All but the arguments are descriptors
// above 3, which stay the caller's.
type Network struct {
	Guard    int // memfd of the static guard
	Ready    int // write end of a pipe, for a driver
	Messages int // file for what a driver has to say
	Sockets  []int
	Forward  []string // where each of them leads
}

// network is Network as a program has it.
type network struct {
	guard, ready, messages int
	sockets                []int
	forward                []string
}

// helper is a process beside the container, for its network.
type helper struct {
	actor        Actor
	program      *program
	theirs, hold int // the launcher's and the helper's end of its socket
	pid          int // of what the launcher started, until it was waited for
}

// helpers are the actors that StartHelper may start.
var helpers = [...]Actor{Driver, Forwarder}

// addHelpers prepares those that a plan has.
func (c *Child) addHelpers(pl Plan) error {
	for _, a := range helpers {
		if !has(pl, a) {
			continue
		}
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("socketpair", err)
		}
		h := &helper{actor: a, theirs: pair[0], hold: pair[1]}
		c.helpers = append(c.helpers, h)
		if h.hold, err = Above(h.hold); err != nil {
			return err
		}
	}
	return nil
}

// helperEnds are what the container's own processes may not keep open.
func (c *Child) helperEnds() (fds []int) {
	for _, h := range c.helpers {
		fds = append(fds, h.theirs, h.hold)
		if h.actor == Driver {
			fds = append(fds, c.network.ready)
		}
	}
	return fds
}

// Above moves a descriptor to a number that no helper has another use for. When that
// fails it is closed.
func Above(fd int) (int, error) {
	if fd > containerFD {
		return fd, nil
	}
	moved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, containerFD+1)
	_ = unix.Close(fd)
	return moved, os.NewSyscallError("fcntl", err)
}

// NetNS waits until the command has handed over its net namespace, and returns a
// descriptor of it, which is the child's own. Errors are those of Await.
func (c *Child) NetNS() (int, error) {
	for c.netns < 0 {
		_, ok, err := c.next()
		switch {
		case err != nil:
			return -1, err
		case !ok:
			return -1, ErrGone
		}
	}
	return c.netns, nil
}

// StartHelper starts a helper. AwaitHelpers has its errors.
func (c *Child) StartHelper(a Actor) error {
	ns, err := c.NetNS()
	if err != nil {
		return err
	}
	if c.userns < 0 {
		if c.userns, err = unix.IoctlRetInt(ns, unix.NS_GET_USERNS); err != nil {
			return os.NewSyscallError("ioctl NS_GET_USERNS", err)
		}
		if c.userns, err = Above(c.userns); err != nil {
			return err
		}
	}
	// The pidfd may be anywhere: a copy that helpers do not write over.
	pidfd, err := unix.FcntlInt(uintptr(c.PIDFD), unix.F_DUPFD_CLOEXEC, containerFD+1)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	defer unix.Close(pidfd)
	for word, fd := range map[uint64]int{c.words.netns: ns, c.words.userns: c.userns, c.words.pidfd: pidfd} {
		*(*uint64)(c.arena.at(word)) = uint64(fd)
	}
	for _, h := range c.helpers {
		if h.actor != a {
			continue
		}
		args := (*cloneArgs)(c.arena.alloc(int(unsafe.Sizeof(cloneArgs{}))))
		args.flags = unix.CLONE_VM | unix.CLONE_CLEAR_SIGHAND
		args.exitSignal = uint64(unix.SIGCHLD)
		first, machine := h.program.end(), h.program.newMachine()
		all := ^uint64(0)
		var old uint64
		if err := sigmask(unix.SIG_SETMASK, &all, &old); err != nil {
			return err
		}
		pid := start(args, unsafe.Sizeof(*args), first, machine)
		err := sigmask(unix.SIG_SETMASK, &old, nil)
		if pid < 0 {
			return unix.Errno(-pid)
		}
		h.pid = int(pid)
		closeAll(&h.hold)
		return err
	}
	return fmt.Errorf("BUG: the plan has no %s", a)
}

// AwaitHelpers waits until all helpers have executed their guards. The error is a
// *StepError when one could not.
func (c *Child) AwaitHelpers() error {
	for _, h := range c.helpers {
		if h.pid == 0 {
			continue
		}
		_, _, err := c.nextFrom(h.theirs)
		h.reap()
		if err != nil {
			return err
		}
		closeAll(&h.theirs)
	}
	return nil
}

// reap waits for the process that has left its place to the guard.
func (h *helper) reap() {
	var ws unix.WaitStatus
	for h.pid != 0 {
		if _, err := unix.Wait4(h.pid, &ws, 0, nil); !errors.Is(err, unix.EINTR) {
			h.pid = 0
		}
	}
}

func (c *Child) closeHelpers() {
	for _, h := range c.helpers {
		closeAll(&h.hold, &h.theirs)
		h.reap()
	}
	closeAll(&c.netns, &c.userns)
}
