package launch

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/entry"
	"github.com/rl-run/rl-run/internal/heir"
	"github.com/rl-run/rl-run/internal/pid1"
	"github.com/rl-run/rl-run/internal/sigpipe"
)

// StandIn executes the static stand-in in the launcher's place, so that nothing
// is left to do for the caller, nor anybody to do it. What Go has mapped is torn
// down while the command runs, not at the end, when somebody waits for it; and
// an idle launcher takes some pages instead of megabytes. It keeps the pid and
// the command line.
//
// It returns where Go is needed still, for a terminal, a control group or to clean up, and where other threads stay busy or
// the exec fails: then Supervise is next. signals is the fd of sigpipe.Open; the
// calling thread is the one that started init, as the exec ends all others.
//
// At the end the stand-in removes the files that are named from the directory,
// as pid1.StandIn has it, and ends the heir.
func (c *Container) StandIn(signals, dir int, remove []string, h *heir.Heir) {
	if c.Terminal || len(c.Plan.Cleanup) > 0 || len(c.lock) > 0 || c.Group.Way != "" {
		return
	}
	s := pid1.StandIn{PID: c.Child.PID, Pipe: signals, Signals: sigpipe.Caught(), Dir: dir, Remove: remove}
	keep := []int{signals}
	if len(remove) > 0 {
		keep = append(keep, dir)
	}
	if h != nil {
		s.Heir = h.PID
		keep = append(keep, h.Will)
	}
	argv, err := syscall.SlicePtrFromStrings(os.Args) //nolint:forbidigo // package unix has no such function
	if err != nil {
		return
	}
	env, err := syscall.SlicePtrFromStrings(s.Env()) //nolint:forbidigo // package unix has no such function
	if err != nil {
		return
	}
	empty, err := unix.BytePtrFromString("")
	if err != nil {
		return
	}
	for _, fd := range keep {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return
		}
	}
	all, old := ^uint64(0), uint64(0)
	if sigmask(unix.SIG_SETMASK, &all, &old) != nil {
		return
	}
	if !sigpipe.Alone() {
		_ = sigmask(unix.SIG_SETMASK, &old, nil)
		return
	}
	if set := entry.Processors(); set != nil { // of this thread, which alone is left
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_SETAFFINITY, 0, uintptr(len(set)), uintptr(unsafe.Pointer(&set[0])))
	}
	_, _, _ = unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(c.image), uintptr(unsafe.Pointer(empty)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])), unix.AT_EMPTY_PATH, 0)
	_ = sigmask(unix.SIG_SETMASK, &old, nil)
}

func sigmask(how int, set, old *uint64) error {
	_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, uintptr(how),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if e != 0 {
		return os.NewSyscallError("rt_sigprocmask", e)
	}
	return nil
}
