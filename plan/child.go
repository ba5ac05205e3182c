package plan

import (
	"errors"
	"os"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

// Options are how a plan is run, as against what it does.
type Options struct {
	Image   int     // memfd of the static init, for ExecInit
	Keep    Keep    // for a plan with a keeper
	Network Network // for a plan with helpers
	// Pidfds are the processes whose namespaces the plan joins, by the names that its steps have for them. A namespace's
	// own descriptor will do, too, where it alone is joined. They stay the caller's.
	Pidfds map[string]int
	// OldClone has processes made by clone(2), where something refuses clone3(2) as if the kernel had none.
	OldClone bool
	// Processors is the mask of those that the container may use, given to it where the launcher keeps to fewer; else nil.
	Processors []byte
	Verbose    bool // children write each step to stderr as they begin it
	Timing     bool // children note the time at which they begin each step
}

// Keep are the fds that a keeper gets: its program, the directory of the log and
// the file of the exit status, and the locks that are the container's as long as
// it runs (flock(2): a copy of the fd holds it). They stay the caller's.
type Keep struct {
	Image, Dir, Exit int
	Locks            []int
}

// Child is the part of a plan that init and command run, ready to be started.
type Child struct {
	wiring
	plan    Plan
	arena   *arena
	args    *cloneArgs
	first   *op
	machine *machine
	times   uint64

	helpers       []*helper
	words         shared
	link          uint64 // where the address of the request of ConfigureLink is
	netns, userns int    // the container's, once they are known; else -1
	reached       int    // the step at which init waits; -1 once that is known to Await

	initPID uint64 // where the keeper or the joiner leaves it
	joins   bool   // a joiner starts init
	told    bool   // a child has told of its failure
	group   uint64 // where the address of the room for the group's path is

	Keeper   int // pid of the keeper, which is init's parent then; 0 without
	Joiner   int // pid of the joiner until it was waited for; 0 without one, and with a keeper, whose child it is
	PID      int // of init, in the launcher's pid namespace; 0 before Start
	PIDFD    int // close-on-exec
	Terminal int // master of the pty, once OpenTerminal has run; else -1
}

// ErrGone is what Await returns when init ended without a word: it was killed.
var ErrGone = errors.New("wait for init: it ended unexpectedly")

// Prepare lowers the children's steps of a plan. Nothing is started yet.
func Prepare(pl Plan, o Options) (_ *Child, err error) {
	c := &Child{plan: pl, PIDFD: -1, Terminal: -1, netns: -1, userns: -1, reached: -1}
	c.oldClone, c.verbose = o.OldClone, o.Verbose
	c.network = network{o.Network.Guard, o.Network.Ready, o.Network.Messages, o.Network.Sockets, o.Network.Forward}
	c.image, c.control, c.theirs, c.pidEvent, c.toCmd, c.toInit = o.Image, -1, -1, -1, -1, -1
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	c.apart = -1
	if takes[OwnMemory](pl) {
		if c.apart, err = apartFD(); err != nil {
			return nil, err
		}
		c.arena, err = newSharedArena()
	} else {
		c.arena, err = newArena()
	}
	if err != nil {
		return nil, err
	}
	c.joins, c.pidfds = has(pl, Joiner) || takes[StartJoiner](pl), o.Pidfds
	d := &c.detach
	*d = noKeeper
	sockets := [][2]*int{{&c.theirs, &c.control}, {&c.toCmd, &c.toInit}}
	if has(pl, Keeper) {
		d.image, d.dir, d.exit, d.locks = o.Keep.Image, o.Keep.Dir, o.Keep.Exit, o.Keep.Locks
		sockets = append(sockets, [2]*int{&d.theirs, &d.hold})
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
			return nil, os.NewSyscallError("pipe2", err)
		}
		d.logR, d.logW = pipe[0], pipe[1]
		if d.pid, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
			return nil, os.NewSyscallError("eventfd", err)
		}
	}
	for _, ends := range sockets {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, os.NewSyscallError("socketpair", err)
		}
		*ends[0], *ends[1] = pair[0], pair[1]
	}
	if c.pidEvent, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	if err := c.addHelpers(pl); err != nil {
		return nil, err
	}
	c.sigmask = c.arena.word()
	if len(o.Processors) > 0 {
		room := c.arena.room(len(o.Processors))
		copy(room, o.Processors)
		c.processors = arg{v: address(&room[0])}
		c.processorsSize = len(room)
	}
	if o.Timing {
		room := c.arena.room(len(pl.Entries) * int(unsafe.Sizeof(unix.Timespec{})))
		c.times = address(&room[0])
	}
	c.args = (*cloneArgs)(c.arena.alloc(int(unsafe.Sizeof(cloneArgs{}))))
	return c, c.lower(pl, o)
}

// has reports whether an actor has a part in a plan.
func has(pl Plan, a Actor) bool {
	return slices.ContainsFunc(pl.Entries, func(e Entry) bool { return e.Actor == a })
}

// takes reports whether a plan has a step of a type.
func takes[T Step](pl Plan) bool {
	return slices.ContainsFunc(pl.Entries, func(e Entry) bool {
		_, is := e.Step.(T)
		return is
	})
}

func (c *Child) detached() bool { return c.detach.hold >= 0 }

// Start clones init; or the joiner, which clones init; or the keeper, and waits until that has cloned init. The calling goroutine must be locked to a thread that
// lives as long as the container may: PDEATHSIG fires when that thread ends.
func (c *Child) Start() error {
	pidfd := (*int32)(c.arena.alloc(8))
	c.args.pidfd = address(pidfd)
	// The children share this process's memory, and a child before this one may
	// have hidden it: then the files of this one's /proc directory would belong to
	// root, and no id could be mapped.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	// With every signal blocked, no handler of Go runs on the child's side.
	all := ^uint64(0)
	if err := setSigmask(&all, (*uint64)(c.arena.at(c.sigmask))); err != nil {
		return err
	}
	c.watchThread()
	pid := start(c.args, c.cloneSize(), c.first, c.machine)
	err := setSigmask((*uint64)(c.arena.at(c.sigmask)), nil)
	if pid < 0 {
		return unix.Errno(-pid)
	}
	switch {
	case c.detached():
		c.Keeper = int(pid)
		_ = unix.Close(int(*pidfd))
	case c.joins:
		c.Joiner = int(pid)
		_ = unix.Close(int(*pidfd))
	default:
		c.PID, c.PIDFD = int(pid), int(*pidfd)
	}
	c.arena.closeFD()
	// From here on the children alone hold their ends, whose end of file tells
	// that they have executed or are gone.
	closeAll(&c.apart, &c.control, &c.pidEvent, &c.toCmd, &c.toInit, &c.detach.hold, &c.detach.logR, &c.detach.logW, &c.detach.pid)
	if err == nil && c.Keeper != 0 {
		err = c.awaitInit()
	}
	return err
}

func closeAll(fds ...*int) {
	for _, fd := range fds {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}

// awaitInit waits until the keeper has started init. Its pid cannot become
// another's: the keeper reaps nobody before it has executed.
func (c *Child) awaitInit() (err error) {
	_, ok, err := c.nextFrom(c.detach.theirs)
	switch {
	case err != nil:
		if failed := c.Running(); failed != nil && c.joins {
			return failed // the joiner's, which says more
		}
		return err
	case !ok:
		return ErrGone
	}
	return c.adopt()
}

// adopt takes init for the child that it is, or the keeper's, once its pid is known.
func (c *Child) adopt() (err error) {
	c.PID = int(*(*uint64)(c.arena.at(c.initPID)))
	c.PIDFD, err = unix.PidfdOpen(c.PID, 0)
	return os.NewSyscallError("pidfd_open", err)
}

// Started reports whether there is a child of any kind.
func (c *Child) Started() bool { return c.PID != 0 || c.Joiner != 0 || c.Keeper != 0 }

// lettingGo is for how long Kill lets processes that have joined a container end by themselves, twice: once a child has told of a
// failure, which is the end of the others in their order, and then as those to whom no handoff comes any more.
const lettingGo = 5000 // ms

// LetGo has processes that have joined a container end by themselves, before they or their keeper are killed: each closes what it has open
// before its end, which one that is killed cannot (program.exit). Nor can a command whose init is gone before it, and which is killed for that.
func (c *Child) LetGo() {
	if !c.joins || c.theirs < 0 || c.told && c.hungUp() {
		return
	}
	_ = unix.Shutdown(c.theirs, unix.SHUT_WR)
	c.hungUp()
}

// hungUp waits for lettingGo until all other ends of the control socket are closed.
func (c *Child) hungUp() bool {
	for range 100 { // signals
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(c.theirs)}}, lettingGo); !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
	return false
}

// Kill ends what was started, but for the keeper, and waits for its end.
func (c *Child) Kill() {
	c.LetGo()
	if c.Joiner != 0 {
		_ = unix.Kill(c.Joiner, unix.SIGKILL) // a child that is not yet waited for: its pid is its own
		c.reap()
		if c.PID == 0 && *(*uint64)(c.arena.at(c.initPID)) != 0 {
			_ = c.adopt()
		}
	}
	if c.PID == 0 {
		return
	}
	if c.PIDFD >= 0 {
		_ = unix.PidfdSendSignal(c.PIDFD, unix.SIGKILL, nil, 0)
	}
	for {
		if _, err := unix.Wait4(c.PID, nil, 0, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// Detach leaves the container, which runs, to its keeper, with the terminal. From
// here on it does not end with the launcher. group is the directory of its control
// group, empty for none, for a keeper that looks after it.
func (c *Child) Detach(group string) error {
	if room := *(*uint64)(c.arena.at(c.group)); room != 0 && len(group) < unix.PathMax {
		copy(unsafe.Slice((*byte)(c.arena.at(room)), unix.PathMax), group)
	}
	var oob []byte
	if c.Terminal >= 0 {
		oob = unix.UnixRights(c.Terminal)
	}
	if _, err := unix.SendmsgN(c.detach.theirs, []byte{1}, oob, nil, unix.MSG_NOSIGNAL); err != nil {
		return os.NewSyscallError("sendmsg", err)
	}
	// the end of the socket: it has executed
	_, _, err := c.nextFrom(c.detach.theirs)
	return err
}

// Go lets init go on behind a handoff.
func (c *Child) Go() error {
	_, err := unix.SendmsgN(c.theirs, []byte{1}, nil, nil, unix.MSG_NOSIGNAL)
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		// it failed before; what it reported says more
		if err := c.Running(); err != nil {
			return err
		}
		return ErrGone
	}
	return os.NewSyscallError("sendmsg", err)
}

// Await waits until init has come to the parent's step at index. The error is a
// *StepError when a step of the children failed, or ErrGone.
func (c *Child) Await(index int) error {
	for c.reached != index {
		_, ok, err := c.next()
		switch {
		case err != nil:
			return err
		case !ok:
			return ErrGone
		}
	}
	c.reached = -1
	return nil
}

// Failed returns what a child has told of a step that failed, and does not wait for it: nil for nothing so far.
func (c *Child) Failed() *StepError {
	for {
		if ready, err := sys.Readable(c.theirs, 0); err != nil || !ready {
			return nil
		}
		_, ok, err := c.next()
		if failed, is := errors.AsType[*StepError](err); is {
			return failed
		}
		if !ok {
			return nil
		}
	}
}

// Running waits until both init and command have executed what they are for, or
// have ended. The error is a *StepError when a step failed.
func (c *Child) Running() error {
	for {
		_, ok, err := c.next()
		if ok {
			continue
		}
		if err == nil {
			c.reap()
			if c.joins && c.PID == 0 && c.Keeper == 0 {
				err = ErrGone
			}
		}
		return err
	}
}

// Began returns when the step of a child at index began, by CLOCK_MONOTONIC;
// 0 without Options.Timing or where it did not begin.
func (c *Child) Began(index int) time.Duration {
	if c.times == 0 {
		return 0
	}
	ts := (*unix.Timespec)(c.arena.at(c.times + uint64(index)*uint64(unsafe.Sizeof(unix.Timespec{}))))
	return time.Duration(ts.Nano())
}

// Close frees what Prepare made and what Start left open. A child that is still
// at its steps fails at its next handoff. The memory is left to a child that
// was started: it may still read it.
func (c *Child) Close() {
	c.closeHelpers()
	d := &c.detach
	closeAll(&c.apart, &c.control, &c.theirs, &c.pidEvent, &c.toCmd, &c.toInit, &c.PIDFD, &d.hold, &d.theirs, &d.logR, &d.logW, &d.pid)
	switch {
	case c.arena == nil:
	case c.Started():
		c.arena.closeFD()
	default:
		c.arena.free()
	}
}
