package plan

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sigpipe"
)

// A container that a memo has started is the child of the process's first thread, and PDEATHSIG fires when that ends: the
// main goroutine stays on it (runtime.LockOSThread has it so when it is called by an init).
//
// Go's runtime has let the signals through that end a process, and has its own handlers for them: they are replaced at once.
func init() {
	if recalled.pid == 0 {
		return
	}
	runtime.LockOSThread()
	signals, err := sigpipe.Open()
	if err == nil {
		err = setSigmask(&recalled.mask, nil)
	}
	adopted.signals, adopted.err = signals, err
}

// adopted is what is known of the signals since then.
var adopted struct {
	signals int
	err     error
}

// Recalled returns the container that a memo has started before this process began to run Go, and which still runs, with the
// memfd of the static init and the descriptor of sigpipe.Open; nil for none.
func Recalled() (c *Child, image, signals int, err error) {
	r := &recalled
	if r.pid == 0 {
		return nil, -1, -1, nil
	}
	c = &Child{PID: r.pid, PIDFD: r.pidfd, Terminal: -1, netns: -1, userns: -1, reached: -1}
	c.image, c.control, c.theirs, c.pidEvent, c.toCmd, c.toInit, c.apart = r.image, -1, r.theirs, -1, -1, -1, -1
	c.detach = noKeeper
	return c, r.image, adopted.signals, adopted.err
}

// RecalledPort is the number of the place on a bridge that the container of Recalled has got; 0 for none.
func RecalledPort() int { return recalled.port }

// Begun returns why what a memo has started has failed, once its command may have begun: so it may not be started anew; nil for
// what may. pl is the plan of this call. Errors are *StepError, ErrGone, or of the launcher's own calls.
func Begun(pl Plan) error {
	r := &recalled
	switch {
	case !r.begun:
		return nil
	case r.record[1] == 0 && r.errno > 0 && r.errno != int32(unlike) && r.errno < memoDone:
		return fmt.Errorf("wait for init: %w", unix.Errno(r.errno))
	case r.record[1] == 0, r.record[0] < 0, int(r.record[0]) >= len(pl.Entries):
		return ErrGone
	}
	return failedStep(pl, r.record)
}

// MemoWanted returns the directory in which a memo of this call was looked for; empty where there is one, or none can be.
func MemoWanted() string {
	r := &recalled
	if !r.miss {
		return ""
	}
	return unix.ByteSliceToString(r.dir[:])
}

// seldom is how much time there is at least between two memos in a slot.
const seldom = 2 * time.Second

// Keep writes the memo into a directory of the caller's alone, for the next call. Another one of its slot is replaced.
// Errors are for plans that cannot be kept, or *os.SyscallError.
func (m *Memo) Keep(dir int) error {
	slot := strconv.Itoa(recalled.slot)
	if recalled.program == programExec {
		slot = ExecMemo
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil || limit.Cur < arenaSize {
		return errors.New("a file may not be that large") // SIGXFSZ
	}
	// Calls that take turns in a slot would write it anew each time.
	var st unix.Stat_t
	if err := unix.Fstatat(dir, slot, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil && time.Since(time.Unix(st.Mtim.Unix())) < seldom {
		return errors.New("there is a new one of another call")
	}
	pieces, free, err := m.lower()
	if err != nil {
		return err
	}
	defer free()
	// Without a name until it is complete.
	fd, err := unix.Openat(dir, ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return os.NewSyscallError("openat", err)
	}
	defer unix.Close(fd)
	if err := write(fd, pieces); err != nil {
		return err
	}
	if err := unix.Unlinkat(dir, slot, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return os.NewSyscallError("unlinkat", err)
	}
	return os.NewSyscallError("linkat", unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), dir, slot, unix.AT_SYMLINK_FOLLOW))
}

// write fills a file that is empty between the pieces.
func write(fd int, pieces []piece) error {
	if err := unix.Ftruncate(fd, arenaSize); err != nil {
		return os.NewSyscallError("ftruncate", err)
	}
	for _, p := range pieces {
		for at := 0; at < len(p.data); {
			n, err := unix.Pwrite(fd, p.data[at:], p.at+int64(at))
			if err != nil {
				return os.NewSyscallError("pwrite", err)
			}
			at += n
		}
	}
	return nil
}
