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
	left := endChildren(Patience)
	for _, l := range left {
		fmt.Fprintln(os.Stderr, "leak: left behind by the tests:", l)
	}
	if len(left) > 0 && code == 0 {
		code = 1
	}
	return code, nil
}

// endChildren waits for all children of this process, kills those that live longer
// than patience, and names what it had to kill. The caller is a subreaper and nothing else in
// it waits, so a pid that is listed as a child cannot have been given to
// another process. A descendant becomes a child when its parent has been killed.
func endChildren(patience time.Duration) []string {
	var killed []string
	asked := map[int]bool{}
	// A child with another uid (a setuid helper) cannot be killed from here; it is
	// given as long again to end, and is then left alone.
	for start, pause := time.Now(), time.Millisecond; time.Since(start) < 2*patience; {
		switch _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); {
		case errors.Is(err, unix.ECHILD):
			return killed
		case err != nil:
			continue
		}
		if time.Since(start) > patience {
			all, _ := processes()
			for _, p := range all {
				if p.ppid != os.Getpid() || p.state == 'Z' || asked[p.pid] {
					continue
				}
				asked[p.pid] = true
				killed = append(killed, p.describe())
				_ = unix.Kill(p.pid, unix.SIGKILL)
			}
		}
		time.Sleep(pause)
		pause = min(2*pause, 20*time.Millisecond)
	}
	return killed
}
