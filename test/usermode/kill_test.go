package usermode

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// connects counts how often the other machine has answered. A connection that is there when the driver dies waits for ever.
const connects = `exec 2>/dev/null; mkfifo /tmp/open; exec 3<>/tmp/open; i=0; while :; do
	[ "$(timeout 1 nc -w 1 ` + beyond4 + ` 80 <&3 2>/dev/null)" ] && echo "answer $((i += 1)) of beyond"
	sleep .05
done`

// A driver or a guard that is killed, at any moment of a start or after it, ends nothing but itself: either the start says in one
// line that it has failed, or the container runs. A driver that is killed is started again, and the network is there again.
func TestKilledAtRandom(t *testing.T) {
	begin(t)
	beyond(t)
	tree := trial.Tree(t, "busybox")
	members := []struct {
		name, comm string
		again      bool // by its guard
		kind       string
		n          int
	}{
		{"slirp4netns", "slirp4netns", true, "slirp4netns", 15},
		{"pasta", "pasta", true, "pasta", 15},
		{"guard", "rl-guard", false, "slirp4netns", 30},
	}
	for _, m := range members {
		t.Run(m.name, func(t *testing.T) {
			leak.Watch(t)
			args := []string{"--userns=single", "--net=" + m.kind, tree, "sh", "-c", connects}
			window, early := leak.Slow(100*time.Millisecond), 0 // in which a start is done on an idle machine
			for i := range trial.Mass(m.n) {
				c := trial.Command{Args: args}.Start(t)
				time.Sleep(rand.N(window))
				at := killOne(t, m.comm)
				answered := strings.Count(c.Stdout(""), "beyond\n")
				if failed(c) {
					early++
					if r := c.Wait(); r.Code != 125 || strings.Count(r.Stderr, "\n") != 1 || !strings.HasPrefix(r.Stderr, "rl-run: error: ") {
						t.Errorf("kill %d: exit %d, %q, %q", i, r.Code, r.Stdout, r.Stderr)
					}
					continue
				}
				if m.again {
					c.Stdout(fmt.Sprintf("answer %d of beyond\n", answered+2))
				} else {
					eventually(t, "the driver ends with its guard", func() bool { return len(drivers(t)) == 0 })
				}
				c.Signal(unix.SIGKILL)
				if r := c.Wait(); r.Code != -int(unix.SIGKILL) || r.Stderr != "" {
					t.Errorf("kill %d, of process %d: exit %d, %q", i, at, r.Code, r.Stderr)
				}
				eventually(t, "all ends with the container", func() bool { return len(drivers(t))+len(named(t, "rl-guard")) == 0 })
			}
			t.Logf("%d kills, %d of them ended a start", trial.Mass(m.n), early)
		})
	}
}

// failed waits until a container runs, or its start has failed, and says which.
func failed(c *trial.Running) bool {
	for end := time.Now().Add(trial.Timeout); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Pid)); len(comm) == 0 || strings.Contains(string(comm), ") Z ") {
			return true
		}
		kids, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", c.Pid))
		for kid := range strings.FieldsSeq(string(kids)) {
			if comm, _ := os.ReadFile("/proc/" + kid + "/comm"); string(comm) == "rl-init\n" {
				return false
			}
		}
	}
	return false
}

// killOne kills a process of this name as soon as there is one, and returns its pid.
func killOne(t *testing.T, comm string) int {
	t.Helper()
	for end := time.Now().Add(trial.Timeout); time.Now().Before(end); {
		for _, pid := range named(t, comm) {
			if unix.Kill(pid, unix.SIGKILL) == nil {
				return pid
			}
		}
	}
	t.Fatalf("no %s is there", comm)
	return 0
}
