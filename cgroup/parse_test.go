package cgroup

import (
	"slices"
	"strings"
	"testing"
)

func TestSet(t *testing.T) {
	for _, c := range []struct {
		flag, value string
		want        int64 // -2 for an error
		get         func(*Limits) int64
	}{
		{"memory", "50m", 50 << 20, func(l *Limits) int64 { return l.Memory }},
		{"memory", "1.5g", 3 << 29, func(l *Limits) int64 { return l.Memory }},
		{"memory", "1048576", 1 << 20, func(l *Limits) int64 { return l.Memory }},
		{"memory", "64MiB", 64 << 20, func(l *Limits) int64 { return l.Memory }},
		{"memory", "64Mb", 64 << 20, func(l *Limits) int64 { return l.Memory }},
		{"memory", "0", 0, func(l *Limits) int64 { return l.Memory }},
		{"memory", "1023k", -2, nil},
		{"memory", "-1", -2, nil},
		{"memory", "", -2, nil},
		{"memory", "m", -2, nil},
		{"memory", "50x", -2, nil},
		{"memory", "50mm", -2, nil},
		{"memory", "5.m", -2, nil},
		{"memory", ".5g", -2, nil},
		{"memory", "1e9", -2, nil},
		{"memory", "+5m", -2, nil},
		{"memory", "8192p", -2, nil},
		{"memory", "9223372036854775808", -2, nil},
		{"memory-swap", "-1", Unlimited, func(l *Limits) int64 { return l.MemorySwap }},
		{"memory-swap", "100m", 100 << 20, func(l *Limits) int64 { return l.MemorySwap }},
		{"memory-swap", "-2", -2, nil},
		{"cpus", "0.5", 500_000, func(l *Limits) int64 { return l.CPUs }},
		{"cpus", "2", 2_000_000, func(l *Limits) int64 { return l.CPUs }},
		{"cpus", "1.25", 1_250_000, func(l *Limits) int64 { return l.CPUs }},
		{"cpus", "0.01", 10_000, func(l *Limits) int64 { return l.CPUs }},
		{"cpus", "0.009", -2, nil},
		{"cpus", "0.000001", -2, nil},
		{"cpus", "8193", -2, nil},
		{"cpus", "-1", -2, nil},
		{"cpus", "NaN", -2, nil},
		{"cpus", "1,5", -2, nil},
		{"cpu-weight", "10000", 10000, func(l *Limits) int64 { return l.CPUWeight }},
		{"cpu-weight", "10001", -2, nil},
		{"cpu-weight", "+1", -2, nil},
		{"pids-limit", "20", 20, func(l *Limits) int64 { return l.Pids }},
		{"pids-limit", "-1", Unlimited, func(l *Limits) int64 { return l.Pids }},
		{"pids-limit", "4194305", -2, nil},
		{"pids-limit", "many", -2, nil},
		{"blkio-weight", "10", 10, func(l *Limits) int64 { return l.BlkioWeight }},
		{"blkio-weight", "9", -2, nil},
		{"blkio-weight", "1001", -2, nil},
		{"device-write-bps", "/dev/sda:1mb", 1 << 20, func(l *Limits) int64 { return l.Devices[0].Max }},
		{"device-read-bps", "/dev/disk/by-path/pci-0000:00:1f:512k", 512 << 10, func(l *Limits) int64 { return l.Devices[0].Max }},
		{"device-write-iops", "/dev/sda:1000", 1000, func(l *Limits) int64 { return l.Devices[0].Max }},
		{"device-write-bps", "/dev/sda", -2, nil},
		{"device-write-bps", "sda:1m", -2, nil},
		{"device-write-bps", "/dev/sda:0", -2, nil},
		{"device-write-bps", "/dev/sd\na:1", -2, nil},
		{"device-read-iops", "/dev/sda:1m", -2, nil},
		{"device-read-iops", "/dev/sda:4294967296", -2, nil},
		{"cpuset-cpus", "3-1", -2, nil},
		{"cpuset-cpus", "", -2, nil},
		{"cpuset-cpus", "0,", -2, nil},
		{"cpuset-cpus", "8192", -2, nil},
		{"cpuset-cpus", "0-", -2, nil},
		{"memory-max", "1", -2, nil},
	} {
		var l Limits
		err := l.Set(c.flag, c.value)
		switch {
		case c.want == -2:
			if err == nil || !strings.HasPrefix(err.Error(), "--"+c.flag) || strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("--%s %q: got %v, want an error in a line that begins with the flag", c.flag, c.value, err)
			}
		case err != nil:
			t.Error(err)
		case c.get(&l) != c.want:
			t.Errorf("--%s %q: got %d, want %d", c.flag, c.value, c.get(&l), c.want)
		}
	}
}

func TestEachFlagCanBeSet(t *testing.T) {
	values := []string{"50m", "100m", "1", "50", "0", "20", "100", "/dev/a:1m", "/dev/b:1m", "/dev/c:1", "/dev/d:1"}
	var l Limits
	if !l.IsZero() {
		t.Error("nothing is limited, and IsZero is false")
	}
	for i, f := range Flags {
		if err := l.Set(f, values[i]); err != nil {
			t.Error(err)
		}
	}
	if err := l.Check(); err != nil {
		t.Error(err)
	}
	if len(l.Devices) != 4 || l.IsZero() {
		t.Errorf("got %+v", l)
	}
}

func TestParseSet(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "0-1,3": "0-1,3", "3,0-1": "0-1,3", "0,1,2": "0-2", "1-3,2-5": "1-5", "7,7": "7", "0-8191": "0-8191",
	} {
		s, err := ParseSet(in)
		if err != nil || s.String() != want {
			t.Errorf("%q: got %q, want %q (%v)", in, s, want, err)
		}
	}
	a, b := Set{{0, 3}, {8, 9}}, Set{{1, 2}, {9, 9}}
	if !a.Contains(b) || b.Contains(a) || a.Contains(Set{{3, 8}}) {
		t.Error("Contains is wrong")
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		l    Limits
		want string
	}{
		{Limits{MemorySwap: 1 << 30}, "needs --memory"},
		{Limits{Memory: 2 << 30, MemorySwap: 1 << 30}, "expected 2g"},
		{Limits{Memory: 1 << 30, MemorySwap: 1 << 30}, ""},
		{Limits{Memory: 1 << 30, MemorySwap: Unlimited}, ""},
		{Limits{MemorySwap: Unlimited}, ""},
	} {
		err := c.l.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v, want %q", c.l, err, c.want)
		}
	}
}

// What a message shows can be given again, and means the same.
func FuzzSet(f *testing.F) {
	for _, s := range []string{"50m", "1.5g", "-1", "0.5", "0-1,3", "/dev/sda:1mb", "100", "9223372036854775807", "0.00001"} {
		for i := range Flags {
			f.Add(i, s)
		}
	}
	f.Fuzz(func(t *testing.T, i int, value string) {
		if i < 0 || i >= len(Flags) {
			return
		}
		var l, again Limits
		if err := l.Set(Flags[i], value); err != nil {
			if !strings.Contains(err.Error(), Flags[i]) || strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("%q", err)
			}
			return
		}
		text := map[string]string{
			"memory": formatSize(l.Memory), "memory-swap": formatSize(l.MemorySwap), "cpus": formatCPUs(l.CPUs),
			"cpuset-cpus": l.CPUSet.String(),
		}[Flags[i]]
		if len(l.Devices) == 1 {
			_, text, _ = strings.Cut(l.Devices[0].String(), " ")
		}
		if text == "" {
			return
		}
		if err := again.Set(Flags[i], text); err != nil {
			t.Fatalf("%q became %q: %v", value, text, err)
		}
		if l.Memory != again.Memory || l.MemorySwap != again.MemorySwap || l.CPUs != again.CPUs ||
			!slices.Equal(l.CPUSet, again.CPUSet) || !slices.Equal(l.Devices, again.Devices) {
			t.Errorf("%q became %q: %+v and %+v", value, text, l, again)
		}
	})
}
