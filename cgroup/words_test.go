package cgroup

import (
	"maps"
	"os"
	"testing"
)

func TestAsked(t *testing.T) {
	l := Limits{
		Memory: 50 << 20, MemorySwap: -1, CPUs: 500_000, CPUSet: Set{{0, 1}}, Pids: 20, BlkioWeight: 100, CPUWeight: 7,
		Devices: []DeviceLimit{{"/dev/a", WriteBPS, 1 << 20}, {"/dev/b", WriteBPS, 5}, {"/dev/a", ReadIOPS, 7}},
	}
	want := map[string]string{
		"memory": "50m", "memory-swap": "-1", "cpus": "0.5", "cpuset-cpus": "0-1", "pids-limit": "20", "blkio-weight": "100",
		"cpu-weight": "7", "device-write-bps": "/dev/a:1m /dev/b:5", "device-read-iops": "/dev/a:7",
	}
	if got := l.Asked(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLimitsOfAGroup(t *testing.T) {
	g := Group{Way: Scope, Mount: "/sys/fs/cgroup", Dir: "/sys/fs/cgroup/a.scope/container", Applied: []Setting{
		{Limit: "--memory 50m", File: "memory.max"}, {Limit: "--memory 50m", File: "memory.oom.group", Derived: true},
	}}
	if got := g.Limits(); !maps.Equal(got, map[string]string{"memory": "50m"}) {
		t.Errorf("got %v", got)
	}
	if p := g.Path(); p != "/a.scope/container" {
		t.Error(p)
	}
	for _, c := range []struct {
		e    Events
		want string
	}{
		{Events{MemoryMax: 3}, ""},
		{Events{OOMKills: 1, MemoryMax: 3}, "out of memory (--memory 50m): the kernel killed a process"},
		{Events{OOMKills: 2}, "out of memory: the kernel killed 2 processes"},
	} {
		if got := g.OutOfMemory(c.e); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.e, got, c.want)
		}
	}
	if p := (&Group{}).Path(); p != "" {
		t.Error(p)
	}
}

func TestOpen(t *testing.T) {
	for path, want := range map[string]Way{"": "", "/x/rl-run-a.scope/container": Scope, "/x/rl-run-a.7": Delegee, "/x/container": Delegee} {
		g, err := Open(path, os.Getenv)
		if err != nil {
			t.Logf("no version 2 here: %v", err)
			continue
		}
		if g.Way != want || g.Path() != path || want == Scope && g.Unit != "rl-run-a.scope" {
			t.Errorf("%q: got %+v", path, g)
		}
	}
}
