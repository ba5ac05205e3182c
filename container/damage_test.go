package container

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Whatever is found in an entry's place, it is listed as damaged, nobody takes it over, and it can be removed.
func TestDamage(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.MkdirAll(outside+"/sub", 0o700); err != nil {
		t.Fatal(err)
	}
	state := func(text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { put(t, dir+"/state.json", text) }
	}
	// in the place of state.json
	instead := func(f func(string) error) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := errors.Join(os.Remove(dir+"/state.json"), f(dir+"/state.json")); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, damage := range map[string]func(*testing.T, string){
		"empty state":     state(""),
		"truncated state": state(`{"Owner": {"PID": 1`),
		"garbage":         state("\x00\xff\x1b[31m{{{"),
		"another type":    state(`[1, 2]`),
		"nothing in it":   state(`{}`),
		"null":            state(`null`),
		"deep":            state(strings.Repeat("[", 100000)),
		"a huge number":   state(`{"Owner": {"PID": 99999999999999999999}}`),
		"no state":        instead(func(string) error { return nil }),
		"a directory":     instead(func(p string) error { return os.Mkdir(p, 0o700) }),
		"a FIFO":          instead(func(p string) error { return unix.Mkfifo(p, 0o600) }),
		"a link":          instead(func(p string) error { return os.Symlink("/etc/passwd", p) }),
		"a file": func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			put(t, dir, "x")
		},
		"a link to elsewhere": func(t *testing.T, dir string) {
			if err := errors.Join(os.RemoveAll(dir), os.Symlink(outside, dir)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := newStore(t)
			e := reserve(t, s, Request{Name: "db", Detached: true})
			fine := reserve(t, s, Request{Name: "fine"})
			damage(t, dir+"/rl-run/c/db")
			seen := is(t, s, "db", Damaged)
			if seen.Damage == nil || strings.Contains(seen.Damage.Error(), "\n") {
				t.Errorf("Damage: %v", seen.Damage)
			}
			if _, err := seen.Config(); err == nil {
				t.Error("there is a configuration")
			}
			if _, err := seen.Open(); err == nil {
				t.Error("there is a process")
			}
			var used *InUseError
			if _, err := s.Reserve(Request{Name: "db"}); !errors.As(err, &used) || used.Hint() != "rl-rm -f db" {
				t.Errorf("Reserve: %v", err)
			}
			if err := seen.Abandon(); err != nil {
				t.Error(err)
			}
			if err := seen.Remove(); err != nil {
				t.Error(err)
			}
			isGone(t, s)
			is(t, s, "fine", Created)
			e.Close()
			if err := fine.Remove(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(outside + "/sub"); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(dir + "/rl-run"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("left: %v", err)
			}
		})
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Files that are damaged beside a good state.
func TestDamagedConfig(t *testing.T) {
	s, dir := newStore(t)
	e := reserve(t, s, Request{Name: "db"})
	if f, err := e.Filter(); f != nil || err != nil {
		t.Errorf("no filter: %v, %v", f, err)
	}
	put(t, dir+"/rl-run/c/db/config.json", `{"Name": "db", "UidMap": ["x"]}`)
	put(t, dir+"/rl-run/c/db/filter", "1234")
	put(t, dir+"/rl-run/c/db/exit", "exit 7")
	seen := is(t, s, "db", Created)
	if c, err := seen.Config(); err == nil || !strings.Contains(err.Error(), "/rl-run/c/db/config.json: ") {
		t.Errorf("Config: %+v, %v", c, err)
	}
	if f, err := seen.Filter(); err == nil {
		t.Errorf("Filter: %v", f)
	}
	if seen.readExit() {
		t.Errorf("exit: %+v", seen.Exit)
	}
}

// Abandon ends the process that writes the files, and no other.
func TestAbandonDamaged(t *testing.T) {
	s, dir := newStore(t)
	e := reserve(t, s, Request{Name: "db", Detached: true})
	open := func(flags int) *exec.Cmd {
		f, err := os.OpenFile(dir+"/rl-run/c/db/exit", flags, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c := exec.Command("sleep", "1000")
		c.ExtraFiles = []*os.File{f}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	keeper, reader := open(os.O_RDWR), open(os.O_RDONLY)
	put(t, dir+"/rl-run/c/db/state.json", "")
	seen := is(t, s, "db", Damaged)
	if err := seen.Abandon(); err != nil {
		t.Fatal(err)
	}
	var end *exec.ExitError
	if err := keeper.Wait(); !errors.As(err, &end) || end.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Errorf("keeper: %v", err)
	}
	if err := reader.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("reader: %v", err)
	}
	kill(t, reader)
	e.Close()
}

func TestVanishedDirectory(t *testing.T) {
	s, dir := newStore(t)
	e := reserve(t, s, Request{Name: "db", Detached: true})
	if err := e.WriteFilter(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"rl-run/c/db", "rl-run/c", "rl-run"} {
		if err := os.RemoveAll(filepath.Join(dir, gone)); err != nil {
			t.Fatal(err)
		}
		isGone(t, s)
		if err := s.sweepAll(); err != nil {
			t.Error(err)
		}
		if err := e.WriteConfig(&Config{Hostname: gone}); err != nil {
			t.Fatal(err)
		}
		seen := is(t, s, "db", Created)
		if c, err := seen.Config(); err != nil || c.Hostname != gone {
			t.Errorf("Config: %+v, %v", c, err)
		}
		if f, err := seen.Filter(); len(f) != 16 || err != nil {
			t.Errorf("Filter: %v, %v", f, err)
		}
		if err := e.writeExit(Exit{}); err != nil {
			t.Error(err)
		}
	}
	// When another container has the name by now, that one keeps it.
	if err := os.RemoveAll(filepath.Join(dir, "rl-run")); err != nil {
		t.Fatal(err)
	}
	reserve(t, s, Request{Name: "db"})
	var used *InUseError
	if err := e.WriteConfig(&Config{}); !errors.As(err, &used) {
		t.Errorf("WriteConfig: %v", err)
	}
	if err := e.Remove(); err != nil {
		t.Error(err)
	}
	is(t, s, "db", Created)
}

func TestFullDisk(t *testing.T) {
	_, dir := newStore(t)
	c := launched(t, dir, "fill", nil)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// Links that lead out of the directory, in the place of files that are written.
func TestLinksAreNotFollowed(t *testing.T) {
	s, dir := newStore(t)
	victim := filepath.Join(t.TempDir(), "victim")
	put(t, victim, "precious")
	e := reserve(t, s, Request{Name: "db"})
	for _, name := range []string{"config.json", "config.json~", "exit"} {
		path := dir + "/rl-run/c/db/" + name
		_ = os.Remove(path)
		if err := os.Symlink(victim, path); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.WriteConfig(&Config{}); !errors.Is(err, unix.ELOOP) {
		t.Errorf("WriteConfig: %v", err)
	}
	if err := e.WriteConfig(&Config{}); err != nil { // what was in the way is gone
		t.Errorf("WriteConfig: %v", err)
	}
	if err := e.writeExit(Exit{}); !errors.Is(err, unix.ELOOP) {
		t.Errorf("writeExit: %v", err)
	}
	if err := e.Remove(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(victim); string(text) != "precious" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// An empty directory is what is left of an entry while it is deleted file by file.
func TestEmptyIsNone(t *testing.T) {
	s, dir := newStore(t)
	reserve(t, s, Request{Name: "other"})
	for range 2 {
		if err := os.Mkdir(dir+"/rl-run/c/db", 0o700); err != nil {
			t.Fatal(err)
		}
		isGone(t, s)
		if err := s.sweepAll(); err != nil {
			t.Error(err)
		}
		if names, err := s.Names(); len(names) != 1 || err != nil {
			t.Errorf("%v, %v", names, err)
		}
	}
	if err := os.Mkdir(dir+"/rl-run/c/db", 0o700); err != nil {
		t.Fatal(err)
	}
	reserve(t, s, Request{Name: "db"})
	is(t, s, "db", Created)
}

// What a launcher had made that was killed before its entry.
func TestEmptyDirectoriesGo(t *testing.T) {
	s, dir := newStore(t)
	for _, made := range []string{"/rl-run", "/rl-run/c"} {
		if err := os.MkdirAll(dir+made, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := s.sweepAll(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(dir + "/rl-run"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: it is left (%v)", made, err)
		}
	}
}

// An heir has to do with its own launcher alone: it does not wait for what is being done behind another one.
func TestInheritLeavesOthersAlone(t *testing.T) {
	s, dir := newStore(t)
	said, launchers := race(t, dir, []string{"mine", "others"})
	if said[0] != "reserved" || said[1] != "reserved" {
		t.Fatal(said)
	}
	others := dir + "/rl-run/c/others/" + cleanupFile
	put(t, others, "{}")
	busy, err := os.Open(others)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if err := unix.Flock(int(busy.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	mine, err := RefOf(launchers[0].Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range launchers {
		kill(t, l)
	}
	done := make(chan error)
	go func() { done <- s.Inherit(fmt.Sprintf("%d.%d", mine.PID, mine.Start)) }()
	select {
	case err = <-done:
	case <-time.After(grace):
		t.Error("it waits for the other's")
		busy.Close()
		err = <-done
	}
	if err != nil {
		t.Error(err)
	}
	if names, err := s.Names(); err != nil || len(names) != 1 || names[0] != "others" {
		t.Errorf("%v, %v", names, err)
	}
	busy.Close()
	if err := s.sweepAll(); err != nil {
		t.Error(err)
	}
	if names, err := s.Names(); err != nil || len(names) != 0 {
		t.Errorf("%v, %v", names, err)
	}
}
