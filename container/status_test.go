package container

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hold starts a process that waits, in new namespaces where flags says so.
func hold(t *testing.T, flags uintptr) (*exec.Cmd, Ref) {
	t.Helper()
	c := launched(t, t.TempDir(), "hold", nil)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if flags&unix.CLONE_NEWUSER != 0 {
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	ref, err := RefOf(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return c, ref
}

func kill(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
}

// is fails the test unless the container has that status, seen by another process's eyes.
func is(t *testing.T, s *Store, name string, want Status) *Entry {
	t.Helper()
	e, err := s.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	if e.Status != want {
		t.Fatalf("%s is %s (%v), want %s", name, e.Status, e.Damage, want)
	}
	return e
}

// isGone fails the test unless nobody has the name db.
func isGone(t *testing.T, s *Store) {
	t.Helper()
	var unknown *UnknownError
	if e, err := s.Find("db"); !errors.As(err, &unknown) {
		t.Fatalf("it is there: %+v, %v", e, err)
	}
}

func TestLife(t *testing.T) {
	s, _ := newStore(t)
	e := reserve(t, s, Request{Name: "db", Detached: true, Rootfs: "/tree", Command: []string{"sleep", "\xff"}})
	if is(t, s, "db", Created); e.Name != "db" {
		t.Error(e.Name)
	}
	init, initRef := hold(t, unix.CLONE_NEWUSER|unix.CLONE_NEWPID)
	keeper, keeperRef := hold(t, 0)
	if err := e.WriteState(&State{Init: initRef, Keeper: keeperRef}); err != nil {
		t.Fatal(err)
	}
	seen := is(t, s, "db", Running)
	if seen.State.Rootfs != "/tree" || seen.State.Command[1] != "\xff" || !seen.State.Detached || seen.State.CreatedAt.IsZero() {
		t.Errorf("%+v", seen.State)
	}
	p, err := seen.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	own, err := OwnNamespaces()
	if err != nil {
		t.Fatal(err)
	}
	its, err := p.Namespaces()
	if err != nil {
		t.Fatal(err)
	}
	for i, kind := range Kinds {
		if differ := kind == "user" || kind == "pid"; (own[i] != its[i]) != differ {
			t.Errorf("%s: %d, own %d", kind, its[i], own[i])
		}
	}
	if done, err := p.Wait(10 * time.Millisecond); done || err != nil {
		t.Errorf("Wait: %v, %v", done, err)
	}
	waited := make(chan Exit)
	go func() {
		exit, err := seen.Wait()
		if err != nil {
			t.Error(err)
		}
		waited <- exit
	}()
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = init.Wait()
	if err := p.Signal(unix.SIGKILL); !errors.Is(err, unix.ESRCH) {
		t.Errorf("signal after the end: %v", err)
	}
	if _, err := p.Namespaces(); err == nil {
		t.Error("namespaces after the end")
	}
	is(t, s, "db", Running) // until the keeper has written how it ended
	at := time.Unix(1700000000, 5)
	if err := e.writeExit(Exit{Code: 137, At: at, Dropped: 3}); err != nil {
		t.Fatal(err)
	}
	if got := is(t, s, "db", Exited); got.Exit.Code != 137 || !got.Exit.At.Equal(at) || got.Exit.Dropped != 3 || !got.Settling() {
		t.Errorf("%+v", got.Exit)
	}
	if got := <-waited; got.Code != 137 {
		t.Errorf("Wait: %+v", got)
	}
	kill(t, keeper)
	got := is(t, s, "db", Exited)
	var ended *NotRunningError
	if _, err := got.Open(); !errors.As(err, &ended) || got.Settling() {
		t.Error(err)
	}
	var used *InUseError
	if _, err := s.Reserve(Request{Name: "db"}); !errors.As(err, &used) || used.Hint() != "rl-rm db" {
		t.Error(err)
	}
	if err := got.Remove(); err != nil {
		t.Fatal(err)
	}
	isGone(t, s)
}

func TestKeeperKilled(t *testing.T) {
	s, _ := newStore(t)
	for _, detached := range []bool{true, false} {
		e := reserve(t, s, Request{Name: "db", Detached: detached})
		init, initRef := hold(t, unix.CLONE_NEWUSER|unix.CLONE_NEWPID)
		keeper, keeperRef := hold(t, 0)
		if err := e.WriteState(&State{Init: initRef, Keeper: keeperRef}); err != nil {
			t.Fatal(err)
		}
		seen := is(t, s, "db", Running)
		kill(t, keeper)
		kill(t, init)
		// The kernel remembers since 6.15, for those who have looked before.
		if _, err := seen.Wait(); !errors.Is(err, ErrNoExit) {
			t.Errorf("Wait: %v", err)
		}
		if detached {
			is(t, s, "db", Dead)
		} else {
			isGone(t, s)
		}
		// The next start with that name works.
		if err := reserve(t, s, Request{Name: "db"}).Remove(); err != nil {
			t.Fatal(err)
		}
	}
}

// A process is a container's only if all that is known of it fits.
func TestTrust(t *testing.T) {
	_, other := hold(t, 0)
	_, good := hold(t, unix.CLONE_NEWUSER|unix.CLONE_NEWPID)
	for _, test := range []struct {
		name   string
		init   func() Ref
		status Status
		reason string
	}{
		{"a container", func() Ref { return good }, Running, ""},
		{"not in a user namespace", func() Ref { return other }, Damaged, "no container of yours"},
		{"another user's", func() Ref { r, _ := RefOf(1); return r }, Damaged, "no container of yours"},
		{"another start time", func() Ref { r := good; r.Start--; return r }, Dead, ""},
		{"another boot", func() Ref { r := good; r.Boot = "before"; return r }, Dead, ""},
		{"another pid namespace", func() Ref { r := good; r.PIDNS++; return r }, Running, ""},
		{"no process", func() Ref { r := good; r.PID = 1 << 22; return r }, Dead, ""},
		{"no such number", func() Ref { r := good; r.PID = -5; return r }, Dead, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, _ := newStore(t)
			e := reserve(t, s, Request{Name: "db", Detached: true})
			if err := e.WriteState(&State{Init: test.init()}); err != nil {
				t.Fatal(err)
			}
			seen := is(t, s, "db", test.status)
			if test.reason != "" && !strings.Contains(seen.Damage.Error(), test.reason) {
				t.Error(seen.Damage)
			}
			p, err := seen.Open()
			if (err == nil) != (test.name == "a container") {
				t.Errorf("Open: %v", err)
			}
			if err == nil {
				p.Close()
			}
		})
	}
}

// Containers of a session are nested in its user namespace.
func TestNested(t *testing.T) {
	s, dir := newStore(t)
	c := launched(t, dir, "nest", nil)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	init, err := RefOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	e := reserve(t, s, Request{Name: "db", Detached: true})
	if err := e.WriteState(&State{Init: init}); err != nil {
		t.Fatal(err)
	}
	is(t, s, "db", Running)
}

func TestReboot(t *testing.T) {
	s, _ := newStore(t)
	self, err := RefOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	before := self
	before.Boot = "9f0a7a4e-0000-4000-8000-000000000000"
	for _, state := range []State{
		{Owner: before},
		{Owner: before, Detached: true},
		{Owner: before, Init: before, Keeper: before},
		{Owner: before, Init: before, Keeper: before, Detached: true},
	} {
		e := reserve(t, s, Request{Name: "db"})
		if err := e.WriteState(&state); err != nil {
			t.Fatal(err)
		}
		if state.Detached && state.Init.PID != 0 {
			is(t, s, "db", Dead)
		} else {
			isGone(t, s)
		}
		if err := reserve(t, s, Request{Name: "db"}).Remove(); err != nil {
			t.Fatal(err)
		}
	}
}

// A container whose launcher was killed is about to end: a start with its name waits for that.
func TestAboutToEnd(t *testing.T) {
	s, _ := newStore(t)
	for _, detached := range []bool{true, false} {
		e := reserve(t, s, Request{Name: "db", Detached: detached})
		init, initRef := hold(t, unix.CLONE_NEWUSER|unix.CLONE_NEWPID)
		keeper, keeperRef := hold(t, 0)
		if err := e.WriteState(&State{Init: initRef, Keeper: keeperRef}); err != nil {
			t.Fatal(err)
		}
		var used *InUseError
		if _, err := s.Reserve(Request{Name: "db"}); !errors.As(err, &used) {
			t.Fatal(err)
		}
		kill(t, keeper)
		timer := time.AfterFunc(100*time.Millisecond, func() { _ = init.Process.Kill() })
		begin := time.Now()
		if err := reserve(t, s, Request{Name: "db"}).Remove(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < 90*time.Millisecond || took > time.Second {
			t.Errorf("it took %v", took)
		}
		timer.Stop()
		_ = init.Wait()
	}
}
