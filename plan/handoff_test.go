package plan

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// statusLine is a value of /proc/PID/status.
func statusLine(t *testing.T, pid int, key string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in /proc/%d/status", key, pid)
	return ""
}

// started starts a plan whose steps of the parent the test takes itself.
func started(t *testing.T, pl Plan) *Child {
	t.Helper()
	c, err := Prepare(pl, Options{})
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	if err := c.Start(); err != nil {
		c.Close()
		t.Fatal(err)
	}
	return c
}

func ended(t *testing.T, c *Child) unix.WaitStatus {
	t.Helper()
	c.Close()
	ws, err := wait(c.PID)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

var marker Step = RemoveMountPoint{}

// Steps of the parent between those of init run where they stand: init has done
// all before and nothing behind them.
func TestHandoffs(t *testing.T) {
	leak.Watch(t)
	var pl Plan
	pl.Add(Parent, StartInit{unix.CLONE_NEWUSER | unix.CLONE_NEWPID}, "")
	pl.Add(Init, DieWithParent{}, "")
	masks := make(map[int]string) // by index of the parent's step
	for i := range 5 {
		pl.Add(Init, SetUmask{uint32(i) + 0o20}, "")
		masks[len(pl.Entries)] = fmt.Sprintf("%04o", i+0o20)
		pl.Add(Parent, marker, "")
		if i == 2 { // two in a row: init waits once
			pl.Add(Parent, marker, "")
		}
	}
	pl.Add(Init, Exec{Paths: []string{"/bin/sh"}, Argv: []string{"sh", "-c", "exit 9"}}, "")

	c := started(t, pl)
	for i, e := range pl.Entries {
		if want, ok := masks[i]; ok {
			if err := c.Await(i); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Millisecond) // init would go on, did it not wait
			if got := statusLine(t, c.PID, "Umask"); got != want {
				t.Errorf("umask %s at step %d, want %s", got, i, want)
			}
		}
		if e.Actor == Parent && i+1 < len(pl.Entries) && pl.Entries[i+1].Actor == Init && i > 0 {
			if err := c.Go(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Running(); err != nil {
		t.Error(err)
	}
	if ws := ended(t, c); ws.ExitStatus() != 9 {
		t.Errorf("status %#x, want exit status 9", ws)
	}
}

func TestAFailureBeforeAHandoffIsToldThere(t *testing.T) {
	leak.Watch(t)
	pl := begin(Chdir{"/nowhere"})
	pl.Add(Parent, marker, "")
	pl.Add(Init, Exec{Paths: []string{"/bin/true"}, Argv: []string{"true"}}, "")
	c := started(t, pl)
	checkStepError(t, c.Await(len(pl.Entries)-2), len(pl.Entries)-3, unix.ENOENT)
	if err := c.Go(); !errors.Is(err, ErrGone) && err != nil {
		t.Errorf("Go behind a failure that was told: %v", err)
	}
	if ws := ended(t, c); ws.ExitStatus() != 125 {
		t.Errorf("status %#x, want exit status 125", ws)
	}
}

// Go tells a failure that came before it and that nobody has awaited.
func TestGoTellsAnEarlierFailure(t *testing.T) {
	leak.Watch(t)
	pl := begin(Chdir{"/nowhere"})
	pl.Add(Parent, marker, "")
	pl.Add(Init, Exec{Paths: []string{"/bin/true"}, Argv: []string{"true"}}, "")
	c := started(t, pl)
	awaitDeath(t, c.PID)
	checkStepError(t, c.Go(), len(pl.Entries)-3, unix.ENOENT)
	ended(t, c)
}

func TestAKilledInitIsGone(t *testing.T) {
	leak.Watch(t)
	p, err := pause(t, begin())
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.PidfdSendSignal(p.PIDFD, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := p.Await(len(p.plan.Entries) - 1); !errors.Is(err, ErrGone) {
		t.Errorf("Await: %v, want ErrGone", err)
	}
	if err := p.Go(); !errors.Is(err, ErrGone) {
		t.Errorf("Go: %v, want ErrGone", err)
	}
}

// A launcher that ends at a handoff takes init along, without a signal too.
func TestCloseEndsAWaitingInit(t *testing.T) {
	leak.Watch(t)
	pl := begin()
	pl.Add(Parent, marker, "")
	pl.Add(Init, Exec{Paths: []string{"/bin/true"}, Argv: []string{"true"}}, "")
	c := started(t, pl)
	if err := c.Await(len(pl.Entries) - 2); err != nil {
		t.Fatal(err)
	}
	if ws := ended(t, c); ws.ExitStatus() != 125 {
		t.Errorf("status %#x, want exit status 125", ws)
	}
	c.Close() // twice is harmless
}

func TestCloseWithoutStart(t *testing.T) {
	maps := func() int {
		text, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(text, []byte{'\n'})
	}
	fds := func() []string {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	prepare := func() {
		c, err := Prepare(begin(), Options{Timing: true, Verbose: true})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		c.Close()
	}
	prepare()
	before, mapped := fds(), maps()
	for range 20 {
		prepare()
	}
	if now := fds(); !slices.Equal(now, before) {
		t.Errorf("open fds %v, before %v", now, before)
	}
	if now := maps(); now > mapped+5 {
		t.Errorf("%d mappings, before %d", now, mapped)
	}
}

// Each child reports with its own record, though they share the memory: the one
// that fails first is told.
func TestBothChildrenFail(t *testing.T) {
	leak.Watch(t)
	nap := func(n int64) Step {
		return raw(func(p *program) {
			ts := p.a.room(16)
			*(*unix.Timespec)(p.a.at(address(&ts[0]))) = unix.NsecToTimespec(n)
			p.call(unix.SYS_NANOSLEEP, lit(address(&ts[0])), lit(0))
		})
	}
	for _, naps := range [][2]int64{{0, 50e6}, {50e6, 0}, {1e5, 1e5}} {
		pl := begin(StartCommand{}, nap(naps[0]), Chdir{"/nowhere/init"})
		init := len(pl.Entries) - 1
		pl.Add(Command, nap(naps[1]), "")
		pl.Add(Command, Chdir{"/etc/passwd/command"}, "")
		command := len(pl.Entries) - 1
		_, ws, err := run(t, Options{}, pl)
		var failed *StepError
		if !errors.As(err, &failed) {
			t.Fatalf("%v: %v", naps, err)
		}
		switch {
		case naps[0] < naps[1] && failed.Index != init, naps[1] < naps[0] && failed.Index != command:
			t.Errorf("%v: step %d failed: %v", naps, failed.Index, failed)
		case failed.Index == init:
			checkStepError(t, err, init, unix.ENOENT)
		default:
			checkStepError(t, err, command, unix.ENOTDIR)
		}
		if failed.Actor != pl.Entries[failed.Index].Actor || ws.ExitStatus() != 125 {
			t.Errorf("%v: %s failed, status %#x", naps, failed.Actor, ws)
		}
	}
}

// What init tells the command and the command init arrives; who waits for one
// that has ended fails.
func TestInitAndCommandWaitForEachOther(t *testing.T) {
	leak.Watch(t)
	pl := begin(StartCommand{})
	pl.Add(Command, SetUmask{0o21}, "")
	pl.Add(Command, LetGo{Init}, "")
	pl.Add(Init, WaitFor{Command}, "")
	pl.Add(Init, LetGo{Command}, "")
	pl.Add(Command, WaitFor{Init}, "")
	pl.Add(Command, Exec{Paths: []string{"/bin/true"}, Argv: []string{"true"}}, "")
	pl.Add(Init, Exec{Paths: []string{"/bin/sh"}, Argv: []string{"sh", "-c", "exit 3"}}, "")
	if _, ws, err := run(t, Options{}, pl); err != nil || ws.ExitStatus() != 3 {
		t.Errorf("status %#x, %v", ws, err)
	}

	pl = begin(StartCommand{})
	pl.Add(Command, raw(func(p *program) { exit(p, lit(0)) }), "")
	pl.Add(Init, WaitFor{Command}, "")
	_, _, err := run(t, Options{}, pl)
	checkStepError(t, err, len(pl.Entries)-1, errShort)
}

// dead reports whether a process has ended, reaped or not.
func dead(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := bytes.Cut(text, []byte(") "))
	return len(rest) == 0 || rest[0] == 'Z' || rest[0] == 'X'
}

func awaitDeath(t *testing.T, pid int) {
	t.Helper()
	for range 200 {
		if dead(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d lives on", pid)
	_ = unix.Kill(pid, unix.SIGKILL)
}

// A launcher that is killed loses one thread after the other: the one that has started init may have ended before init takes PDEATHSIG,
// which then tells of nothing more, while another one still holds the control socket.
func TestThreadEndsBeforeTheSignalIsTaken(t *testing.T) {
	leak.Watch(t)
	for name, begins := range map[string]func() Plan{
		"shared memory": func() Plan {
			var pl Plan
			pl.Add(Parent, StartInit{unix.CLONE_NEWUSER}, "")
			return pl
		},
		"own memory": func() Plan {
			var pl Plan
			pl.Add(Parent, StartJoiner{}, "")
			pl.Add(Joiner, OwnMemory{}, "")
			pl.Add(Joiner, StartInit{unix.CLONE_NEWUSER}, "")
			return pl
		},
	} {
		t.Run(name, func(t *testing.T) {
			pl := begins()
			pl.Add(Init, SetUmask{0o22}, "")
			pl.Add(Parent, marker, "")
			await := len(pl.Entries) - 1
			pl.Add(Init, DieWithParent{}, "")
			pl.Add(Init, Exec{Paths: []string{"/bin/true"}, Argv: []string{"true"}}, "")
			c, err := Prepare(pl, Options{})
			if err != nil {
				t.Fatal(err)
			}
			done, ended := make(chan error), make(chan int, 1)
			go func() {
				runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
				ended <- unix.Gettid()
				err := c.Start()
				if err == nil {
					err = c.Await(await)
				}
				done <- err
			}()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			thread := fmt.Sprintf("/proc/self/task/%d", <-ended)
			leak.Eventually(t, trial.Timeout, "the thread ends", func() bool {
				_, err := os.Stat(thread)
				return errors.Is(err, os.ErrNotExist)
			})
			if err := c.Go(); err != nil {
				t.Fatal(err)
			}
			checkStepError(t, c.Running(), await+1, unix.ESRCH)
			c.reap()
			c.Close()
			if _, err := wait(c.PID); err != nil {
				t.Error(err)
			}
		})
	}
}

// PDEATHSIG is about the thread: when that which cloned init ends, init does,
// before its exec and after it.
func TestInitDiesWithTheThread(t *testing.T) {
	leak.Watch(t)
	for _, at := range []string{"handoff", "command"} {
		t.Run(at, func(t *testing.T) {
			pl := begin(ResetSignals{})
			if at == "handoff" {
				pl.Add(Parent, marker, "")
			}
			pl.Add(Init, Exec{Paths: []string{"/bin/sleep"}, Argv: []string{"sleep", "1000"}}, "")
			c, err := Prepare(pl, Options{})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() {
				runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
				err := c.Start()
				if err == nil && at == "handoff" {
					err = c.Await(len(pl.Entries) - 2)
				} else if err == nil {
					err = c.Running()
				}
				done <- err
			}()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			awaitDeath(t, c.PID)
			if ws := ended(t, c); !ws.Signaled() || ws.Signal() != unix.SIGKILL {
				t.Errorf("status %#x, want SIGKILL", ws)
			}
		})
	}
}
