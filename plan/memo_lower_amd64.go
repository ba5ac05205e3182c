package plan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/static"
)

// A memo is a plan that was run, kept as the programs that it was lowered to, together with what else the launcher does and
// with the premises of the plan. It is the memory of an arena as a file, which the same launcher, called again in the same
// way, maps at the same address and runs before Go's runtime has begun: see recall_amd64.go. Whatever is not as it was ends there,
// at the latest with the first step that fails, and the plan is compiled anew. Any command can be started by it.

// memoAt is where it lies: far from where the kernel puts programs, libraries and stacks, and from sharedAt.
const memoAt = 1 << 37

// memoMagic begins a memo.
const memoMagic = 0x31206f6d656d6c72 // "rlmemo 1"

// The descriptors of a start by memo: those that are the lowest free ones when only the standard ones are open. In a process
// with others there is none.
const (
	memoImage = 3 + iota
	memoTheirs
	memoControl
	memoToCmd
	memoToInit
	memoPidEvent
	memoPidfd // of init
	memoFDs   // behind the last

	memoSession = memoPidfd   // pidfd of the session, where a joiner starts init, whose pidfd is the lowest that was closed then
	memoNested  = memoControl // by then
)

// Phases of the launcher's program, which its ops have for steps.
const (
	phasePremises = iota
	phaseFDs      // some of the descriptors may be open
	phaseStarted  // they are, and there is an init
	phaseRuns     // the command is executed
	phaseEnded    // and init has been waited for
)

// memoDone is the errno with which the launcher's program says that it has come to its end.
const memoDone = errUnwanted - 1

// memoPaths is in how many places a command is looked for at most.
const memoPaths = 16

// memoName is how long the name of a command may be that is looked for.
const memoName = unix.NAME_MAX

// memo is the begin of the arena. Addresses are of the arena.
type memo struct {
	magic    uint64
	size     uint64
	launcher fileID // its own file

	// what it is called with: the bytes of the words from the first to ROOTFS, each with its NUL, and those of the environment
	words, wordsLen, wordsCount uint64
	env, envLen, envCount       uint64

	command [memoPaths]struct{ path, room, name uint64 } // word that holds the address; where a path is put together, and the name in it
	argv    uint64                                       // word that holds the address of the command's arguments

	look, machine uint64 // the launcher's program up to the first handoff, or to the end
	goOn          uint64 // the rest of it; 0 for none

	opened  [2]int64    // the single descriptors as they were opened: image and event
	pairs   [2][2]int32 // and the sockets
	pid     int64       // of init
	pidfd   uint64      // of init, where it is the launcher's clone
	helpers [2]int64    // pids of newuidmap and newgidmap, or of joiner and mapper, as long as they have not been waited for
	pidfds  [2]uint64   // of the same
	numbers [4]struct { // where init's pid is written in decimal, with what comes behind it
		at      uint64
		tail    [8]byte
		tailLen uint64
	}
	initFD  int64      // pidfd of init
	session SessionRef // in which it nests; zero for none
	nested  uint64     // address of init's pid, as its joiner leaves it
	said    [2]uint64  // the records of joiner and init, in either order
	says    [2]uint64  // what they are to be
	status  uint64     // of init, as wait4(2) has it
	sigmask uint64     // address of the caller's signal mask
}

// errNoMemo is for plans that only the launcher itself can run.
var errNoMemo = errors.New("the plan has steps that need the launcher")

// piece is a part of a memo's file.
type piece struct {
	at   int64
	data []byte
}

// lower turns a plan and its launcher into a memo. free gives its memory back, after the pieces have been written.
func (m *Memo) lower() (pieces []piece, free func(), err error) {
	shape, err := keepable(m.Plan)
	if err != nil {
		return nil, nil, err
	}
	at, err := unix.MmapPtr(-1, 0, unsafe.Add(nil, memoAt), arenaSize, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE|unix.MAP_FIXED_NOREPLACE)
	if err != nil {
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	a := &arena{mem: unsafe.Slice((*byte)(at), arenaSize), ops: arenaSize, fd: -1}
	defer func() {
		if err != nil {
			a.free()
		}
	}()
	k := (*memo)(a.alloc(int(unsafe.Sizeof(memo{}))))
	k.magic, k.size, k.launcher = memoMagic, arenaSize, self
	k.opened, k.pairs = [2]int64{-1, -1}, [2][2]int32{{-1, -1}, {-1, -1}}
	if !k.callers(a, m.Words) {
		return nil, nil, errNoMemo
	}
	c := &Child{plan: m.Plan, arena: a, PIDFD: -1, Terminal: -1}
	c.image, c.control, c.theirs, c.pidEvent, c.toCmd, c.toInit, c.apart = memoImage, memoControl, memoTheirs, memoPidEvent, memoToCmd, memoToInit, -1
	c.detach = keep{-1, -1, -1, -1, -1, -1, -1, -1, nil}
	c.memo = k
	if shape.nested {
		c.joins, c.pidfds = true, map[string]int{m.Session.Name: memoSession}
		k.session = m.Session
		if err := c.addHelpers(m.Plan); err != nil {
			return nil, nil, err
		}
	}
	c.sigmask = a.word()
	c.args = (*cloneArgs)(a.alloc(int(unsafe.Sizeof(cloneArgs{}))))
	c.args.pidfd = address(&k.pidfd)
	if err := c.lower(m.Plan, Options{}); err != nil {
		return nil, nil, err
	}
	if k.argv == 0 {
		return nil, nil, errNoMemo
	}
	k.sigmask = c.sigmask
	c.lowerLauncher(k, m, shape)
	if a.full {
		return nil, nil, unix.E2BIG
	}
	return a.pieces(), a.free, nil
}

// shape is what the launcher has to do for a plan.
type shape struct {
	maps   *MapIDs // by helpers; nil where init does it, or a mapper
	nested bool    // a joiner starts init, and a mapper maps its ids
	init   int     // the entry that starts it
	mapped int     // the entry that maps its ids
}

// keepable returns the shape of a plan, and an error for one that is no memo's.
func keepable(pl Plan) (s shape, err error) {
	if len(pl.Cleanup) > 0 {
		return s, errNoMemo
	}
	for i, e := range pl.Entries {
		ok := e.Actor == Init || e.Actor == Command || e.Actor == Joiner || e.Actor == Mapper
		switch step := e.Step.(type) {
		case StartInit:
			s.init = i
			ok = step.Flags&unix.CLONE_NEWPID != 0 && (e.Actor == Parent || e.Actor == Joiner)
		case StartJoiner:
			s.nested, ok = true, e.Actor == Parent
		case MapIDs:
			const order = 5 // up to so many the kernel shows in the order of the write
			ok = step.Helpers[0] != "" && step.Helpers[1] != "" && s.maps == nil && max(len(step.UID), len(step.GID)) <= order
			s.maps, s.mapped = &step, i
		case MapNested:
			ok, s.mapped = true, i
		case CopyTree, OpenTerminal:
			ok = false
		}
		if !ok {
			return s, fmt.Errorf("step %d: %w", i+1, errNoMemo)
		}
	}
	if s.nested != (s.mapped > 0 && s.maps == nil) {
		return s, errNoMemo // a container of another's ids
	}
	return s, nil
}

// pieces are the parts of the arena that are not empty: the begin, and the ops of each program.
func (a *arena) pieces() []piece {
	const page = 4096
	pieces := []piece{{0, a.mem[:a.used]}}
	for _, r := range a.rooms {
		begin, end := r&^(page-1), r
		for end < len(a.mem) && !empty(a.mem[end:min((end+page)&^(page-1), len(a.mem))]) {
			end = (end + page) &^ (page - 1)
		}
		pieces = append(pieces, piece{int64(begin), a.mem[begin:end]})
	}
	return pieces
}

func empty(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// lowerLauncher makes the launcher's own program.
func (c *Child) lowerLauncher(k *memo, m *Memo, shape shape) {
	const most = 4096
	p := &program{wiring: c.wiring, a: c.arena, ops: c.arena.newOps(most), memory: c.words}
	mine := p.newMachine()
	mine.control = ^uint64(0)
	k.machine, k.look = address(mine), address(p.next())

	p.step = phasePremises
	space := c.arena.room(sizeofStatx * 2)
	for i := range m.Premises {
		m.Premises[i].lower(p, address(&space[0]))
	}

	p.step = phaseFDs
	all := (*uint64)(c.arena.alloc(8))
	*all = ^uint64(0)
	p.call(unix.SYS_RT_SIGPROCMASK, lit(unix.SIG_SETMASK), lit(address(all)), lit(c.sigmask), lit(8))
	p.call(unix.SYS_PRCTL, lit(unix.PR_SET_DUMPABLE), lit(1), lit(0), lit(0), lit(0))
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	p.call(unix.SYS_MEMFD_CREATE, p.str("rl-init"), lit(flags|unix.MFD_EXEC)).skips(1, unix.EINVAL).opened(&k.opened[0], memoImage)
	p.jump(1)
	p.call(unix.SYS_MEMFD_CREATE, p.str("rl-init"), lit(flags)).opened(&k.opened[0], memoImage)
	image := c.arena.room(len(m.Init))
	copy(image, m.Init)
	p.call(unix.SYS_WRITE, lit(memoImage), lit(address(&image[0])), lit(len(image))).wants(int64(len(image)))
	p.call(unix.SYS_FCNTL, lit(memoImage), lit(unix.F_ADD_SEALS), lit(static.Seals))
	for i, ends := range [...][2]uint64{{memoTheirs, memoControl}, {memoToCmd, memoToInit}} {
		pair := address(&k.pairs[i])
		p.call(unix.SYS_SOCKETPAIR, lit(unix.AF_UNIX), lit(unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC), lit(0), lit(pair))
		p.compare(at(pair), ^uint64(0), ends[0]|ends[1]<<32, unlike)
	}
	p.call(unix.SYS_EVENTFD2, lit(0), lit(unix.EFD_CLOEXEC)).opened(&k.opened[1], memoPidEvent)

	child := &k.pid
	k.initFD = memoPidfd
	if shape.nested {
		child, k.initFD = &k.helpers[0], memoNested
		c.args.flags &^= unix.CLONE_PIDFD // the joiner ends at once
	}
	p.clone(c.args, lit(address(c.first)), c.machine).keepIn(address(child))
	p.step = phaseStarted
	if !shape.nested {
		p.compare(at(address(&k.pidfd)), 0xffffffff, memoPidfd, unlike)
	}
	for _, fd := range []int{memoControl, memoToCmd, memoToInit, memoPidEvent} {
		p.close(lit(fd))
	}
	record := (*[2]int32)(c.arena.alloc(8))
	switch {
	case shape.maps != nil:
		p.call(unix.SYS_READ, lit(memoTheirs), lit(address(record)), lit(8)).wants(8)
		p.compare(at(address(record)), ^uint64(0), uint64(shape.mapped), unlike)
		p.compare(lit(0), 0, 1, memoDone)
		k.goOn = address(p.next())
		c.mapsByHelpers(k, p, shape.maps)
	case shape.nested:
		k.nested, k.says = c.words.init, [2]uint64{uint64(shape.init), uint64(shape.mapped)}
		for i := range k.said {
			p.call(unix.SYS_READ, lit(memoTheirs), lit(address(&k.said[i])), lit(8)).wants(8)
		}
		p.compare(lit(0), 0, 1, memoDone)
		k.goOn = address(p.next())
		c.mapsNested(k, p)
	}
	if k.goOn != 0 {
		p.call(unix.SYS_SENDTO, lit(memoTheirs), lit(address(record)), lit(1), lit(unix.MSG_NOSIGNAL), lit(0)).wants(1)
	}
	// the end of the socket: both have executed
	p.call(unix.SYS_READ, lit(memoTheirs), lit(address(record)), lit(8)).again().orSkips(0, unix.ECONNRESET)
	p.ops[len(p.ops)-1].wants(0)

	p.step = phaseRuns
	p.ends(int32(k.initFD), m.Apart)
	p.call(unix.SYS_WAIT4, at(address(&k.pid)), lit(address(&k.status)), lit(0), lit(0)).again()
	p.step = phaseEnded
	p.compare(lit(0), 0, 1, memoDone)
}

// again has a call that a signal interrupts, as a stop does, made again.
func (o *op) again() *op { return o.skips(-1, unix.EINTR) }

// ends waits until the process of a pidfd has ended, and fails when the time is over.
func (p *program) ends(pidfd int32, within time.Duration) {
	poll := (*unix.PollFd)(p.a.alloc(int(unsafe.Sizeof(unix.PollFd{}))))
	*poll = unix.PollFd{Fd: pidfd, Events: unix.POLLIN}
	limit := (*unix.Timespec)(p.a.alloc(int(unsafe.Sizeof(unix.Timespec{}))))
	*limit = unix.NsecToTimespec(within.Nanoseconds())
	p.call(unix.SYS_PPOLL, lit(address(poll)), lit(1), lit(address(limit)), lit(0), lit(0)).again().wants(1)
}

// opened has a new descriptor noted, which must have a certain number.
func (o *op) opened(word *int64, number int64) {
	o.out = address(word)
	o.wants(number)
}

// waits waits for a helper, which must end with 0, and forgets its pid with the result of another call, which is 0.
func (p *program) waits(pid *int64, status arg, nr uint64, args ...arg) {
	p.call(unix.SYS_WAIT4, at(address(pid)), status, lit(0), lit(0)).again()
	p.call(nr, args...).keepIn(address(pid))
	status.deref = true
	p.compare(status, 0xffffffff, 0, unlike)
}

// mapsNested waits for the joiner, takes over its init, and has the mapper write the maps.
func (c *Child) mapsNested(k *memo, p *program) {
	status := lit(c.arena.word())
	p.waits(&k.helpers[0], status, unix.SYS_PRCTL, lit(unix.PR_SET_DUMPABLE), lit(1), lit(0), lit(0), lit(0))
	p.call(unix.SYS_PIDFD_OPEN, at(address(&k.pid)), lit(0)).wants(memoNested)
	r := (*mapRequest)(c.arena.at(*(*uint64)(c.arena.at(c.words.maps))))
	for i, tail := range [...]string{"/uid_map", "/gid_map"} {
		n := copy(r.paths[i][:], "/proc/")
		k.number(i, address(&r.paths[i][n]), tail)
	}
	q := c.helper(Mapper).program
	machine := q.newMachine()
	machine.control = noControl
	args := (*cloneArgs)(c.arena.alloc(int(unsafe.Sizeof(cloneArgs{}))))
	c.clones(args, unix.CLONE_VM|unix.CLONE_CLEAR_SIGHAND, unix.SIGCHLD)
	p.clone(args, lit(address(q.end())), machine).keepIn(address(&k.helpers[1]))
	p.waits(&k.helpers[1], status, unix.SYS_PRCTL, lit(unix.PR_SET_DUMPABLE), lit(1), lit(0), lit(0), lit(0))
}

// number has init's pid written at an address, with what comes behind it.
func (k *memo) number(i int, at uint64, tail string) {
	k.numbers[i].at, k.numbers[i].tailLen = at, uint64(len(tail))
	copy(k.numbers[i].tail[:], tail)
}

// noControl is no descriptor: what goes wrong in such a child is told by its exit status.
const noControl = 1<<31 - 1

// helperTime is after which time a helper that does not end is taken for hung.
const helperTime = 10 * time.Second

// mapsByHelpers has newuidmap and newgidmap write the maps side by side, and compares what they have written.
func (c *Child) mapsByHelpers(k *memo, p *program, maps *MapIDs) {
	const most = 32
	sides := [...]struct {
		helper, file string
		extents      []Extent
	}{{maps.Helpers[0], "/uid_map", maps.UID}, {maps.Helpers[1], "/gid_map", maps.GID}}
	const longest = "4194304" // the highest pid, PID_MAX_LIMIT (proc_sys_kernel(5))
	for i, side := range sides {
		q := &program{wiring: c.wiring, a: c.arena, ops: c.arena.newOps(most)}
		q.control = noControl
		q.call(unix.SYS_CLOSE_RANGE, lit(3), lit(allFDs), lit(unix.CLOSE_RANGE_CLOEXEC))
		null := q.keep(q.call(unix.SYS_OPENAT, cwd, q.str("/dev/null"), lit(unix.O_RDWR|unix.O_CLOEXEC)))
		for fd := range 3 {
			q.call(unix.SYS_DUP3, null, lit(fd), lit(0))
		}
		q.call(unix.SYS_RT_SIGPROCMASK, lit(unix.SIG_SETMASK), lit(c.sigmask), lit(0), lit(8))
		argv := []string{path.Base(side.helper), longest}
		for _, e := range side.extents {
			for _, n := range []uint32{e.Inside, e.Outside, e.Count} {
				argv = append(argv, strconv.FormatUint(uint64(n), 10))
			}
		}
		list := c.arena.strs(argv)
		k.number(i, *(*uint64)(c.arena.at(list + 8)), "")
		q.call(unix.SYS_EXECVE, q.str(side.helper), lit(list), lit(c.arena.strs(nil)))
		args := (*cloneArgs)(c.arena.alloc(int(unsafe.Sizeof(cloneArgs{}))))
		q.clones(args, unix.CLONE_VM|unix.CLONE_PIDFD|unix.CLONE_CLEAR_SIGHAND, unix.SIGCHLD)
		args.pidfd = address(&k.pidfds[i])
		p.clone(args, lit(address(q.end())), q.newMachine()).keepIn(address(&k.helpers[i]))
		// the lowest ones that have been closed
		p.compare(at(address(&k.pidfds[i])), 0xffffffff, uint64(memoControl+i), unlike)
	}
	status := lit(c.arena.word())
	for i := range sides {
		p.ends(int32(memoControl+i), helperTime)
		p.waits(&k.helpers[i], status, unix.SYS_CLOSE, lit(memoControl+i))
	}
	for i, side := range sides {
		file := c.arena.str("/proc/" + longest + side.file)
		k.number(2+i, file+uint64(len("/proc/")), side.file)
		var want []byte
		for _, e := range side.extents {
			want = fmt.Appendf(want, "%10d %10d %10d\n", e.Inside, e.Outside, e.Count)
		}
		text := c.arena.room(len(want) + 8)
		p.call(unix.SYS_OPENAT, cwd, lit(file), lit(unix.O_RDONLY|unix.O_CLOEXEC)).wants(memoControl)
		p.call(unix.SYS_READ, lit(memoControl), lit(address(&text[0])), lit(len(text))).wants(int64(len(want)))
		for at8 := 0; at8 < len(want); at8 += 8 {
			var word [8]byte
			n := copy(word[:], want[at8:])
			p.compare(at(address(&text[at8])), ^uint64(0)>>(64-8*n), binary.LittleEndian.Uint64(word[:]), unlike)
		}
		p.close(lit(memoControl))
	}
}

// exec lets any command be executed: its places and arguments are put down by who runs the memo.
func (k *memo) exec(p *program, s Exec) (argv arg, paths []arg) {
	if len(s.Argv) != 1 || s.Argv[0] != AnyCommand || len(s.Paths) > memoPaths {
		return lit(0), nil
	}
	k.argv = p.a.word()
	for i, path := range s.Paths {
		place := &k.command[i]
		dir := strings.TrimSuffix(path, AnyCommand)
		room := p.a.room(len(dir) + memoName + 1)
		copy(room, dir)
		place.path, place.room, place.name = p.a.word(), address(&room[0]), address(&room[0])+uint64(len(dir))
		paths = append(paths, at(place.path))
	}
	return at(k.argv), paths
}

// callers takes down how the process was called, up to the command; false where that is not known.
func (k *memo) callers(a *arena, words int) bool {
	r := &recalled
	if r.args == 0 || words < 1 || words >= r.argc {
		return false
	}
	keep := func(from uintptr, n int) uint64 {
		to := a.room(n)
		copy(to, unsafe.Slice((*byte)(unsafe.Add(nil, from)), n))
		return address(&to[0])
	}
	k.wordsLen, k.wordsCount = uint64(word(r.argv+8*uintptr(words))-r.args), uint64(words)
	k.words = keep(r.args, int(k.wordsLen))
	k.env, k.envLen, k.envCount = keep(r.env, r.envLen+1), uint64(r.envLen), uint64(r.envc)
	return true
}
