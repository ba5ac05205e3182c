package limits

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/trial"
)

// bomb goes on: a shell that cannot fork ends, which gives the others room.
const bomb = `f() { while :; do f & done; }; f 2>/dev/null & f 2>/dev/null & exec sleep 1000`

func TestPids(t *testing.T) {
	begin(t)
	if !enforced(t, "pids", "--pids-limit", "20") {
		return
	}
	start := func() time.Duration {
		began := time.Now()
		run(t, nil, "true").OK(t)
		return time.Since(began)
	}
	alone := start()
	detach(t, "bomb", []string{"--pids-limit", "20"}, "sh", "-c", bomb)
	dir := group(t, "bomb")
	until(t, "the limit is reached", 10*time.Second, func() bool { return number(t, filepath.Join(dir, "pids.events"), "max ") > 0 })
	for range 20 {
		if n := number(t, filepath.Join(dir, "pids.current"), ""); n > 20 {
			t.Errorf("%d processes, the limit is 20", n)
		}
		time.Sleep(20 * time.Millisecond)
	}

	// The machine is not the bomb's.
	beside := start()
	if beside > max(5*time.Second, 5*alone) {
		t.Errorf("beside the bomb a start takes %v, without it %v", beside, alone)
	}
	began := time.Now()
	rl(t, "rl-stop", "-t", "2", "bomb").OK(t)
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("rl-stop takes %v", d)
	} else {
		t.Logf("a start takes %v, beside the bomb %v; rl-stop %v", alone, beside, d)
	}
	gone(t, dir)
}

// SIGKILL of rl-run ends the container, and what systemd made for it.
func TestKilled(t *testing.T) {
	begin(t)
	if !enforced(t, "pids", "--pids-limit", "20") {
		return
	}
	for range 5 {
		r := start(t, "--pids-limit", "20")
		until(t, "it is listed", 5*time.Second, func() bool { return rl(t, "rl-inspect", "victim").Code == 0 })
		dir := group(t, "victim")
		r.Signal(9)
		r.Wait()
		gone(t, dir)
		rl(t, "rl-rm", "-f", "victim") // what tells of it, if anything is left
	}
}

// SIGKILL at any moment, also while systemd is at work: begin looks for what is left.
func TestKilledEarly(t *testing.T) {
	begin(t)
	if !enforced(t, "pids", "--pids-limit", "20") {
		return
	}
	began := time.Now()
	run(t, []string{"--pids-limit", "20"}, "true").OK(t)
	whole := time.Since(began)
	const kills = 20
	for i := range kills {
		options := []string{"--net=none", "--pids-limit", "20"}
		if i%2 == 1 {
			options = append(options, "-d", "--read-only", "--name", "early")
		}
		r := trial.Command{Args: append(options, trial.Tree(t, "busybox"), "sleep", "1000")}.Start(t)
		time.Sleep(whole * time.Duration(i) / kills)
		r.Signal(9)
		r.Wait()
		rl(t, "rl-rm", "-f", "early").OK(t)
	}
	rl(t, "rl-ps").OK(t) // which tidies up after launchers that were killed
}
