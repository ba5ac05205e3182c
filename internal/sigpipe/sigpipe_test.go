package sigpipe_test

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sigpipe"
)

func TestMain(m *testing.M) {
	switch os.Getenv("SIGPIPE_CHILD") {
	case "":
	case "alone":
		os.Exit(alone())
	default:
		os.Exit(child())
	}
	os.Exit(m.Run())
}

// child sends itself every signal that is caught, while it collects garbage on
// several threads, and expects each once.
func child() int {
	fd, err := sigpipe.Open()
	if err != nil {
		return 10
	}
	for range 4 {
		go func() {
			for {
				runtime.GC()
			}
		}()
	}
	for round := range 20 {
		for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGQUIT, unix.SIGTERM, unix.SIGWINCH, unix.SIGTSTP, unix.SIGCONT, 34, 64} {
			if err := unix.Kill(os.Getpid(), s); err != nil {
				return 11
			}
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000); err != nil && err != unix.EINTR {
				return 12
			}
			for got := unix.Signal(0); got != s; {
				if got = sigpipe.Read(fd); got != 0 && got != s {
					return 20 + round
				}
			}
		}
	}
	// A child before its execution has the handler and the pipe, too, and a ^Z at the terminal reaches both.
	forked, _, _ := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if forked == 0 {
		own, _, _ := unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
		for _, s := range [...]unix.Signal{unix.SIGTSTP, unix.SIGTERM} {
			_, _, _ = unix.RawSyscall(unix.SYS_KILL, own, uintptr(s), 0)
		}
		for {
			_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 7, 0, 0)
		}
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(int(forked), &ws, 0, nil); err != nil || ws.ExitStatus() != 7 {
		return 14
	}
	if sigpipe.Read(fd) != 0 {
		return 15
	}
	_ = unix.Kill(os.Getpid(), unix.SIGINT) // ignored by whoever started us
	time.Sleep(10 * time.Millisecond)
	if sigpipe.Read(fd) != 0 {
		return 13
	}
	return 0
}

func TestEverySignalComesThrough(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", `trap '' INT; exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), "SIGPIPE_CHILD=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
