package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/pid1"
)

// DieWithParent ends the process when its parent ends: PDEATHSIG, then a look
// whether the launcher still holds its end of the control socket, and whether the
// thread that started the first process is there, which closes
// the race with a parent that died before (prctl(2), PR_SET_PDEATHSIG). It is
// taken again after each change of ids, which clears PDEATHSIG. With Sweep the
// signal is the one at which the static init ends its descendants before itself;
// until it is executed that signal is blocked and stays pending.
//
// With Later, once there is a command, a launcher that is gone already does not fail the
// step: init sends itself the signal, and the static init finds it.
type DieWithParent struct {
	Again bool // after something that disarmed it
	Sweep bool
	Later bool
}

// HideMemory makes the memory that the children share with the launcher
// unreadable (PR_SET_DUMPABLE 0), so that the command cannot look into
// /proc/1 before init has executed the static init. It ends with the exec.
// Init gets the static init's name with it.
type HideMemory struct{}

// Subreaper makes init the parent of the container's orphans where it is not
// pid 1 of a namespace (PR_SET_CHILD_SUBREAPER).
type Subreaper struct{}

// StartCommand has init clone the process that becomes COMMAND. From here on
// the two run side by side, but for LetGo and WaitFor.
type StartCommand struct{}

// LetGo tells the other one of init and command that something is done which it
// waits for.
type LetGo struct{ Whom Actor }

// WaitFor waits for the other one's LetGo, or, as the keeper, for the launcher.
// It fails when that one has ended.
type WaitFor struct{ Whom Actor }

// NewKeyring gives a new, empty session keyring, so that the caller's keys are
// out of reach (keyrings(7)).
type NewKeyring struct{}

// NewSession makes the process the leader of a session of its own (setsid(2)).
type NewSession struct{}

// SetUmask sets the mask of file modes.
type SetUmask struct{ Mask uint32 }

// SetLimit sets a resource limit (getrlimit(2)); 2^64-1 stands for none.
type SetLimit struct {
	Name       string
	Resource   int
	Soft, Hard uint64
}

// NullStdin connects the standard input to /dev/null, and with Output what is
// written as well. Until says that others take their place before the command is
// executed; what Options.Verbose writes goes to stderr until then.
type NullStdin struct{ Output, Until bool }

// CloseOnExec marks every fd above 2, and above the Keep ones behind that, close-on-exec:
// those that the launcher was started with, too. The Keep ones are open in the command, even
// where the launcher has marked all of its own before a program that runs as root.
type CloseOnExec struct{ Keep int }

// ResetSignals gives back the signal mask with which the launcher was started,
// and the default action to 32 and 33, which programs that use posix_spawn(3)
// leave ignored and Go's runtime does not touch.
type ResetSignals struct{}

// Chdir enters a directory of the container, and checks that it is inside its
// root (CVE-2024-21626).
type Chdir struct{ Path string }

// ExecInit replaces init by the static init from a sealed memfd. Tree is for an
// init that is not pid 1 of a namespace: it ends its descendants itself.
// With Loose, in a container that has an init of its own, it leaves to that what outlives the command, and ends
// its descendants only with the launcher.
type ExecInit struct{ Tree, Loose bool }

// Exec replaces the process by the command. Paths are tried in this order;
// ENOENT and ENOTDIR lead on to the next, EACCES too, but it wins over them when
// all fail, as in execvp(3).
type Exec struct {
	Paths     []string
	Argv, Env []string
}

// Kind implements Step.
func (s DieWithParent) Kind() Kind {
	if s.Again {
		return KindDieAgain
	}
	return KindDieWithParent
}

// Kind implements Step.
func (HideMemory) Kind() Kind { return KindHideMemory }

// Kind implements Step.
func (Subreaper) Kind() Kind { return KindSubreaper }

// Kind implements Step.
func (StartCommand) Kind() Kind { return KindStartCommand }

// Kind implements Step.
func (LetGo) Kind() Kind { return KindLetGo }

// Kind implements Step.
func (WaitFor) Kind() Kind { return KindWaitFor }

// Kind implements Step.
func (NewKeyring) Kind() Kind { return KindKeyring }

// Kind implements Step.
func (NewSession) Kind() Kind { return KindSession }

// Kind implements Step.
func (SetUmask) Kind() Kind { return KindUmask }

// Kind implements Step.
func (SetLimit) Kind() Kind { return KindLimit }

// Kind implements Step.
func (NullStdin) Kind() Kind { return KindStdin }

// Kind implements Step.
func (CloseOnExec) Kind() Kind { return KindCloseOnExec }

// Kind implements Step.
func (ResetSignals) Kind() Kind { return KindSignals }

// Kind implements Step.
func (Chdir) Kind() Kind { return KindChdir }

// Kind implements Step.
func (ExecInit) Kind() Kind { return KindExecInit }

// Kind implements Step.
func (Exec) Kind() Kind { return KindExec }

func (DieWithParent) String() string { return "die with the parent" }
func (HideMemory) String() string    { return "hide the launcher's memory" }
func (Subreaper) String() string     { return "become the reaper of orphans" }
func (StartCommand) String() string  { return "start the command's process" }
func (s LetGo) String() string       { return fmt.Sprintf("let %s go on", s.Whom) }
func (s WaitFor) String() string     { return fmt.Sprintf("wait for %s", s.Whom) }
func (NewKeyring) String() string    { return "join a new session keyring" }
func (NewSession) String() string    { return "start a session" }
func (s SetUmask) String() string    { return fmt.Sprintf("set umask %04o", s.Mask) }
func (ResetSignals) String() string  { return "reset the signal mask" }
func (s Chdir) String() string       { return "enter " + s.Path }
func (s SetLimit) String() string {
	return fmt.Sprintf("set limit %s %s:%s", s.Name, limit(s.Soft), limit(s.Hard))
}

func (s NullStdin) String() string {
	switch {
	case s.Until:
		return "connect stdin, stdout and stderr to /dev/null until they are the command's"
	case s.Output:
		return "connect stdin, stdout and stderr to /dev/null"
	}
	return "connect stdin to /dev/null"
}

func limit(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

func (s ExecInit) String() string { return "exec init" }

func (s Exec) String() string {
	if len(s.Argv) == 0 {
		return "exec"
	}
	return "exec " + strings.Join(s.Argv, " ")
}

func (s DieWithParent) lower(p *program) {
	signal := unix.SIGKILL
	if s.Sweep {
		signal = pid1.SweepSignal
	}
	p.call(unix.SYS_PRCTL, lit(unix.PR_SET_PDEATHSIG), lit(signal))
	if s.Again && p.apart >= 0 && p.command == nil && !p.joining { // the command
		// No pid namespace ends it if init, which is not process 1 here, was killed before.
		parent := p.keep(p.call(unix.SYS_GETPPID))
		p.equal(parent, at(p.memory.starter), unix.ESRCH)
	}
	if !s.Later {
		p.alive()
		return
	}
	hungUp := p.keep(p.poll(int32(p.control), 0, 0))
	p.compare(hungUp, ^uint64(0), 0, unix.EAGAIN).skips(2, unix.EAGAIN)
	p.compare(at(p.memory.thread), ^uint64(0), 1, unix.EAGAIN).skips(1, unix.EAGAIN)
	p.jump(2)
	self := p.keep(p.call(unix.SYS_GETPID))
	p.call(unix.SYS_KILL, self, lit(signal))
}

// alive fails when the launcher has gone: the control socket is at its end, or the thread has ended whose end the signal tells of.
func (p *program) alive() {
	p.call(unix.SYS_RECVFROM, lit(p.control), lit(p.a.word()), lit(1), lit(unix.MSG_PEEK|unix.MSG_DONTWAIT),
		lit(0), lit(0)).skips(0, unix.EAGAIN).wants(1)
	p.compare(at(p.memory.thread), ^uint64(0), 1, unix.ESRCH)
}

func (HideMemory) lower(p *program) {
	p.call(unix.SYS_PRCTL, lit(unix.PR_SET_DUMPABLE), lit(0))
	if !p.joining {
		p.call(unix.SYS_PRCTL, lit(unix.PR_SET_NAME), p.str(pid1.Name))
	}
}

func (Subreaper) lower(p *program) {
	p.call(unix.SYS_PRCTL, lit(unix.PR_SET_CHILD_SUBREAPER), lit(1))
}

func (StartCommand) lower(p *program) {
	if p.apart >= 0 {
		p.call(unix.SYS_GETPID).keepIn(p.memory.starter)
	}
	if p.memo == nil {
		p.spread() // so that the command begins on a processor that is free: the kernel looks for one at the clone, not later
	}
	p.spawn(p.command).keepIn(p.memory.command)
	if p.memo != nil {
		p.memo.placeCommand(p)
	}
	p.call(unix.SYS_CLOSE, lit(p.toInit))
}

func (LetGo) lower(p *program) {
	if p.memo != nil && p.command != nil {
		p.memo.freeCommand(p)
	}
	p.call(unix.SYS_WRITE, lit(p.peer), lit(p.a.word()), lit(1)).wants(1)
}

func (s WaitFor) lower(p *program) {
	if s.Whom == Parent {
		p.awaitLauncher()
		return
	}
	p.call(unix.SYS_READ, lit(p.peer), lit(p.a.word()), lit(1)).wants(1)
}

func (NewKeyring) lower(p *program) {
	// ENOSYS: the kernel has no keys. Where a filter says so, it is the command's as well.
	p.call(unix.SYS_KEYCTL, lit(unix.KEYCTL_JOIN_SESSION_KEYRING), lit(0)).skips(0, unix.ENOSYS)
}

func (NewSession) lower(p *program) { p.call(unix.SYS_SETSID) }

func (s SetUmask) lower(p *program) { p.call(unix.SYS_UMASK, lit(s.Mask)) }

func (s SetLimit) lower(p *program) {
	lim := (*unix.Rlimit)(p.a.alloc(int(unsafe.Sizeof(unix.Rlimit{}))))
	*lim = unix.Rlimit{Cur: s.Soft, Max: s.Hard}
	p.call(unix.SYS_PRLIMIT64, lit(0), lit(s.Resource), lit(address(lim)), lit(0))
}

func (s NullStdin) lower(p *program) {
	fd := p.keep(p.call(unix.SYS_OPENAT, cwd, p.str("/dev/null"), lit(unix.O_RDWR|unix.O_CLOEXEC)))
	last := 0
	switch {
	case s.Until && p.verbose:
		last = 1
	case s.Output:
		last = 2
	}
	for to := 0; to <= last; to++ {
		p.call(unix.SYS_DUP3, fd, lit(to), lit(0))
	}
}

const allFDs = 1<<32 - 1

// closeAllBut closes the descriptors from first on that are not among the needed ones. While the kernel executes a program, the new memory
// is there before what is close-on-exec is closed (begin_new_exec), and counts by the user namespace of that moment: the root of a container
// that was joined may read what is open, though get nothing of it (exec_update_lock).
func (p *program) closeAllBut(first int, needed ...int) {
	slices.Sort(needed)
	for _, fd := range needed {
		if fd > first {
			p.call(unix.SYS_CLOSE_RANGE, lit(first), lit(fd-1), lit(0))
		}
		first = max(first, fd+1)
	}
	p.call(unix.SYS_CLOSE_RANGE, lit(first), lit(allFDs), lit(0))
}

func (s CloseOnExec) lower(p *program) {
	if p.apart >= 0 {
		p.closeAllBut(3+s.Keep, p.control, p.peer)
	}
	p.call(unix.SYS_CLOSE_RANGE, lit(3+s.Keep), lit(allFDs), lit(unix.CLOSE_RANGE_CLOEXEC))
	for fd := 3; fd < 3+s.Keep; fd++ {
		p.call(unix.SYS_FCNTL, lit(fd), lit(unix.F_SETFD), lit(0))
	}
}

func (ResetSignals) lower(p *program) {
	action := p.a.room(4 * 8) // of the kernel: all zero is the default
	for _, s := range [...]int{32, 33} {
		p.call(unix.SYS_RT_SIGACTION, lit(s), lit(address(&action[0])), lit(0), lit(8))
	}
	p.call(unix.SYS_RT_SIGPROCMASK, lit(unix.SIG_SETMASK), lit(p.sigmask), lit(0), lit(8))
}

func (s Chdir) lower(p *program) {
	p.call(unix.SYS_CHDIR, p.str(s.Path))
	where := p.a.room(unix.PathMax)
	p.call(unix.SYS_GETCWD, lit(address(&where[0])), lit(len(where)))
	p.compare(at(address(&where[0])), 0xff, '/', unix.EXDEV) // "(unreachable)/…"
}

func (s ExecInit) lower(p *program) {
	argv := pid1.Argv(p.pidEvent)
	if s.Tree {
		argv = pid1.TreeArgv(p.pidEvent, pid1.AnyParent)
	}
	if s.Loose {
		argv = pid1.LooseArgv(p.pidEvent)
	}
	p.spread()
	p.call(unix.SYS_WRITE, lit(p.pidEvent), lit(p.memory.command), lit(8)).wants(8)
	// it needs no terminal and may keep no pipe of the caller open
	if p.apart >= 0 {
		p.closeAllBut(0, p.image, p.pidEvent, p.control)
	} else {
		p.call(unix.SYS_CLOSE_RANGE, lit(0), lit(2), lit(0))
	}
	p.call(unix.SYS_CLOSE_RANGE, lit(0), lit(allFDs), lit(unix.CLOSE_RANGE_CLOEXEC))
	p.call(unix.SYS_FCNTL, lit(p.pidEvent), lit(unix.F_SETFD), lit(0))
	p.call(unix.SYS_EXECVEAT, lit(p.image), p.str(""), lit(p.a.strs(argv)), lit(p.a.strs(nil)), lit(unix.AT_EMPTY_PATH))
}

func (s Exec) lower(p *program) {
	p.spread()
	if p.apart >= 0 {
		p.close(lit(p.peer)).mayFail() // a filter is there
	}
	argv, env := lit(p.a.strs(s.Argv)), lit(p.a.strs(s.Env))
	paths := make([]arg, len(s.Paths))
	for i, path := range s.Paths {
		paths[i] = p.str(path)
	}
	if p.memo != nil {
		argv, paths = p.memo.exec(p, s)
	}
	// Two rows of attempts: after an EACCES it goes on in the second one, whose
	// end reports that.
	n := len(paths)
	for _, path := range paths {
		p.call(unix.SYS_EXECVE, path, argv, env).skips(0, unix.ENOENT, unix.ENOTDIR).orSkips(n+1, unix.EACCES)
	}
	p.compare(lit(0), 0, 1, unix.ENOENT)
	for _, path := range paths {
		p.call(unix.SYS_EXECVE, path, argv, env).skips(0, unix.ENOENT, unix.ENOTDIR, unix.EACCES)
	}
	p.compare(lit(0), 0, 1, unix.EACCES)
}

func (s CloseOnExec) String() string { return fmt.Sprintf("mark fds above %d close-on-exec", 2+s.Keep) }
