package plan

import (
	"encoding/binary"
	"fmt"
	"path"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/static"
)

// inherited are the signals that stay ignored where the caller ignores them, bit N-1 for signal N: Go's runtime does not handle
// them, or not then (runtime/sigtab_linux_generic.go).
const inherited = 1<<(unix.SIGHUP-1) | 1<<(unix.SIGINT-1) | 1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1) | 1<<(unix.SIGCONT-1) |
	1<<(unix.SIGTSTP-1) | 1<<(unix.SIGTTIN-1) | 1<<(unix.SIGTTOU-1) | 1<<(32-1) | 1<<(33-1) | 1<<(34-1)

// lowerLauncher makes the launcher's own program.
func (c *Child) lowerLauncher(k *memo, m *Memo, shape shape) error {
	const most = 4096
	p := &program{wiring: c.wiring, a: c.arena, ops: c.arena.newOps(most), memory: c.words}
	mine := p.newMachine()
	mine.control = ^uint64(0)
	k.machine, k.look = address(mine), address(p.next())

	p.step = phasePremises
	space := c.arena.room(sizeofStatx * 2)
	for i := range m.Premises {
		m.Premises[i].lower(p, address(&space[0]), address(&k.asked))
	}

	p.step = phaseFDs
	all := (*uint64)(c.arena.alloc(8))
	*all = ^uint64(0)
	p.call(unix.SYS_RT_SIGPROCMASK, lit(unix.SIG_SETMASK), lit(address(all)), lit(c.sigmask), lit(8))
	// Go's runtime would have its handlers, which an exec resets, also where the caller ignores a signal; and it would let through
	// what the caller blocks: who does that is left to it.
	p.compare(at(c.sigmask), ^uint64(0), 0, unlike)
	byDefault := (*[4]uint64)(c.arena.alloc(32)) // struct sigaction of the kernel
	for s := 1; s <= 64; s++ {
		if inherited>>(s-1)&1 == 0 {
			p.call(unix.SYS_RT_SIGACTION, lit(s), lit(address(byDefault)), lit(0), lit(8))
		}
	}
	p.call(unix.SYS_PRCTL, lit(unix.PR_SET_DUMPABLE), lit(1), lit(0), lit(0), lit(0))
	p.memFD("rl-init", m.Init, &k.opened[0])
	p.compare(at(address(&k.opened[0])), ^uint64(0), memoImage, unlike)
	for i, ends := range [...][2]uint64{{memoTheirs, memoControl}, {memoToCmd, memoToInit}} {
		pair := address(&k.pairs[i])
		p.call(unix.SYS_SOCKETPAIR, lit(unix.AF_UNIX), lit(unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC), lit(0), lit(pair))
		p.compare(at(pair), ^uint64(0), ends[0]|ends[1]<<32, unlike)
	}
	p.call(unix.SYS_EVENTFD2, lit(0), lit(unix.EFD_CLOEXEC)).opened(&k.opened[1], memoPidEvent)
	if shape.apart {
		low := p.memFD(apartName, static.Image(static.Code(apartText(), apartMark)), &k.opened[2])
		p.call(unix.SYS_FCNTL, low, lit(unix.F_DUPFD_CLOEXEC), lit(memoApart)).opened(&k.opened[3], memoApart)
		p.close(low)
	}

	child := &k.pid
	k.initFD = memoPidfd
	if shape.joins {
		child, k.initFD = &k.helpers[0], memoNested
		c.args.flags &^= unix.CLONE_PIDFD // the joiner ends at once
	}
	p.clone(c.args, lit(address(c.first)), c.machine).keepIn(address(child))
	p.step = phaseStarted
	if shape.maps != nil {
		p.runsOn(at(address(child)), &k.processors[otherProcessor])
	}
	if !shape.joins {
		p.compare(at(address(&k.pidfd)), 0xffffffff, memoPidfd, unlike)
	}
	for _, fd := range []int{memoControl, memoToCmd, memoToInit, memoPidEvent} {
		p.close(lit(fd))
	}
	if shape.apart {
		p.close(lit(memoArena))
		p.close(lit(memoApart))
	}
	record := (*[2]int32)(c.arena.alloc(8))
	k.record = address(record)
	executed := func() { // the end of the socket: both have. Records without an errno may come before.
		const all = ^uint64(0)
		n := p.keep(p.call(unix.SYS_READ, lit(memoTheirs), lit(address(record)), lit(8)).again())
		p.compare(n, all, 8, unix.EAGAIN).skips(2, unix.EAGAIN)
		p.compare(at(address(record)), all&^0xffffffff, 0, unlike)
		p.compare(lit(0), 0, 1, unix.EAGAIN).skips(-4, unix.EAGAIN)
		p.compare(n, all, 0, unlike)
	}
	switch {
	case shape.apart:
		p.call(unix.SYS_READ, lit(memoTheirs), lit(address(record)), lit(8)).wants(8)
		p.compare(at(address(record)), ^uint64(0), uint64(shape.init), unlike)
		executed()
		k.nested = c.words.init
		c.reapJoiner(k, p)
		p.compare(lit(0), 0, 1, memoDone)
		k.goOn = address(p.next())
		p.call(unix.SYS_PIDFD_OPEN, at(address(&k.pid)), lit(0)).wants(memoNested)
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
		p.runsOn(at(address(&k.pid)), &k.processors[otherProcessor])
		c.reapJoiner(k, p)
		p.call(unix.SYS_PIDFD_OPEN, at(address(&k.pid)), lit(0)).wants(memoNested)
	}
	goOn := func() {
		p.call(unix.SYS_SENDTO, lit(memoTheirs), lit(address(record)), lit(1), lit(unix.MSG_NOSIGNAL), lit(0)).wants(1)
	}
	if k.goOn != 0 && !shape.apart {
		goOn()
	}
	if shape.port {
		if err := c.makePort(k, p, m, shape); err != nil {
			return err
		}
		goOn()
	}
	if !shape.apart {
		executed()
	}

	p.step = phaseRuns
	k.patience = unix.NsecToTimespec(m.Apart.Nanoseconds())
	p.compare(lit(0), 0, 1, memoDone)
	return nil
}

// memFD makes a sealed memfd of a program, as package static does.
func (p *program) memFD(name string, content []byte, word *int64) (fd arg) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	p.call(unix.SYS_MEMFD_CREATE, p.str(name), lit(flags|unix.MFD_EXEC)).skips(1, unix.EINVAL).keepIn(address(word))
	p.jump(1)
	fd = p.call(unix.SYS_MEMFD_CREATE, p.str(name), lit(flags)).keepIn(address(word))
	image := p.a.room(len(content))
	copy(image, content)
	p.call(unix.SYS_WRITE, fd, lit(address(&image[0])), lit(len(image))).wants(int64(len(image)))
	p.call(unix.SYS_FCNTL, fd, lit(unix.F_ADD_SEALS), lit(static.Seals))
	return fd
}

// again has a call that a signal interrupts, as a stop does, made again.
func (o *op) again() *op { return o.skips(-1, unix.EINTR) }

// ends waits until the process of a pidfd has ended, and fails when the time is over.
func (p *program) ends(pidfd int32, within time.Duration) {
	p.poll(pidfd, unix.POLLIN, within).again().wants(1)
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

// reapJoiner waits for the joiner. The call that forgets its pid makes sure of what Start of Child does before its own clones.
func (c *Child) reapJoiner(k *memo, p *program) {
	p.waits(&k.helpers[0], lit(c.arena.word()), unix.SYS_PRCTL, lit(unix.PR_SET_DUMPABLE), lit(1), lit(0), lit(0), lit(0))
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
