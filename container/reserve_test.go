package container

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/runtimedir"
)

// newStore has a runtime directory of its own.
func newStore(t *testing.T) (*Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return Open(runtimedir.New(dir, os.Getuid())), dir
}

func reserve(t *testing.T, s *Store, r Request) *Entry {
	t.Helper()
	e, err := s.Reserve(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// launched starts a launcher that waits for gate to be closed.
func launched(t *testing.T, dir, what string, gate *os.File) *exec.Cmd {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), "RLRUN_TEST_LAUNCHER="+what, "XDG_RUNTIME_DIR="+dir)
	c.Stdin = gate
	t.Cleanup(func() {
		if c.Process != nil && c.ProcessState == nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	})
	return c
}

// race starts launchers with these names at once, and returns what each of them says first.
func race(t *testing.T, dir string, names []string) (said []string, launchers []*exec.Cmd) {
	t.Helper()
	gate, open, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	said = make([]string, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		c := launched(t, dir, "reserve "+name, gate)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		launchers = append(launchers, c)
		group.Go(func() {
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				line = err.Error()
			}
			said[i] = strings.TrimSuffix(line, "\n")
		})
	}
	_ = gate.Close()
	_ = open.Close()
	group.Wait()
	return said, launchers
}

func end(t *testing.T, launchers []*exec.Cmd) {
	t.Helper()
	for _, c := range launchers {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}

func TestOfMany(t *testing.T) {
	s, dir := newStore(t)
	names := make([]string, 100)
	for i := range names {
		names[i] = "db"
	}
	// The second round takes over from a launcher that was killed.
	for round := range 3 {
		said, launchers := race(t, dir, names)
		won := 0
		for _, line := range said {
			switch line {
			case "reserved":
				won++
			case `name "db" is in use by a container that is being started`:
			default:
				t.Errorf("round %d: %s", round, line)
			}
		}
		if won != 1 {
			t.Errorf("round %d: %d of %d got the name", round, won, len(names))
		}
		end(t, launchers)
	}
	if err := s.Each(func(e *Entry) error { return fmt.Errorf("%s is left: %s", e.Name, e.Status) }); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir + "/rl-run"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
}

func TestAllDistinct(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts 500 processes")
	}
	s, dir := newStore(t)
	names := make([]string, 500)
	for i := range names {
		if i%2 == 0 {
			names[i] = fmt.Sprintf("c%d", i)
		} // the others are given names
	}
	said, launchers := race(t, dir, names)
	for i, line := range said {
		if line != "reserved" {
			t.Errorf("%q: %s", names[i], line)
		}
	}
	all, err := s.Names()
	if err != nil || len(all) != len(names) {
		t.Errorf("%d names, %v", len(all), err)
	}
	begin := time.Now()
	n := 0
	if err := s.Each(func(*Entry) error { n++; return nil }); err != nil || n != len(names) {
		t.Errorf("%d entries, %v", n, err)
	}
	t.Logf("a look at %d containers took %v", n, time.Since(begin))
	end(t, launchers)
	if err := s.Each(func(e *Entry) error { return fmt.Errorf("%s is left", e.Name) }); err != nil {
		t.Error(err)
	}
}

// Whenever a launcher is killed, the name can be taken at once.
func TestKilledAtAnyMoment(t *testing.T) {
	s, dir := newStore(t)
	kills := 200
	if testing.Short() {
		kills = 20
	}
	for i := range kills {
		gate, open, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c := launched(t, dir, "churn db", gate)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		_ = gate.Close()
		_ = open.Close()
		time.Sleep(time.Duration(rand.IntN(12)) * time.Millisecond)
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		e, err := s.Reserve(Request{Name: "db", Detached: true})
		var used *InUseError
		if errors.As(err, &used) && used.Status == Exited {
			e, err = s.Find("db") // killed between writeExit and Remove: that is what -d keeps
		}
		if err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
		if err := e.Remove(); err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
		e.Close()
	}
	_ = s.sweepAll()
	if left, err := filepath.Glob(dir + "/rl-run/*/.*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func (s *Store) sweepAll() error { return s.Each(func(*Entry) error { return nil }) }
