package cgroup_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/cgroup"
)

// wanted are limits of the controllers that systemd delegates to users by itself.
var wanted = cgroup.Limits{Memory: 64 << 20, CPUs: 500_000, CPUWeight: 50, Pids: 20}

// placement compiles limits for this machine, or tells that it refuses them: a
// refusal that says nothing fails the test.
func placement(t *testing.T, l cgroup.Limits) *cgroup.Placement {
	t.Helper()
	h := cgroup.Probe(&l, os.Getenv)
	p, _, err := cgroup.Compile(&l, &h, "test-"+strings.ToLower(t.Name()), cgroup.Require)
	var r *cgroup.Refusal
	switch {
	case err == nil:
		return p
	case !errors.As(err, &r) || r.Cause == "" || r.Hint == "":
		t.Fatalf("%v (%+v)", err, h)
	case os.Getenv("RLRUN_DELEGATED") != "":
		t.Fatalf("refused, though RLRUN_DELEGATED is set: %v", err)
	}
	t.Logf("nothing is delegated here: %v; %s", err, r.Hint)
	return nil
}

// process starts one that waits to be killed.
func process(t *testing.T) *exec.Cmd {
	t.Helper()
	c := exec.Command("sleep", "600")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c
}

func end(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
}

func TestApply(t *testing.T) {
	p := placement(t, wanted)
	if p == nil {
		return
	}
	init, parent, joined := process(t), process(t), process(t)
	began := time.Now()
	g, notes, err := p.Apply(init.Process.Pid, parent.Process.Pid)
	if err != nil || len(notes) != 0 {
		t.Fatal(err, notes)
	}
	t.Logf("applied by way of a %s in %v: %s", g.Way, time.Since(began), g.Dir)
	for file, want := range map[string]string{
		"memory.max": "67108864", "cpu.max": "50000 100000", "cpu.weight": "50", "pids.max": "20", "memory.oom.group": "1",
	} {
		b, err := os.ReadFile(filepath.Join(g.Dir, file))
		if err != nil || strings.TrimSpace(string(b)) != want {
			t.Errorf("%s: %q, want %q (%v)", file, b, want, err)
		}
	}
	began = time.Now()
	if err := g.Join(joined.Process.Pid); err != nil {
		t.Fatal(err)
	}
	t.Logf("joined in %v", time.Since(began))
	if b, err := os.ReadFile(filepath.Join(g.Dir, "cgroup.procs")); err != nil || len(strings.Fields(string(b))) != 2 {
		t.Errorf("processes %q, want two (%v)", b, err)
	}
	if err := g.Remove(); err == nil {
		t.Error("a group with processes was removed")
	}

	end(t, init)
	end(t, joined)
	if _, err := g.Events(); err != nil {
		t.Error(err)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
	end(t, parent)
	outer := g.Dir
	if g.Way == cgroup.Scope {
		outer = filepath.Dir(g.Dir)
	}
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(outer); errors.Is(err, os.ErrNotExist) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is left", outer)
		}
	}
}

// A name may be used again at once.
func TestApplyAgain(t *testing.T) {
	p := placement(t, cgroup.Limits{Pids: 20})
	if p == nil {
		return
	}
	for range 5 {
		init, parent := process(t), process(t)
		g, _, err := p.Apply(init.Process.Pid, parent.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		end(t, init)
		_ = g.Remove()
		end(t, parent)
	}
}

// A start that was given up is made again by the same parent, whose child init is.
func TestApplyOnceMore(t *testing.T) {
	p := placement(t, wanted)
	if p == nil {
		return
	}
	parent := exec.Command("sh", "-c", "while read -r _; do sleep 600 & echo $!; done")
	in, errIn := parent.StdinPipe()
	out, errOut := parent.StdoutPipe()
	if err := errors.Join(errIn, errOut, parent.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = parent.Process.Kill(); _ = parent.Wait() })
	lines := bufio.NewScanner(out)
	for range 3 {
		if _, err := io.WriteString(in, "\n"); err != nil || !lines.Scan() {
			t.Fatal(err, lines.Err())
		}
		init, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		g, _, err := p.Apply(init, parent.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("applied in %v", time.Since(began))
		if procs, err := os.ReadFile(filepath.Join(g.Dir, "cgroup.procs")); err != nil || strings.TrimSpace(string(procs)) != lines.Text() {
			t.Errorf("processes %q, want %s (%v)", procs, lines.Text(), err)
		}
		if err := unix.Kill(init, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
}
