package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestReadBack(t *testing.T) {
	for _, c := range []struct {
		file, value, text string
		want              bool
	}{
		{"memory.max", "4096", "4096\n", true},
		{"memory.max", "4096", "max\n", false},
		{"cpu.max", "50000 100000", "50000 100000\n", true},
		{"cpuset.cpus", "0-1", "0\n", false},
		{"io.max", "8:0 wbps=5", "8:16 rbps=max wbps=5\n8:0 rbps=max wbps=5 riops=max wiops=max\n", true},
		{"io.max", "8:0 wbps=5", "8:16 rbps=max wbps=5\n", false},
		{"io.max", "8:0 wbps=5", "8:0 rbps=max wbps=50\n", false},
		{"io.max", "8:0 wbps=5", "", false},
		{"io.weight", "default 50", "default 50\n8:0 100\n", true},
		{"io.weight", "default 50", "default 100\n8:0 50\n", false},
	} {
		s := Setting{File: c.file, Value: c.value}
		if _, ok := s.readBack(c.text); ok != c.want {
			t.Errorf("%s: %q in %q: got %v, want %v", c.file, c.value, c.text, ok, c.want)
		}
	}
}

func TestEvents(t *testing.T) {
	dir := t.TempDir()
	g := Group{Way: Delegee, Dir: dir}
	if e, err := g.Events(); err != nil || e != (Events{}) {
		t.Errorf("no controller: got %+v (%v)", e, err)
	}
	memory := "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n"
	for file, text := range map[string]string{"memory.events": memory, "pids.events": "max 7\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if e, err := g.Events(); err != nil || e != (Events{OOMKills: 2, MemoryMax: 12, PidsMax: 7}) {
		t.Errorf("got %+v (%v)", e, err)
	}
	if e := ParseEvents(memory); e != (Events{OOMKills: 2, MemoryMax: 12}) {
		t.Errorf("got %+v", e)
	}
	g.Dir += "/gone"
	if _, err := g.Events(); err == nil {
		t.Error("a group that is gone has counters")
	}
	if _, err := (&Group{}).Events(); err != nil {
		t.Error(err)
	}
}

// A launcher that lives may still want its group, even an empty one.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	gone := 1 << 22 // above all pids
	for name, stays := range map[string]bool{
		"rl-run-a." + strconv.Itoa(os.Getpid()): true,
		"rl-run-b." + strconv.Itoa(gone):        false,
		"rl-run-c.d":                            true,
		"other." + strconv.Itoa(gone):           true,
	} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		Sweep(dir)
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: stays %v, want %v", name, err == nil, stays)
		}
	}
	Sweep(filepath.Join(dir, "none"))
}

func TestNoGroup(t *testing.T) {
	var g Group
	if err := g.Join(os.Getpid()); err != nil {
		t.Error(err)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
}
