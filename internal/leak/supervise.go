package leak

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supervisorEnv carries the supervisor's pid to the test program. It counts only
// for a child of that very process: a test program that a test starts again
// inherits the variable and gets a supervisor of its own.
const supervisorEnv = "RLRUN_LEAK_SUPERVISOR"

// supervisor is the pid of the supervisor; 0 means that there is none.
var supervisor int

// A Runner runs all tests and returns the exit code; *testing.M is one.
type Runner interface{ Run() int }

// Tests returns a Runner that runs m in a child process, below a supervisor that
// adopts and reaps whatever the tests leave behind. What still lives two seconds after
// the tests is ended, named on standard error, and turns exit code 0 into 1.
func Tests(m Runner) Runner { return supervised{m} }

type supervised struct{ m Runner }

func (s supervised) Run() int {
	if os.Getenv(supervisorEnv) == strconv.Itoa(os.Getppid()) {
		supervisor = os.Getppid()
		return s.m.Run()
	}
	code, err := supervise()
	if err != nil {
		fmt.Fprintln(os.Stderr, "leak:", err)
		return 1
	}
	return code
}

// supervise runs this program again as a child and returns its exit code, or
// 128 + N where signal N ended it.
func supervise() (int, error) {
	// PR_SET_PDEATHSIG of the child is tied to the thread that forked it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, os.NewSyscallError("prctl", err)
	}
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM)
	defer signal.Stop(signals)

	// Below another supervisor the variable is there already, and of two the first
	// would count.
	if err := os.Setenv(supervisorEnv, strconv.Itoa(os.Getpid())); err != nil {
		return 0, err
	}
	pid, err := syscall.ForkExec(exe, os.Args, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL},
	})
	if err != nil {
		return 0, &os.PathError{Op: "start", Path: exe, Err: err}
	}

	// A signal must not reach a process that got the pid after the tests had ended.
	var mu sync.Mutex
	ended := false
	go func() {
		for s := range signals {
			mu.Lock()
			if n, ok := s.(syscall.Signal); ok && !ended {
				_ = unix.Kill(pid, n)
			}
			mu.Unlock()
		}
	}()
	code := 0
	for !ended {
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return 0, os.NewSyscallError("waitid", err)
		}
		mu.Lock()
		var ws unix.WaitStatus
		if got, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil); err == nil && got == pid {
			ended = true
			code = ws.ExitStatus()
			if ws.Signaled() {
				code = 128 + int(ws.Signal())
			}
		}
		mu.Unlock()
	}
	left, err := EndChildren(Patience)
	for _, l := range left {
		fmt.Fprintln(os.Stderr, "leak: left behind by the tests:", l)
	}
	if len(left) > 0 && code == 0 {
		code = 1
	}
	return code, err
}

// EndChildren waits for all children of this process, for as long as patience, and
// describes what then still lives below it. That it ends: it kills the children, whose own
// children come to it in turn, and waits again for at most Patience.
//
// The caller is a subreaper and has nothing else that starts or waits for processes; so a
// pid that is listed as a child's cannot have gone to another process.
func EndChildren(patience time.Duration) (left []string, err error) {
	done, err := reap(patience)
	if done || err != nil {
		return nil, err
	}
	below, err := Descendants(os.Getpid())
	if err != nil {
		return nil, err
	}
	for _, p := range below {
		left = append(left, p.String()) // now: a dead process has no command line
	}
	// A child with another uid, a setuid helper, cannot be killed from here: what
	// does not end by itself is left alone.
	for start := time.Now(); time.Since(start) < Patience; {
		all, err := Processes()
		if err != nil {
			return left, err
		}
		for _, p := range all {
			if p.Parent == os.Getpid() {
				_ = unix.Kill(p.PID, unix.SIGKILL)
			}
		}
		if done, err := reap(20 * time.Millisecond); done || err != nil {
			return left, err
		}
	}
	return left, nil
}

// reap waits for children until there is none, or until the time is up.
func reap(within time.Duration) (none bool, err error) {
	for start, pause := time.Now(), 200*time.Microsecond; ; {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.ECHILD):
			return true, nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return false, os.NewSyscallError("wait4", err)
		case pid > 0:
			continue
		case time.Since(start) > within:
			return false, nil
		}
		time.Sleep(pause)
		pause = min(2*pause, 10*time.Millisecond)
	}
}
