package kill

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// A start by memo has no -V to tell how far it has come: kills at any moment of it, and, two in five, of the time in which Go takes
// over from the memo.
func TestKilledMemoLeavesNothing(t *testing.T) {
	trial.NeedUser(t)
	tree := trial.Tree(t, "busybox")
	modes := []struct {
		name     string
		options  []string
		session  bool // while a network session runs
		commands bool // further commands of a container
	}{
		{name: "subordinate ids", options: []string{"--net=none", tree}},
		// Before Linux 6.6 a start is kept only if it leaves no layer on a disk.
		{name: "single id", options: []string{"--net=none", "--userns=single", "--read-only", tree}},
		{name: "in a session", options: []string{"--net=none", "--read-only", tree}, session: true},
		{name: "link to a session", options: []string{tree}, session: true},
		{name: "further command", options: []string{"killed"}, commands: true},
	}
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			leak.Watch(t)
			bin, memo := trial.Bin(t, "rl-run"), os.Getenv("XDG_RUNTIME_DIR")+"/rl-run/starts/*"
			var lasting []string
			if mode.session {
				trial.Command{Path: trial.Bin(t, "rl-net"), Args: []string{"start"}}.Run(t).OK(t)
				t.Cleanup(func() { trial.Command{Path: trial.Bin(t, "rl-net"), Args: []string{"stop"}}.Run(t).OK(t) })
			}
			if mode.commands {
				bin, memo = trial.Bin(t, "rl-exec"), os.Getenv("XDG_RUNTIME_DIR")+"/rl-run/c/killed/memo"
				trial.Run(t, "-d", "--name", "killed", "--net=none", tree, "sleep", "100000").OK(t)
				t.Cleanup(func() { trial.Command{Path: trial.Bin(t, "rl-rm"), Args: []string{"-f", "killed"}}.Run(t).OK(t) })
			}
			for _, p := range below(t) {
				of, _ := leak.NamespacesOf(p.PID) // gone or hidden: nothing lasts
				lasting = append(lasting, of...)
			}
			keepMemo(t, memo, bin, append(slices.Clone(mode.options), "/bin/true"))
			took := duration(t, bin, append(slices.Clone(mode.options), "/bin/true"))
			n := (kills(t, 500) + len(modes) - 1) / len(modes)
			for _, part := range []struct {
				after, window time.Duration
				n             int
			}{{0, took * 3 / 2, n - n*2/5}, {leak.Slow(40 * time.Millisecond), leak.Slow(50 * time.Millisecond), n * 2 / 5}} {
				o := launcher{
					path: bin,
					args: func(mark string) []string {
						return slices.Concat(mode.options, []string{"/bin/sh", "-c", script, mark})
					},
					after:   part.after,
					window:  part.window,
					lasting: lasting,
				}.run(t, part.n, leak.Patience)
				t.Logf("%d kills within %v behind %v of a start of %v; the last was gone after %v", o.kills, part.window, part.after, took, o.slowest.Round(time.Millisecond))
				if len(o.left) > 0 {
					t.Errorf("%d of %d kills left something behind: %v", len(o.left), o.kills, o.left[0])
				}
			}
			if mode.commands {
				alone(t, "killed")
			}
			if kept, _ := filepath.Glob(memo); len(kept) == 0 {
				t.Error("no memo is left")
			}
		})
	}
}

// keepMemo runs a program until there is a memo of the call, in a file of that pattern.
func keepMemo(t *testing.T, memo, path string, args []string) {
	t.Helper()
	old, _ := filepath.Glob(memo)
	for _, file := range old {
		_ = os.Remove(file)
	}
	leak.Eventually(t, trial.Timeout, "a memo is kept", func() bool {
		trial.Command{Path: path, Args: args}.Run(t).OK(t)
		time.Sleep(100 * time.Millisecond) // a file that has just changed is no premise
		kept, _ := filepath.Glob(memo)
		return len(kept) > 0
	})
}
