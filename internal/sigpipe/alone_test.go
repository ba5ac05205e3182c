package sigpipe_test

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sigpipe"
)

// unclear is the exit code of alone where that shows nothing.
const unclear = 3

// alone looks where signals end up that its own thread blocks: with other threads, and pending once those block them, too.
func alone() int {
	runtime.LockOSThread()
	runtime.GOMAXPROCS(1) // as a launcher has it
	fd, err := sigpipe.Open()
	if err != nil {
		return 10
	}
	for range 5 {
		go func() {
			runtime.LockOSThread()
			for {
				_ = unix.Pause()
			}
		}()
	}
	time.Sleep(20 * time.Millisecond)
	all := ^uint64(0)
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), 0, 8, 0, 0); errno != 0 {
		return 11
	}
	send := func() {
		for _, s := range [...]unix.Signal{unix.SIGTERM, unix.SIGTSTP, 40} {
			_ = unix.Kill(os.Getpid(), s)
		}
		time.Sleep(5 * time.Millisecond)
	}
	send()
	for range 3 {
		if sigpipe.Read(fd) == 0 {
			return unclear // no other thread has taken it yet
		}
	}
	if !sigpipe.Alone() {
		return 12
	}
	before, _ := os.ReadDir("/proc/self/task")
	send()
	if after, _ := os.ReadDir("/proc/self/task"); len(after) != len(before) || len(after) == 0 {
		return unclear // Go's runtime has begun a thread meanwhile
	}
	if sigpipe.Read(fd) != 0 {
		return 13
	}
	const want = 1<<(unix.SIGTERM-1) | 1<<(unix.SIGTSTP-1) | 1<<(40-1)
	var pending uint64
	_, _, _ = unix.RawSyscall(unix.SYS_RT_SIGPENDING, uintptr(unsafe.Pointer(&pending)), 8, 0)
	if pending&want != want {
		return 14
	}
	return 0
}

func TestAlone(t *testing.T) {
	for range 20 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "SIGPIPE_CHILD=alone")
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() == unclear {
			continue
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	t.Error("the others have never stayed as they were")
}
