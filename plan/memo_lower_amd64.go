package plan

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

// A memo is a plan that was run, kept as the programs that it was lowered to, together with what else the launcher does and
// with the premises of the plan. It is the memory of an arena as a file, which the same launcher, called again in the same
// way, reads to the same address and runs before Go's runtime has begun: see recall_amd64.go. Whatever is not as it was ends there,
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

	// Of a joiner that leaves the launcher's memory: that, shared as a file, and the program that it executes then. They are not
	// among the lowest ones, of which shells leave one or the other open.
	memoArena = 60
	memoApart = 61

	memoJoined = memoPidfd   // pidfd of whom a joiner enters, which starts init, whose pidfd is the lowest that was closed then
	memoNested = memoControl // by then
)

// Phases of the launcher's program, which its ops have for steps.
const (
	phasePremises = iota
	phaseFDs      // some of the descriptors may be open
	phaseStarted  // they are, and there is an init
	phaseRuns     // the command is executed
)

// memoDone is the errno with which the launcher's program says that it has come to its end.
const memoDone = errUnwanted - 1

// memoPaths is in how many places a command is looked for at most.
const memoPaths = 16

// memoName is how long the name of a command may be that is looked for.
const memoName = unix.NAME_MAX

// memoArgs is how much room the words of the command have at most in a memory that is shared, and memoArgsAt where.
const (
	memoArgs   = 1 << 20
	memoArgsAt = memoAt + arenaSize/2 - memoArgs
)

// memo is the begin of the arena. Addresses are of the arena.
type memo struct {
	apart    apart // what is expected there; zero where the children have the launcher's memory
	magic    uint64
	program  uint64 // which of the launcher's names it is for
	size     uint64
	launcher fileID // its own file

	// what it is called with: the bytes of the words from the first to ROOTFS, each with its NUL, and the variables of the
	// environment that count: address, 0 for one that is not set, and length
	words, wordsLen, wordsCount uint64
	vars                        [2][2]uint64

	command [memoPaths]struct{ path, room, name uint64 } // word that holds the address; where a path is put together, and the name in it
	argv    uint64                                       // word that holds the address of the command's arguments

	look, machine uint64 // the launcher's program up to the first handoff, or to the end
	goOn          uint64 // the rest of it; 0 for none

	opened  [4]int64    // the single descriptors as they were opened: image, event, and interpreter before and behind its move
	pairs   [2][2]int32 // and the sockets
	pid     int64       // of init
	pidfd   uint64      // of init, where it is the launcher's clone
	helpers [2]int64    // pids of newuidmap and newgidmap, or of the joiner, as long as they have not been waited for
	pidfds  [2]uint64   // of the same
	numbers [4]struct { // where init's pid is written in decimal, with what comes behind it
		at      uint64
		tail    [8]byte
		tailLen uint64
	}
	record uint64     // address of the last record of a child
	began  uint64     // not 0 once the command may have been executed
	execs  uint64     // the entry that does that
	initFD int64      // pidfd of init
	joined ProcessRef // whose namespaces a joiner enters; zero for none
	boot   [40]byte   // in which the memo was kept
	nested uint64     // address of init's pid, as its joiner leaves it
	said   [2]uint64  // the records of joiner and init, in either order
	says   [2]uint64  // what they are to be
	status uint64     // of init, as wait4(2) has it
	// for how long the container runs before the launcher is needed
	patience unix.Timespec
	sigmask  uint64 // address of the caller's signal mask
	asked    int64  // a descriptor that a premise has opened
	places   places
	// on a machine with two: all processors, the launcher's, and the other one; else zero
	processors [3]processorSet
	pieces     [memoPieces]struct{ at, size uint64 } // of the file: all else in it is 0
}

// memoPieces is in how many pieces a memo is written at most: the begin, and one for each program.
const memoPieces = 12

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
	k.program = recalled.program
	boot, err := sys.BootID()
	if err != nil {
		return nil, nil, err
	}
	copy(k.boot[:], boot)
	k.asked, k.opened, k.pairs = -1, [4]int64{-1, -1, -1, -1}, [2][2]int32{{-1, -1}, {-1, -1}}
	if !k.callers(a, m.Words) {
		return nil, nil, errNoMemo
	}
	c := &Child{plan: m.Plan, arena: a, PIDFD: -1, Terminal: -1}
	c.image, c.control, c.theirs, c.pidEvent, c.toCmd, c.toInit, c.apart = memoImage, memoControl, memoTheirs, memoPidEvent, memoToCmd, memoToInit, -1
	c.detach = noKeeper
	c.memo = k
	if shape.joins {
		c.joins, c.pidfds = true, map[string]int{m.Joined.Name: memoJoined}
		k.joined = ProcessRef{PID: m.Joined.PID, Start: m.Joined.Start} // the name is Go's memory
		if err := c.addHelpers(m.Plan); err != nil {
			return nil, nil, err
		}
	}
	if shape.apart {
		a.fd, c.apart = memoArena, memoApart // of who runs it
		defer func() { a.fd = -1 }()
	}
	if shape.waits() {
		c.processors, c.processorsSize = lit(address(&k.processors[allProcessors])), int(unsafe.Sizeof(processorSet{}))
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
	if shape.port != (len(m.Ports) > 0) {
		return nil, nil, errNoMemo
	}
	if err := c.lowerLauncher(k, m, shape); err != nil {
		return nil, nil, err
	}
	if pieces = a.pieces(); a.full || a.used > memoArgsAt-memoAt || len(pieces) > memoPieces {
		return nil, nil, unix.E2BIG
	}
	for i, p := range pieces {
		k.pieces[i].at, k.pieces[i].size = uint64(p.at), uint64(len(p.data))
	}
	return pieces, a.free, nil
}

// shape is what the launcher has to do for a plan.
type shape struct {
	maps   *MapIDs // by helpers; nil where init does it, or a joiner
	joins  bool    // a joiner starts init
	port   bool    // and the linker makes a link
	sent   int     // the entry that hands over the net namespace
	await  int     // the entry that waits for the network
	nested bool    // and maps its ids
	apart  bool    // and it has left the launcher's memory: init is one in a container that runs
	init   int     // the entry that starts it
	mapped int     // the entry that maps its ids
}

// waits reports whether init waits for the launcher before it starts the command.
func (s shape) waits() bool { return s.maps != nil || s.nested }

// keepable returns the shape of a plan, and an error for one that is no memo's.
func keepable(pl Plan) (s shape, err error) {
	if len(pl.Cleanup) > 0 {
		return s, errNoMemo
	}
	for i, e := range pl.Entries {
		ok := e.Actor == Init || e.Actor == Command || e.Actor == Joiner || e.Actor == Linker
		switch step := e.Step.(type) {
		case StartInit:
			s.init = i
			ok = (step.Flags&unix.CLONE_NEWPID != 0 || s.apart) && (e.Actor == Parent || e.Actor == Joiner)
		case StartJoiner:
			s.joins, ok = true, e.Actor == Parent
		case OwnMemory:
			s.apart = true
		case MapIDs:
			const order = 5 // up to so many the kernel shows in the order of the write
			ok = step.Helpers[0] != "" && step.Helpers[1] != "" && s.maps == nil && max(len(step.UID), len(step.GID)) <= order
			s.maps, s.mapped = &step, i
		case MakePort:
			s.port, ok = true, true
		case SendNetNS:
			s.sent = i
		case AwaitNetwork:
			s.await, ok = i, true
		case AwaitJoiner:
			ok, s.mapped = true, i
		case CopyTree, OpenTerminal:
			ok = false
		}
		if !ok {
			return s, fmt.Errorf("step %d: %w", i+1, errNoMemo)
		}
	}
	s.nested = s.joins && !s.apart
	if s.port != (s.await > 0) {
		return s, errNoMemo // a network that is made in another way
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

// exec lets any command be executed: its places and arguments are put down by who runs the memo.
func (k *memo) exec(p *program, s Exec) (argv arg, paths []arg) {
	if len(s.Argv) != 1 || s.Argv[0] != AnyCommand || len(s.Paths) > memoPaths {
		return lit(0), nil
	}
	k.argv, k.execs = p.a.word(), uint64(p.step)
	p.call(unix.SYS_GETPID).keepIn(address(&k.began))
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
	for i, v := range r.vars {
		if v != 0 {
			n := length(v)
			k.vars[i] = [2]uint64{keep(v, int(n)+1), uint64(n)}
		}
	}
	return true
}
