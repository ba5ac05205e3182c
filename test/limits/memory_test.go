package limits

import (
	"strings"
	"testing"
	"time"
)

// allocate is a command that takes 200 MB at once: a buffer that is read into.
var allocate = []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"}

func TestMemory(t *testing.T) {
	begin(t)
	run(t, nil, allocate...).OK(t)
	if !enforced(t, "memory", "--memory", "50m") {
		return
	}
	r := run(t, []string{"--memory", "50m"}, allocate...)
	r.Fails(t, 137, "out of memory (--memory 50m)")
	r = run(t, []string{"--memory", "500m"}, allocate...)
	r.OK(t)
	lacks(t, r.Stderr, "out of memory")
	// All of a container dies, not what the kernel thinks is the worst of it.
	r = run(t, []string{"-m", "50m"}, "sh", "-c", strings.Join(allocate, " ")+"; echo survived")
	r.Fails(t, 137, "out of memory")
	lacks(t, r.Stdout, "survived")
}

func TestMemoryDetached(t *testing.T) {
	begin(t)
	if !enforced(t, "memory", "--memory", "50m") {
		return
	}
	detach(t, "hungry", []string{"--memory", "50m"}, "sh", "-c", "sleep 2; exec "+strings.Join(allocate, " "))
	if s := inspect(t, "hungry", "Limits"); !strings.Contains(s, "memory:50m") {
		t.Errorf("Limits is %s", s)
	}
	dir := group(t, "hungry")
	if out := rl(t, "rl-wait", "hungry").OK(t); out != "137" {
		t.Errorf("rl-wait says %q", out)
	}
	if s := inspect(t, "hungry", "OOMKilled"); s != "true" {
		t.Errorf("OOMKilled is %s", s)
	}
	gone(t, dir)
}

// The values are what is written to the group, and what the container sees of it.
func TestMemoryAndSwap(t *testing.T) {
	begin(t)
	if !enforced(t, "memory", "--memory", "50m", "--memory-swap", "60m") {
		return
	}
	for _, c := range []struct{ swap, want string }{
		{"60m", "10485760"}, {"50m", "0"}, {"-1", "max"}, {"", "52428800"},
	} {
		options := []string{"--memory", "50m"}
		if c.swap != "" {
			options = append(options, "--memory-swap", c.swap)
		}
		out := run(t, options, "cat", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.swap.max", "/sys/fs/cgroup/memory.oom.group").OK(t)
		if want := "52428800\n" + c.want + "\n1"; out != want {
			t.Errorf("--memory-swap %q: %q, want %q", c.swap, out, want)
		}
	}
}

// A group namespace begins at the container's group, whose limits it cannot lift.
func TestLimitsCannotBeLifted(t *testing.T) {
	begin(t)
	if !enforced(t, "memory", "--memory", "50m") {
		return
	}
	r := run(t, []string{"--memory", "50m", "--cap-add=ALL", "--security-opt=seccomp=unconfined"}, "sh", "-c", `
		cat /proc/self/cgroup
		mount -o remount,rw /sys/fs/cgroup 2>/dev/null || { mkdir -p /tmp/g && mount -t cgroup2 none /tmp/g && cd /tmp/g; } || exit 0
		[ -e memory.max ] || cd /sys/fs/cgroup
		echo max >memory.max && echo lifted
		cat memory.max`)
	if !strings.HasPrefix(r.Stdout, "0::/\n") {
		t.Errorf("the container's group is not the root of its namespace: %q", r.Stdout)
	}
	lacks(t, r.Stdout, "lifted")
	lacks(t, r.Stdout, "max\n")
}

// What joins a container is limited with it.
func TestExecIsLimited(t *testing.T) {
	begin(t)
	if !enforced(t, "memory", "--memory", "50m") {
		return
	}
	detach(t, "joined", []string{"--memory", "50m"}, "sleep", "1000")
	dir := group(t, "joined")
	if out := rl(t, "rl-exec", "joined", "cat", "/proc/self/cgroup").OK(t); out != "0::/" {
		t.Errorf("rl-exec is in %q", out)
	}
	if r := rl(t, "rl-exec", append([]string{"joined"}, allocate...)...); r.Code != 137 {
		t.Errorf("rl-exec: exit code %d, want 137: %s", r.Code, r.Stderr)
	}
	until(t, "the container has ended", 5*time.Second, func() bool { return inspect(t, "joined", "State") != "running" })
	if s := inspect(t, "joined", "OOMKilled"); s != "true" {
		t.Errorf("OOMKilled is %s", s)
	}
	gone(t, dir)
}
