package plan

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// run starts a plan whose init executes a command, and returns its wait status.
func run(t *testing.T, o Options, pl Plan) (*Child, unix.WaitStatus, error) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, err := Prepare(pl, o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	err = c.Running()
	var ws unix.WaitStatus
	if _, werr := unix.Wait4(c.PID, &ws, 0, nil); werr != nil {
		t.Fatal(werr)
	}
	return c, ws, err
}

func startPlan() Plan {
	var pl Plan
	pl.Add(Parent, StartInit{unix.CLONE_NEWUSER | unix.CLONE_NEWPID}, "")
	pl.Add(Init, DieWithParent{}, "")
	pl.Add(Init, MapOwnIDs{Extent{0, uint32(os.Getuid()), 1}, Extent{0, uint32(os.Getgid()), 1}}, "")
	pl.Add(Init, Unshare{unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP}, "")
	pl.Add(Init, LoopbackUp{}, "")
	pl.Add(Init, SetHostname{"box"}, "")
	pl.Add(Init, ResetSignals{}, "")
	return pl
}

func TestChildRunsToItsExec(t *testing.T) {
	pl := startPlan()
	pl.Add(Init, Exec{
		Paths: []string{"/nowhere/sh", "/etc/passwd/sh", "/bin/sh"},
		Argv:  []string{"sh", "-c", `[ $$ = 1 ] && [ "$(id -u)" = 0 ] && [ "$(hostname)" = box ] && exit 7`},
		Env:   []string{"PATH=/usr/bin:/bin"},
	}, "")
	_, ws, err := run(t, Options{}, pl)
	if err != nil || ws.ExitStatus() != 7 {
		t.Fatalf("want exit 7, got %v, %v", ws, err)
	}
}

func TestExecSaysWhichErrno(t *testing.T) {
	for _, c := range []struct {
		paths []string
		want  error
	}{
		{[]string{"/nowhere/x"}, unix.ENOENT},
		{[]string{"/nowhere/x", "/etc/passwd"}, unix.EACCES},
		{[]string{"/etc/passwd", "/nowhere/x"}, unix.EACCES},
		{[]string{"/etc/passwd", "/nowhere/x", "/etc/passwd"}, unix.EACCES},
	} {
		pl := startPlan()
		pl.Add(Init, Exec{Paths: c.paths, Argv: []string{"x"}}, "")
		_, ws, err := run(t, Options{}, pl)
		var step *StepError
		if !errors.As(err, &step) || !errors.Is(err, c.want) || step.Index != len(pl.Entries)-1 || ws.ExitStatus() != 125 {
			t.Errorf("%v: %v, %v; want %v", c.paths, err, ws.ExitStatus(), c.want)
		}
	}
}

func TestFailureNamesItsStep(t *testing.T) {
	pl := startPlan()
	pl.Add(Init, Chdir{"/nowhere"}, "")
	pl.Add(Init, Exec{Paths: []string{"/bin/true"}, Argv: []string{"true"}}, "")
	_, _, err := run(t, Options{}, pl)
	var step *StepError
	if !errors.As(err, &step) || step.Index != len(pl.Entries)-2 || step.Actor != Init || !errors.Is(err, unix.ENOENT) {
		t.Fatalf("got %v", err)
	}
	if got := err.Error(); !strings.HasPrefix(got, "enter /nowhere: ") {
		t.Errorf("message %q", got)
	}
}

// A garbage collection while children are at their steps neither hangs nor
// takes away what they read.
func TestGarbageCollectionBesideTheChild(t *testing.T) {
	stop := collect()
	defer stop()
	for range 50 {
		pl := startPlan()
		pl.Add(Init, Exec{Paths: []string{"/bin/true"}, Argv: []string{"true"}}, "")
		if _, ws, err := run(t, Options{}, pl); err != nil || ws != 0 {
			t.Fatal(ws, err)
		}
	}
}

// collect has the garbage collector run until the returned function is called.
func collect() (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
			}
		}
	}()
	return func() { close(done) }
}

func TestTimesGrow(t *testing.T) {
	pl := startPlan()
	pl.Add(Init, Exec{Paths: []string{"/bin/true"}, Argv: []string{"true"}}, "")
	c, _, err := run(t, Options{Timing: true}, pl)
	if err != nil {
		t.Fatal(err)
	}
	last := c.Began(1)
	for i := 2; i < len(pl.Entries); i++ {
		if now := c.Began(i); now <= last {
			t.Fatalf("step %d began at %v, the one before at %v", i, now, last)
		} else {
			last = now
		}
	}
}
