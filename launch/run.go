package launch

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps/seccomp"
	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/internal/entry"
	"github.com/rl-run/rl-run/internal/keeper"
	"github.com/rl-run/rl-run/internal/pid1"
	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs"
	"github.com/rl-run/rl-run/userns"
)

// Container is one that runs.
type Container struct {
	*Start
	Child      *plan.Child
	Group      cgroup.Group // zero without limits
	OOM        string       // after the end: that the kernel has killed for lack of memory, else empty
	note       func(string)
	spec       *Spec
	lock       []int    // fds that hold the locks of layers
	path       string   // PATH of the caller
	environ    []string // of the caller, for Exec
	image      int      // memfd of the static programs; -1 once it is closed
	opts       plan.Options
	Ports      []string // that are published, with the numbers that they really have
	connection connection
	sessionDir session.Dir
	times      map[int]time.Duration // when the parent's steps began, by CLOCK_MONOTONIC
}

// Launch compiles and runs until the command has been executed. When a step
// fails in a way that only trying could tell, the child is torn down and the
// start compiled again without that fact, at most once for each.
//
// The caller gets to see each start that is compiled before anything is done for it.
//
// The calling goroutine stays locked to its thread (plan.Child.Start). Errors of steps are *plan.StepError.
func Launch(s *Spec, h *Host, filter *seccomp.Profile, o plan.Options, note func(string), before func(*Start) error) (*Container, error) {
	image, err := pid1.MemFD()
	if err != nil {
		return nil, err
	}
	keep := false
	defer func() {
		if !keep {
			_ = unix.Close(image)
		}
	}()
	o.Image = image
	if s.Detach {
		if o.Keep.Image, err = keeper.MemFD(); err != nil {
			return nil, err
		}
		defer unix.Close(o.Keep.Image)
	}
	o.Pidfds = make(map[string]int, len(h.Owners))
	for name, of := range h.Owners {
		o.Pidfds[name] = of.PIDFD
	}
	if h.Session != nil {
		o.Pidfds[TheSession] = h.Session.Pidfd
	}
	var noted []string
	for {
		start, err := Compile(s, h, filter)
		if err != nil {
			return nil, err
		}
		for i, n := range start.Notes {
			if i >= len(noted) || noted[i] != n {
				note(n)
			}
		}
		noted = start.Notes
		if err := plan.Begun(start.Plan); err != nil {
			return nil, err
		}
		if err := before(start); err != nil {
			return nil, err
		}
		o.OldClone = !h.Facts.Clone3
		c := &Container{Start: start, connection: noConnection(), sessionDir: h.SessionDir, note: note, spec: s, opts: o, path: h.Path, image: image}
		err = c.run()
		if err == nil {
			keep = true
			return c, nil
		}
		c.tearDown()
		var failed *plan.StepError
		if !errors.As(err, &failed) {
			return nil, err
		}
		var ended *driverError
		if errors.As(err, &ended) && s.Net == NetAuto {
			h.Without = append(h.Without, ended.kind)
			continue
		}
		if start.nesting != nil && ofSession(failed) {
			again, gone := h.withoutSession(s, start.nesting.network)
			if gone != nil {
				return nil, gone
			}
			if again {
				delete(o.Pidfds, TheSession)
				continue
			}
		}
		left, changed := h.Facts.Without(failed)
		if !changed {
			return nil, err
		}
		if h.Facts.TmpfsUpper && !left.TmpfsUpper && stacked(h.Rootfs.Path) {
			left.TmpfsUpper, left.Overlay = true, false // it is the lower layer that will not do
		}
		if h.Facts.OwnRoot && !left.OwnRoot {
			_, h.Leavable = chroot()
		}
		h.KeysRefused = !left.OwnKeyring && keysRefused()
		h.Facts = left
		if !left.PlainTree && h.Submounts == nil {
			if h.Submounts, err = rootfs.Submounts(h.Rootfs.Path); err != nil {
				return nil, err
			}
		}
	}
}

// run executes the plan up to the exec of init and command.
func (c *Container) run() (err error) {
	if c.opts.Timing {
		c.times = make(map[int]time.Duration)
	}
	handed := false // init waits for the parent
	for i, e := range c.Plan.Entries {
		if e.Actor != plan.Parent {
			if handed && (e.Actor == plan.Init || e.Actor == plan.Joiner) {
				if err := c.Child.Go(); err != nil {
					return err
				}
				handed = false
			}
			continue
		}
		if c.opts.Verbose {
			fmt.Fprintf(os.Stderr, "rl-run: step %d %s: %s\n", i+1, e.Actor, e.Step)
		}
		if c.opts.Timing {
			c.times[i] = monotonic()
		}
		switch e.Step.(type) {
		case plan.StartInit, plan.StartKeeper, plan.StartJoiner:
			if err := c.prepare(); err != nil {
				return err
			}
		}
		first := c.Child == nil || !c.Child.Started()
		if !first && !handed && !plan.Beside(e.Step) {
			if err := c.Child.Await(i); err != nil {
				return err
			}
			handed = true
		}
		if err := c.parentStep(e.Step); err != nil {
			of, told := errors.AsType[*plan.StepError](err)
			if told && of.Actor != plan.Joiner {
				return err // of a child, on which this step waits: what others tell behind it are consequences
			}
			if child := c.failedBefore(); child != nil {
				return child // of which this is a consequence: who maps the ids of a child that is gone gets EACCES
			}
			if told {
				return err
			}
			return &plan.StepError{Index: i, Actor: e.Actor, Step: e.Step, Err: err}
		}
		if first {
			handed = false
		}
	}
	defer c.connection.close()
	return c.Child.Running()
}

// failedBefore is what a child that has been started has told of its own failure.
func (c *Container) failedBefore() *plan.StepError {
	if c.Child == nil || !c.Child.Started() {
		return nil
	}
	return c.Child.Failed()
}

// runAnyClone runs a plan that no fact of Host but Clone3 is in.
func (c *Container) runAnyClone() error {
	err := c.run()
	if failed, ok := errors.AsType[*plan.StepError](err); ok {
		if left, _ := AllFacts.Without(failed); !left.Clone3 {
			c.tearDown()
			c.Child, c.opts.OldClone = nil, true
			err = c.run()
		}
	}
	return err
}

// prepare makes the children ready to be started.
func (c *Container) prepare() (err error) {
	if err := c.openConnection(); err != nil {
		return err
	}
	locks := c.lock
	if c.Leaves() { // after the keeper's end; who waits for that holds none else
		locks = slices.Concat(locks, c.opts.Keep.Locks)
	}
	c.opts.Keep.Locks = locks
	c.opts.Processors = entry.Processors()
	c.Child, err = plan.Prepare(c.Plan, c.opts)
	return err
}

// parentStep takes a step of the launcher itself.
func (c *Container) parentStep(s plan.Step) error {
	switch s := s.(type) {
	case plan.StartInit, plan.StartKeeper, plan.StartJoiner:
		// PDEATHSIG fires when the thread that cloned the container ends. Not
		// earlier: until here the runtime may change threads, and does.
		runtime.LockOSThread()
		if s.Kind() == plan.KindStartKeeper {
			// so that an init whose keeper is killed early is the launcher's to wait for
			if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
				return os.NewSyscallError("prctl", err)
			}
		}
		return c.Child.Start()
	case plan.MapIDs:
		if s.Helpers[0] != "" {
			spread() // the two run side by side
		}
		return userns.WriteMaps(c.Child.PID, userns.Maps{UID: s.UID, GID: s.GID},
			userns.How{Way: userns.Way(s.By), NewUIDMap: s.Helpers[0], NewGIDMap: s.Helpers[1]})
	case plan.LeaveChroot:
		return leaveChroot()
	case plan.EnterGroup:
		return c.enterGroup(s)
	case plan.JoinCgroup:
		return c.joinGroup(s)
	case plan.BindPorts:
		return c.bindPorts()
	case plan.StartHelper:
		return c.startHelper(s)
	case plan.GiveNetNS:
		return c.Child.GiveNetNS(s.To)
	case plan.MakeVeth:
		return c.makeVeth(s)
	case plan.AwaitJoiner:
		return c.Child.AwaitJoiner()
	case plan.MakePort:
		return c.makePort(s)
	case plan.AwaitNetwork:
		return c.awaitNetwork()
	case plan.PrepareLayers:
		lock, err := prepareLayers(s)
		if err != nil {
			return err
		}
		c.lock = append(c.lock, lock)
		return nil
	case plan.RemoveMountPoint:
		return c.removeMountPoint(s)
	case plan.ShareTree:
		lock, err := shareTree(s)
		if lock >= 0 {
			c.lock = append(c.lock, lock)
		}
		return err
	case plan.RemoveLayers:
		return RemoveLayers(s, c.path)
	}
	return fmt.Errorf("BUG: %s is no step of the parent", s.Kind())
}

// Abort ends a container that runs, when something else of its start has failed.
func (c *Container) Abort() { c.tearDown() }

// Detach leaves a detached container to its keeper.
func (c *Container) Detach() error {
	defer c.unlock()
	return c.Child.Detach(c.Group.Dir)
}

// tearDown ends a child that failed and waits for its end, so that what it held
// is gone.
func (c *Container) tearDown() {
	defer c.unlock()
	defer c.connection.close()
	if c.Child == nil {
		return
	}
	if c.Child.Keeper != 0 {
		c.Child.LetGo()
		_ = unix.Kill(c.Child.Keeper, unix.SIGKILL) // a child that is not yet waited for: its pid is its own
		var ws unix.WaitStatus
		_, _ = wait4(c.Child.Keeper, &ws)
	}
	c.Child.Kill() // init, which without its keeper is the subreaper's
	c.Child.Close()
	_ = c.Group.Remove() // empty, or with a scope that goes with its processes
	c.Cleanup()
}

// unlock gives back the locks of layers.
func (c *Container) unlock() {
	for _, fd := range c.lock {
		_ = unix.Close(fd)
	}
	c.lock = nil
}

// Cleanup takes the parent's steps after the end. What it cannot remove stays,
// and is told.
func (c *Container) Cleanup() {
	defer c.unlock()
	if len(c.Plan.Cleanup) > 0 {
		Unpin()
	}
	for _, s := range c.Plan.Cleanup {
		if err := c.parentStep(s); err != nil {
			fmt.Fprintf(os.Stderr, "rl-run: note: %s: %v\n", s, err)
		}
	}
}

func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}

func wait4(pid int, ws *unix.WaitStatus) (int, error) {
	for {
		n, err := unix.Wait4(pid, ws, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
