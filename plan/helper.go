package plan

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
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
	guard        int // pidfd of the guard; -1 where it is not known
}

// helpers are their actors.
var helpers = [...]Actor{Driver, Forwarder, Linker}

// stays reports whether a helper becomes a guard; the others do one thing and end.
func (h *helper) stays() bool { return h.actor == Driver || h.actor == Forwarder }

// addHelpers prepares those that a plan has.
func (c *Child) addHelpers(pl Plan) error {
	for _, a := range helpers {
		if !has(pl, a) {
			continue
		}
		h := &helper{actor: a, theirs: -1, hold: -1, guard: -1}
		c.helpers = append(c.helpers, h)
		if h.stays() {
			if err := h.open(); err != nil {
				return err
			}
		}
	}
	return nil
}

// open makes the socket between launcher and helper.
func (h *helper) open() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	h.theirs = pair[0]
	h.hold, err = Above(pair[1])
	return err
}

// helperEnds are what the container's own processes may not keep open.
func (c *Child) helperEnds() (fds []int) {
	for _, h := range c.helpers {
		if h.stays() {
			fds = append(fds, h.theirs, h.hold)
		}
		if h.actor == Driver {
			fds = append(fds, c.network.ready)
		}
	}
	return fds
}

// awaitPID waits until the joiner has told of init, which may have told of itself
// before.
func (c *Child) awaitPID() error {
	for c.PID == 0 {
		_, ok, err := c.next()
		switch {
		case err != nil:
			return err
		case !ok:
			return ErrGone
		}
	}
	return nil
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
func (c *Child) NetNS() (int, error) { return c.handed(&c.netns) }

// handed waits until a descriptor has been handed over.
func (c *Child) handed(fd *int) (int, error) {
	for *fd < 0 {
		_, ok, err := c.next()
		switch {
		case err != nil:
			return -1, err
		case !ok:
			return -1, ErrGone
		}
	}
	return *fd, nil
}

// StartHelper starts a helper. AwaitHelpers has its errors.
func (c *Child) StartHelper(a Actor) error {
	userns, err := c.handed(&c.userns)
	if err != nil {
		return err
	}
	ns := -1
	if a == Forwarder {
		if ns, err = c.NetNS(); err != nil {
			return err
		}
	}
	if err := c.awaitPID(); err != nil {
		return err
	}
	// The pidfd may be anywhere: a copy that helpers do not write over.
	pidfd, err := unix.FcntlInt(uintptr(c.PIDFD), unix.F_DUPFD_CLOEXEC, containerFD+1)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	defer unix.Close(pidfd)
	for word, fd := range map[uint64]int{c.words.netns: ns, c.words.userns: userns, c.words.pidfd: pidfd} {
		*(*uint64)(c.arena.at(word)) = uint64(fd)
	}
	h := c.helper(a)
	if h == nil {
		return fmt.Errorf("BUG: the plan has no %s", a)
	}
	return c.spawn(h)
}

// GiveNetNS gives the net namespace to a helper whose guard waits for it. AwaitHelpers has its errors.
func (c *Child) GiveNetNS(a Actor) error {
	ns, err := c.NetNS()
	if err != nil {
		return err
	}
	h := c.helper(a)
	if h == nil {
		return fmt.Errorf("BUG: the plan has no %s", a)
	}
	for range 2 { // guard.Options.Given
		if err := unix.Sendmsg(h.theirs, []byte{0}, unix.UnixRights(ns), nil, unix.MSG_NOSIGNAL); err != nil {
			if _, _, told := c.nextFrom(h.theirs); told != nil {
				return told // why it is gone
			}
			return os.NewSyscallError("sendmsg", err)
		}
	}
	return nil
}

func (c *Child) helper(a Actor) *helper {
	for _, h := range c.helpers {
		if h.actor == a {
			return h
		}
	}
	return nil
}

// spawn clones a helper, which alone holds its end of the socket then.
func (c *Child) spawn(h *helper) error {
	args := (*cloneArgs)(c.arena.alloc(int(unsafe.Sizeof(cloneArgs{}))))
	c.clones(args, unix.CLONE_VM|unix.CLONE_CLEAR_SIGHAND, unix.SIGCHLD)
	first, machine := h.program.end(), h.program.newMachine()
	machine.control = uint64(h.hold)
	all := ^uint64(0)
	var old uint64
	if err := setSigmask(&all, &old); err != nil {
		return err
	}
	pid := start(args, c.cloneSize(), first, machine)
	err := setSigmask(&old, nil)
	if pid < 0 {
		return unix.Errno(-pid)
	}
	h.pid = int(pid)
	closeAll(&h.hold)
	return err
}

// runHelper has a helper do its one thing, and waits for that. It may do so again.
func (c *Child) runHelper(a Actor) error {
	h := c.helper(a)
	if h == nil {
		return fmt.Errorf("BUG: the plan has no %s", a)
	}
	if err := h.open(); err != nil {
		return err
	}
	if err := c.spawn(h); err != nil {
		return err
	}
	_, _, err := c.nextFrom(h.theirs)
	closeAll(&h.theirs)
	h.reap()
	return err
}

// AwaitHelpers waits until all helpers have executed their guards, and have the net namespace that they were given. The error
// is a *StepError when one could not.
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
		c.findGuard(h)
	}
	return nil
}

// findGuard opens the guard that a helper has left, which is no child of the launcher's. It is there as long as the container.
func (c *Child) findGuard(h *helper) {
	if !c.Started() || h.guard >= 0 || h.program == nil || h.program.guard == 0 {
		return
	}
	if pid := *(*uint64)(c.arena.at(h.program.guard)); pid != 0 {
		h.guard, _ = unix.PidfdOpen(int(pid), 0) // -1 when it has ended
	}
}

// guardTime is for how long the end of a guard is awaited, which comes some milliseconds after that of its container. Only
// what is stopped or in uninterruptible sleep takes longer.
const guardTime = 2 * time.Second

// awaitGuards waits until nothing is left of the helpers of a container that has ended: a forwarder has the ports of the host
// until then, and a driver is a process of the network session. The kernel reports the end of a process 1 when
// all others of its namespace have ended (zap_pid_ns_processes).
func (c *Child) awaitGuards() {
	end := time.Now().Add(guardTime)
	for _, h := range c.helpers {
		for h.guard >= 0 {
			left := max(0, time.Until(end))
			if ended, err := sys.Readable(h.guard, int(left.Milliseconds())); ended || err != nil || left == 0 {
				closeAll(&h.guard)
			}
		}
	}
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
		c.findGuard(h)
	}
	c.awaitGuards()
	closeAll(&c.netns, &c.userns)
}
