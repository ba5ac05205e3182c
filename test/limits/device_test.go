package limits

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// disk returns a directory that is on a block device, and the device.
func disk(t *testing.T) (dir, device string) {
	t.Helper()
	if dir = os.Getenv("RLRUN_DISK"); dir == "" {
		dir = "/"
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	longest := ""
	for line := range strings.Lines(string(text)) {
		before, after, _ := strings.Cut(line, " - ")
		target, source := strings.Fields(before)[4], strings.Fields(after)[1]
		rel, err := filepath.Rel(target, dir)
		if err == nil && filepath.IsLocal(rel) && len(target) >= len(longest) {
			longest, device = target, source
		}
	}
	return dir, device
}

func TestDeviceRates(t *testing.T) {
	begin(t)
	dir, device := disk(t)
	if st, err := os.Stat(device); err != nil || st.Mode()&os.ModeDevice == 0 {
		trial.Skip(t, "the test needs a directory on a disk, and %s is on %s (RLRUN_DISK names another)", dir, device)
	}
	if !enforced(t, "io", "--device-write-bps", device+":1m") {
		return
	}
	if os.Getenv("RLRUN_DISK") == "" {
		trial.Skip(t, "the test needs a directory of the user's on a disk, which RLRUN_DISK names")
	}
	write := func(options ...string) time.Duration {
		t.Helper()
		began := time.Now()
		run(t, append([]string{"-v", dir + ":/disk"}, options...),
			"dd", "if=/dev/zero", "of=/disk/written", "bs=256k", "count=16", "oflag=direct").OK(t)
		return time.Since(began)
	}
	t.Cleanup(func() { _ = os.Remove(filepath.Join(dir, "written")) })
	free := write()
	slow := write("--device-write-bps", device+":1m")
	fewer := write("--device-write-iops", device+":4")
	t.Logf("4 MiB take %v, at 1 MiB a second %v; 16 writes at 4 a second %v", free, slow, fewer)
	for _, d := range []time.Duration{slow, fewer} {
		if d-free < 2*time.Second || d-free > 8*time.Second {
			t.Errorf("%v more than without a limit, want about 4 s", d-free)
		}
	}
	run(t, []string{"--device-write-bps", "/dev/null:1m"}, "true").
		Fails(t, 125, "enforce --device-write-bps /dev/null:1m: not a block device")
}

func TestBlkioWeight(t *testing.T) {
	begin(t)
	if enforced(t, "io", "--blkio-weight", "500") {
		if out := run(t, []string{"--blkio-weight", "500"}, "cat", "/sys/fs/cgroup/io.weight").OK(t); out != "default 4950" {
			t.Errorf("io.weight is %q", out)
		}
	}
}

// Nothing of systemd answers: then nothing is delegated, whatever the machine has.
func TestRefusedWithoutDelegation(t *testing.T) {
	trial.NeedUser(t)
	leak.Watch(t)
	for _, c := range []struct{ flag, value, controller string }{
		{"--memory", "50m", "memory"},
		{"--cpus", "0.5", "cpu"},
		{"--cpu-weight", "10", "cpu"},
		{"--cpuset-cpus", "0", "cpuset"},
		{"--pids-limit", "20", "pids"},
		{"--blkio-weight", "500", "io"},
	} {
		r := trial.Command{
			Args: []string{"--net=none", c.flag, c.value, trial.Tree(t, "busybox"), "echo", "ran"},
			Env:  []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere"},
		}.Run(t)
		r.Fails(t, 125, "rl-run: error: enforce "+c.flag+" "+c.value+": ", "the "+c.controller+" controller", "rl-run: hint: ")
		lacks(t, r.Stdout, "ran")
	}
}
