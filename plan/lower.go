package plan

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ops that a program can have at most. An init's plan takes some 350, and ten
// for each further mount.
const (
	maxInitOps    = 1 << 16
	maxCommandOps = 1 << 14 // twice the directories in PATH, and 50
	maxHelperOps  = 32
	maxKeeperOps  = 192
	maxJoinerOps  = 256
	maxGuardOps   = 128 // and one for each published port
)

// lower turns the steps of the children into their programs. Parent's steps are the
// launcher's own; where they stand between two of init's, or of the joiner's before
// there is an init, that one says that it has come so far and waits for its turn.
func (c *Child) lower(pl Plan, o Options) (err error) {
	shared := shared{
		root: c.arena.word(), stage: c.arena.word(), devnull: c.arena.word(),
		pty: c.arena.word(), command: c.arena.word(), init: c.arena.word(), starter: c.arena.word(), group: c.arena.word(),
	}
	shared.netns, shared.userns, shared.pidfd, shared.link = c.arena.word(), c.arena.word(), c.arena.word(), c.arena.word()
	shared.port = c.arena.word()
	shared.thread = c.arena.word()
	*(*uint64)(c.arena.at(shared.thread)) = 1
	c.words, c.link = shared, shared.link
	command := &program{wiring: c.wiring, a: c.arena, memory: shared, ops: c.arena.newOps(maxCommandOps)}
	init := &program{wiring: c.wiring, a: c.arena, memory: shared, ops: c.arena.newOps(maxInitOps), command: command}
	var keeper *program
	if c.detached() {
		keeper = &program{wiring: c.wiring, a: c.arena, memory: shared, ops: c.arena.newOps(maxKeeperOps), init: init, initControl: c.control}
		keeper.control = c.detach.hold
		keeper.call(unix.SYS_CLOSE, lit(c.theirs))
		keeper.call(unix.SYS_CLOSE, lit(c.detach.theirs))
	}
	var joiner *program
	if c.joins {
		joiner = &program{wiring: c.wiring, a: c.arena, memory: shared, ops: c.arena.newOps(maxJoinerOps), init: init, joining: true}
	}
	if keeper != nil {
		keeper.joiner = joiner
	}
	// What the launcher or the keeper starts closes the ends that are theirs; what that starts inherits no more of them.
	first := init
	if joiner != nil {
		first = joiner
	}
	if keeper != nil {
		first.call(unix.SYS_CLOSE, lit(c.detach.hold)) // its end of file is for the launcher
	} else {
		first.call(unix.SYS_CLOSE, lit(c.theirs))
	}
	outermost := first
	if keeper != nil {
		outermost = keeper
	}
	for _, fd := range c.helperEnds() { // whose end of file tells of a helper
		outermost.call(unix.SYS_CLOSE, lit(fd))
	}
	init.peer, command.peer = c.toCmd, c.toInit
	command.call(unix.SYS_CLOSE, lit(c.toCmd))

	c.clones(c.args, unix.CLONE_VM|unix.CLONE_PIDFD|unix.CLONE_CLEAR_SIGHAND, unix.SIGCHLD)
	outermost.clearHandlers()
	type role struct {
		actor Actor
		p     *program
	}
	roles := []role{{Command, command}, {Init, init}, {Joiner, joiner}, {Keeper, keeper}}
	for _, h := range c.helpers {
		h.program = &program{
			wiring: c.wiring, a: c.arena, memory: shared, forwards: h.actor == Forwarder,
			ops: c.arena.newOps(maxGuardOps + len(c.network.sockets)),
		}
		h.program.clearHandlers()
		h.program.control = h.hold
		if h.stays() {
			h.program.guard = c.arena.word()
			h.program.call(unix.SYS_CLOSE, lit(c.theirs))
			h.program.call(unix.SYS_CLOSE, lit(h.theirs))
		}
		roles = append(roles, role{h.actor, h.program})
	}
	for _, who := range roles {
		if who.p == nil {
			continue
		}
		last := Parent // of Parent and this one: whose turn it is
		turns := false // it is there, and parent's steps are between its own
		for i, e := range pl.Entries {
			who.p.step = int32(i)
			switch s := e.Step.(type) {
			case StartInit:
				if e.Actor == Parent {
					c.args.flags |= s.Flags
				}
				turns, last = who.actor == Init, who.actor // it starts running at once
			case StartJoiner:
				turns, last = who.actor == Joiner, who.actor
			default:
				if e.Actor == Parent && !Beside(s) {
					if turns && last != Parent {
						who.p.report()
					}
					last = Parent
				}
			}
			if e.Actor != who.actor {
				continue
			}
			s, ok := e.Step.(childStep)
			if !ok || !who.p.starts(s) {
				return fmt.Errorf("lower step %d: %s is not for %s", i+1, e.Step.Kind(), e.Actor)
			}
			if turns && last == Parent {
				who.p.await()
				last = who.actor
			}
			if o.Verbose {
				who.p.say(fmt.Sprintf("rl-run: step %d %s: %s\n", i+1, e.Actor, e.Step))
			}
			if o.Timing {
				who.p.clock(c.times, i)
			}
			s.lower(who.p)
		}
	}
	if joiner != nil {
		joiner.exit()
	}
	for _, h := range c.helpers {
		if !h.stays() {
			h.program.exit()
		}
	}
	if keeper != nil {
		first = keeper
	}
	c.first, c.machine, c.initPID, c.group = first.end(), first.newMachine(), shared.init, shared.group
	if c.arena.full {
		return unix.E2BIG
	}
	return nil
}

// starts reports whether a step that starts a process starts the one that the
// actor is there to start; true for other steps.
func (p *program) starts(s Step) bool {
	switch s.(type) {
	case StartInit:
		return p.init != nil
	case StartJoiner:
		return p.joiner != nil
	case StartCommand:
		return p.command != nil
	}
	return true
}

// report tells the launcher that init has come to this step, which is not its own.
func (p *program) report() {
	record := (*[2]int32)(p.a.alloc(8))
	record[0] = p.step
	p.call(unix.SYS_WRITE, lit(p.control), lit(address(record)), lit(8)).wants(8)
}

// await waits for the launcher's byte. The end of the socket means that the
// launcher is gone, and fails.
func (p *program) await() {
	p.call(unix.SYS_READ, lit(p.control), lit(p.a.word()), lit(1)).wants(1)
}

// say writes a line to stderr, come what may.
func (p *program) say(line string) {
	p.call(unix.SYS_WRITE, lit(2), p.str(line), lit(len(line))).mayFail()
}

// clock notes the time at which a step begins.
func (p *program) clock(times uint64, i int) {
	p.call(unix.SYS_CLOCK_GETTIME, lit(unix.CLOCK_MONOTONIC),
		lit(times+uint64(i)*uint64(unsafe.Sizeof(unix.Timespec{}))))
}
