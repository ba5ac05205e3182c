package plan

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/keeper"
)

// StartKeeper has the parent clone the keeper of a detached container, which
// starts init in its place.
type StartKeeper struct{}

// KeepOutput gives what the command writes to the keeper. With Give the pipe for that becomes those ids' of the
// container: /dev/stdout and /dev/stderr open it anew, as its owner may.
type KeepOutput struct {
	Give     bool
	UID, GID uint32
}

// ExecKeeper replaces the keeper by the static keeper. Log is how many bytes of
// output it keeps. With Group it looks at the end after the control group that
// Child.Detach names.
type ExecKeeper struct {
	Log   int64
	Group bool
}

// Kind implements Step.
func (StartKeeper) Kind() Kind { return KindStartKeeper }

// Kind implements Step.
func (KeepOutput) Kind() Kind { return KindKeepOutput }

// Kind implements Step.
func (ExecKeeper) Kind() Kind { return KindExecKeeper }

func (StartKeeper) String() string { return "start the keeper" }
func (s KeepOutput) String() string {
	if s.Give {
		return fmt.Sprintf("connect stdout and stderr to the keeper, as %d:%d's", s.UID, s.GID)
	}
	return "connect stdout and stderr to the keeper"
}

func (s ExecKeeper) String() string {
	text := fmt.Sprintf("exec keeper, log %d bytes", s.Log)
	if s.Group {
		text += ", and the control group"
	}
	return text
}

func (s KeepOutput) lower(p *program) {
	if s.Give {
		// EPERM, EINVAL: the container has no such id, or none for the caller, whose the pipe is.
		p.call(unix.SYS_FCHOWN, lit(p.detach.logW), lit(s.UID), lit(s.GID)).skips(0, unix.EPERM, unix.EINVAL)
	}
	for _, fd := range [...]int{1, 2} {
		p.call(unix.SYS_DUP3, lit(p.detach.logW), lit(fd), lit(0))
	}
}

// lower of the start of init by keeper or joiner. What init inherits and the keeper held
// for it is closed behind that: the ends of sockets tell by their end of file
// who has gone.
func (s StartInit) lower(p *program) {
	p.spawn(p.init).keepIn(p.memory.init)
	p.clones(p.initArgs, unix.CLONE_VM|s.Flags, unix.SIGCHLD)
	if p.joining {
		// A sibling: the launcher's or the keeper's child, as ever. It tells its parent of its end as the joiner does.
		p.clones(p.initArgs, unix.CLONE_VM|s.Flags|unix.CLONE_PARENT, 0)
		p.report()
		return
	}
	p.handOver()
}

// handOver lets go what was the keeper's only for init, once there is an init.
func (p *program) handOver() {
	p.call(unix.SYS_WRITE, lit(p.detach.pid), lit(p.memory.init), lit(8)).wants(8)
	p.report()
	for _, fd := range [...]int{p.initControl, p.toCmd, p.toInit, p.pidEvent, p.detach.logW} {
		p.call(unix.SYS_CLOSE, lit(fd))
	}
}

// awaitLauncher waits for the launcher's word, which comes with the terminal
// where there is one: that is put in the place of the pipe.
func (p *program) awaitLauncher() {
	type message struct {
		msg     unix.Msghdr
		iov     unix.Iovec
		payload uint64
		control unix.Cmsghdr
		fd      uint64
	}
	m := (*message)(p.a.alloc(int(unsafe.Sizeof(message{}))))
	m.iov.Base = (*byte)(unsafe.Pointer(&m.payload))
	m.iov.SetLen(1)
	m.msg.Iov, m.msg.Iovlen = &m.iov, 1
	m.msg.Control = (*byte)(unsafe.Pointer(&m.control))
	m.msg.SetControllen(unix.CmsgSpace(4))
	m.fd = uint64(p.detach.logR)
	p.call(unix.SYS_RECVMSG, lit(p.control), lit(address(&m.msg)), lit(unix.MSG_CMSG_CLOEXEC)).wants(1)
	// of its own number where no fd came: EINVAL
	p.call(unix.SYS_DUP3, at(address(&m.fd)), lit(p.detach.logR), lit(unix.O_CLOEXEC)).skips(0, unix.EINVAL)
}

func (s ExecKeeper) lower(p *program) {
	k := p.detach
	o := keeper.Options{PID: k.pid, Output: k.logR, Dir: k.dir, Exit: k.exit, Cap: s.Log}
	if s.Group {
		o.Group = groupToCome
	}
	argv := keeper.Argv(o)
	// the launcher ends once it sees the exec
	p.call(unix.SYS_PRCTL, lit(unix.PR_SET_PDEATHSIG), lit(0))
	p.call(unix.SYS_CLOSE_RANGE, lit(3), lit(allFDs), lit(unix.CLOSE_RANGE_CLOEXEC))
	for _, fd := range append([]int{k.pid, k.logR, k.dir, k.exit}, k.locks...) {
		p.call(unix.SYS_FCNTL, lit(fd), lit(unix.F_SETFD), lit(0))
	}
	words := p.a.strs(argv)
	if s.Group {
		p.groupPath(words, len(argv)-1)
	}
	p.call(unix.SYS_EXECVEAT, lit(k.image), p.str(""), lit(words), lit(p.a.strs(nil)), lit(unix.AT_EMPTY_PATH))
}

// groupToCome stands for a path that is known only when the group is made.
const groupToCome = "to come"

// groupPath makes room for that path in the place of an argument: the launcher, whose
// memory it is, too, writes it before it lets the keeper go.
func (p *program) groupPath(words uint64, i int) {
	room := p.a.room(unix.PathMax)
	*(*uint64)(p.a.at(words + uint64(8*i))) = address(&room[0])
	*(*uint64)(p.a.at(p.memory.group)) = address(&room[0])
}
