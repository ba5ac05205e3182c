package limits

import (
	"strconv"
	"strings"
	"testing"
)

// The script is busy for some seconds and tells the processor time that its group
// used in the meantime, and how long that was, both in microseconds.
const busy = `
	used() { while read -r key value; do [ $key != usage_usec ] || echo $value; done </sys/fs/cgroup/cpu.stat; }
	now() { read -r s _ </proc/uptime; echo ${s%.*}${s#*.}0000; }
	sleep 0.3
	u=$(used) n=$(now)
	timeout 8 sh -c 'while :; do :; done' & timeout 8 sh -c 'while :; do :; done' & wait
	echo $(($(used) - u)) $(($(now) - n))`

func TestCPUs(t *testing.T) {
	begin(t)
	if !enforced(t, "cpu", "--cpus", "0.5") {
		return
	}
	var used, time float64
	f := strings.Fields(run(t, []string{"--cpus", "0.5"}, "sh", "-c", busy).OK(t))
	for i, to := range []*float64{&used, &time} {
		n, err := strconv.Atoi(f[i])
		if err != nil {
			t.Fatal(err)
		}
		*to = float64(n)
	}
	t.Logf("%.3f processors of 0.5", used/time)
	if share := used / time; share < 0.45 || share > 0.55 {
		t.Errorf("%.3f processors, want 0.5 within 10 %%", share)
	}
}

func TestCPUWeight(t *testing.T) {
	begin(t)
	if enforced(t, "cpu", "--cpu-weight", "10") {
		if out := run(t, []string{"--cpu-weight", "10"}, "cat", "/sys/fs/cgroup/cpu.weight").OK(t); out != "10" {
			t.Errorf("cpu.weight is %q", out)
		}
	}
}

func TestCPUSet(t *testing.T) {
	begin(t)
	if enforced(t, "cpuset", "--cpuset-cpus", "0") {
		if out := run(t, []string{"--cpuset-cpus", "0"}, "grep", "Cpus_allowed_list", "/proc/self/status").OK(t); !strings.HasSuffix(out, "\t0") {
			t.Errorf("%q, want 0", out)
		}
		run(t, []string{"--cpuset-cpus", "0,8000"}, "true").Fails(t, 125, "enforce --cpuset-cpus 0,8000: there are the processors ")
	}
}
