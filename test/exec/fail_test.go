package exec

import (
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// What fails behind the start of a process that joins is told at once: nobody sits out the time for which an init stays for its command.
func TestFailsAtOnce(t *testing.T) {
	leak.Watch(t)
	tree := trial.Tree(t, "busybox")
	trial.Run(t, "-d", "--name", "owner", "--net=none", tree, "sleep", "1000").OK(t)
	defer trial.Command{Path: trial.Bin(t, "rl-rm"), Args: []string{"-f", "owner"}}.Run(t)
	for _, args := range [][]string{
		{"rl-exec", "owner", "nothing"},
		{"rl-exec", "-t", "owner", "nothing"},
		{"rl-exec", "-d", "owner", "nothing"},
		{"rl-exec", "-w", "/nothing", "owner", "true"},
		{"rl-exec", "-d", "-w", "/nothing", "owner", "true"},
		{"rl-run", "--pid=container:owner", "--net=none", tree, "nothing"},
		{"rl-run", "-t", "--pid=container:owner", "--net=none", tree, "nothing"},
		{"rl-run", "-d", "--pid=container:owner", "--net=none", tree, "nothing"},
		{"rl-run", "--pid=container:owner", "--net=none", "-v", "/etc:/proc/nothing", tree, "true"},
		{"rl-run", "-d", "--pid=container:owner", "--net=none", "-v", "/etc:/proc/nothing", tree, "true"},
	} {
		quickest := time.Hour // of three: the machine may be busy
		for n := 0; n < 3 && quickest > 400*time.Millisecond; n++ {
			began := time.Now()
			r := trial.Command{Path: trial.Bin(t, args[0]), Args: args[1:]}.Run(t)
			quickest = min(quickest, time.Since(began))
			if r.Code != 125 && r.Code != 127 {
				t.Errorf("%q: %d: %s", args, r.Code, r.Stderr)
			}
		}
		if quickest > 400*time.Millisecond {
			t.Errorf("%q: took %v", args, quickest)
		}
	}
}
