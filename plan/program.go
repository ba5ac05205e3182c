package plan

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// program is one child's ops while they are being put together.
type program struct {
	wiring
	a      *arena
	ops    []op
	step   int32
	memory shared

	// The container's /proc and /sys, opened when they are mounted: who can write to ROOTFS can move the directory they
	// are mounted on, and then their names lead to another one.
	kernel map[string]arg

	peer    int      // its end of the socket between init and command
	command *program // what StartCommand starts

	forwards    bool     // it is the forwarder, not the driver
	guard       uint64   // where NewPIDNamespace leaves the pid of what it starts, as the launcher sees it; 0 for nowhere
	joiner      *program // what StartJoiner starts, of the keeper
	joining     bool     // it is the joiner: init is to be no child of its own
	init        *program // of the keeper and of the joiner: what StartInit starts
	initControl int
	initArgs    *cloneArgs
}

// wiring is what a child inherits: fd numbers and places in the arena.
type wiring struct {
	control  int    // the child's end of the control socket
	theirs   int    // the launcher's end, which a child closes first
	image    int    // memfd of the static init
	pidEvent int    // eventfd that tells the static init the command's pid
	toCmd    int    // init's end of the socket between init and command
	toInit   int    // the command's end
	sigmask  uint64 // address of the caller's signal mask
	// mask of processors to be given back before an exec, and its size in bytes; 0 for none
	processors     arg
	processorsSize int
	detach         keep // of a detached container
	network        network
	apart          int // memfd of the interpreter, for OwnMemory; else -1
	pidfds         map[string]int
	oldClone       bool  // Options.OldClone
	verbose        bool  // Options.Verbose
	memo           *memo // that the program is for; nil for one that is run at once
}

// keep is what the keeper has: all -1 in a plan without one.
type keep struct {
	image      int   // memfd of the static keeper
	dir, exit  int   // for the log, and for the exit status
	pid        int   // eventfd for init's pid
	logR, logW int   // pipe of the command's output
	hold       int   // the keeper's end of its socket with the launcher, its control
	theirs     int   // the launcher's end
	locks      []int // that it holds while the container runs
}

// noKeeper is what a plan without one has.
var noKeeper = keep{-1, -1, -1, -1, -1, -1, -1, -1, nil}

// shared are the results that one step leaves for another. They lie in the
// arena, which all children and the launcher see.
type shared struct {
	root    uint64 // fd: root of the new tree
	stage   uint64 // fd: root of the stage tmpfs
	devnull uint64 // fd: the host's /dev/null, checked
	pty     uint64 // fd, of the command: slave of its terminal
	command uint64 // pid of the command, as init sees it
	init    uint64 // pid of init, as its keeper sees it
	starter uint64 // pid of init, as it sees itself, in a container that has a process 1
	thread  uint64 // 1 as long as the thread of the launcher lives that has started the first child
	netns   uint64 // fd of the container's net namespace, once the launcher has it
	userns  uint64 // fd of its user namespace, for a helper
	pidfd   uint64 // fd of its init, for a helper
	link    uint64 // address of the request of ConfigureLink
	port    uint64 // address of the request of SendLink
	group   uint64 // address of the room for the path of the control group
}

// arg is an argument of a system call: a literal, or a word in the arena.
type arg struct {
	v     uint64
	deref bool
}

func lit[T ~int | ~uint | ~int32 | ~uint32 | ~uint64 | ~uintptr](v T) arg { return arg{v: uint64(v)} }

// at is the word at an address of the arena, read when the call is made.
func at(addr uint64) arg { return arg{addr, true} }

var cwd = arg{v: 1<<64 - 100} // AT_FDCWD

// call appends a system call and returns it, for the rules that differ from the
// usual one: any errno ends the child.
func (p *program) call(nr uint64, args ...arg) *op {
	o := op{nr: nr, step: p.step}
	for i, a := range args {
		o.arg[i] = a.v
		if a.deref {
			o.deref |= 1 << i
		}
	}
	if len(p.ops) == cap(p.ops) {
		p.a.full = true
		p.ops = p.ops[:0] // not run: Prepare fails
	}
	p.ops = append(p.ops, o)
	return &p.ops[len(p.ops)-1]
}

// keep has the result of the call put into a new word.
func (p *program) keep(o *op) arg {
	o.out = p.a.word()
	return at(o.out)
}

// keepIn has the result put into a word that other steps know.
func (o *op) keepIn(word uint64) arg {
	o.out = word
	return at(word)
}

// wants makes any result but n a failure.
func (o *op) wants(n int64) { o.kind, o.want = kindWant, n }

const opSize = int32(unsafe.Sizeof(op{}))

// skips lets the op be followed by the one n behind the next when it fails with
// one of the errnos; n = 0 ignores them, n = -1 tries again.
func (o *op) skips(n int, errnos ...unix.Errno) *op {
	o.mask1, o.jump1 = errnoMask(errnos), int32(n+1)*opSize
	return o
}

// orSkips is a second rule beside skips.
func (o *op) orSkips(n int, errnos ...unix.Errno) {
	o.mask2, o.jump2 = errnoMask(errnos), int32(n+1)*opSize
}

// mayFail lets the op be followed by the next one, come what may.
func (o *op) mayFail() { o.mask1, o.jump1 = ^uint64(0), opSize }

func errnoMask(errnos []unix.Errno) (mask uint64) {
	for _, e := range errnos {
		if e >= 64 {
			panic("BUG: no rule can be about " + unix.ErrnoName(e)) // the interpreter has 64 bits
		}
		mask |= 1 << uint(e)
	}
	return mask
}

// compare fails with errno unless value & mask is want.
func (p *program) compare(value arg, mask, want uint64, errno unix.Errno) *op {
	o := p.call(0, value, lit(mask), lit(want), lit(uint64(errno)))
	o.kind = kindCompare
	return o
}

// equal fails with errno unless two values are the same.
func (p *program) equal(a, b arg, errno unix.Errno) {
	p.call(0, a, lit(^uint64(0)), b, lit(uint64(errno))).kind = kindCompare
}

// decimal writes a number, which has at most as many digits as there is room, so that it ends before an address.
func (p *program) decimal(value arg, end uint64) {
	p.call(0, value, lit(end)).kind = kindDecimal
}

// jump goes on behind the next n operations.
func (p *program) jump(n int) { p.compare(lit(0), 0, 1, unix.EAGAIN).skips(n, unix.EAGAIN) }

func (p *program) close(fd arg) *op { return p.call(unix.SYS_CLOSE, fd) }

// poll waits for events of a descriptor, or for its hang-up (ppoll(2)).
func (p *program) poll(fd int32, events int16, within time.Duration) *op {
	poll := (*unix.PollFd)(p.a.alloc(int(unsafe.Sizeof(unix.PollFd{}))))
	*poll = unix.PollFd{Fd: fd, Events: events}
	limit := (*unix.Timespec)(p.a.alloc(int(unsafe.Sizeof(unix.Timespec{}))))
	*limit = unix.NsecToTimespec(within.Nanoseconds())
	return p.call(unix.SYS_PPOLL, lit(address(poll)), lit(1), lit(address(limit)), lit(0), lit(0))
}

// str puts a string into the arena.
func (p *program) str(s string) arg { return lit(p.a.str(s)) }

// openHow makes a struct open_how (openat2(2)).
func (p *program) openHow(flags, mode, resolve uint64) arg {
	h := (*unix.OpenHow)(p.a.alloc(int(unsafe.Sizeof(unix.OpenHow{}))))
	*h = unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Mode: mode, Resolve: resolve}
	return lit(address(h))
}

// openIn opens a path of the new root, which cannot lead out of it: links are
// followed inside it and magic links not at all (openat2(2)).
func (p *program) openIn(path string, flags uint64) arg {
	return p.keep(p.openInCall(path, flags))
}

func (p *program) openInCall(path string, flags uint64) *op {
	return p.openFrom(at(p.memory.root), path, flags)
}

func (p *program) openFrom(root arg, path string, flags uint64) *op {
	const in = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	o := p.call(unix.SYS_OPENAT2, root, p.str(path), p.openHow(flags, 0, in),
		lit(unsafe.Sizeof(unix.OpenHow{})))
	// a rename somewhere made the kernel unsure where ".." had led: once more
	o.orSkips(-1, unix.EAGAIN)
	return o
}

// moveTo attaches the detached mount m to the place that fd is open on, and
// closes both.
func (p *program) moveTo(m, fd arg) {
	p.move(m, fd)
	p.close(m)
	p.close(fd)
}

func (p *program) move(m, fd arg) {
	empty := p.str("")
	p.call(unix.SYS_MOVE_MOUNT, m, empty, fd, empty,
		lit(unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH))
}

// setAttr changes attributes of the mount m (mount_setattr(2)).
func (p *program) setAttr(m arg, set, propagation uint64, flags uint) {
	a := (*unix.MountAttr)(p.a.alloc(int(unsafe.Sizeof(unix.MountAttr{}))))
	*a = unix.MountAttr{Attr_set: set, Propagation: propagation}
	p.call(unix.SYS_MOUNT_SETATTR, m, p.str(""), lit(unix.AT_EMPTY_PATH|flags), lit(address(a)),
		lit(unsafe.Sizeof(unix.MountAttr{})))
}

// spread gives back the processors that the launcher does without. An outer filter may refuse it: then it keeps to the
// launcher's.
func (p *program) spread() {
	if p.processorsSize == 0 {
		return
	}
	defer func() { p.processorsSize = 0 }() // once is enough
	p.call(unix.SYS_SCHED_SETAFFINITY, lit(0), lit(p.processorsSize), p.processors).skips(0, unix.EPERM, unix.EACCES, unix.ENOSYS, unix.EINVAL)
}

// spawn clones a process that runs the program q; the result is its pid.
func (p *program) spawn(q *program) *op {
	args := (*cloneArgs)(p.a.alloc(int(unsafe.Sizeof(cloneArgs{}))))
	p.clones(args, unix.CLONE_VM, unix.SIGCHLD)
	p.initArgs = args
	return p.clone(args, lit(address(q.end())), q.newMachine())
}

func (p *program) newMachine() *machine {
	m := (*machine)(p.a.alloc(int(unsafe.Sizeof(machine{}))))
	m.control = uint64(p.control)
	m.command.Fd, m.other = -1, -1
	if p.apart >= 0 && p.command != nil {
		// A command whose init ends first is killed, with all that it has open (exit).
		m.command.Fd, m.other = int32(p.toCmd), int64(p.toInit)
		m.linger[0] = lettingGo / 1000
	}
	return m
}

// end returns the first op of the finished program.
func (p *program) end() *op { return &p.ops[:1][0] }

// next returns where the op that is added next will be.
func (p *program) next() *op {
	if len(p.ops) == cap(p.ops) {
		p.a.full = true
		return &p.ops[0]
	}
	return &p.ops[:len(p.ops)+1][len(p.ops)]
}
