package kill

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 0 && os.Args[0] == keeperName {
		os.Exit(keep())
	}
	os.Exit(trial.Tests(m).Run())
}

// script is what runs in the containers. The shell stays, so that the argument behind
// the script stays too, and has a child.
const script = "sleep 30; exit 0"

// kills is how many times something is killed, over all modes: RLRUN_KILLS, else so many (see trial.Mass).
func kills(t *testing.T, otherwise int) int {
	t.Helper()
	text := os.Getenv("RLRUN_KILLS")
	if text == "" {
		return trial.Mass(otherwise)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("RLRUN_KILLS=%s: want a positive number", text)
	}
	return n
}

// duration is how long a container takes that has nothing to do, on this machine: the kernel
// may be emulated. Two thirds of it come before the exec of the command, or more where several
// launchers work at a time.
func duration(t *testing.T, path string, args []string) time.Duration {
	t.Helper()
	var took []time.Duration
	for range 3 {
		start := time.Now()
		trial.Command{Path: path, Args: args}.Run(t).OK(t)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

func TestKilledLauncherLeavesNothing(t *testing.T) {
	trial.NeedUser(t)
	bin, tree := trial.Bin(t, "rl-run"), trial.Tree(t, "busybox")
	modes := []struct {
		name  string
		flags []string
	}{
		{"defaults", nil},
		{"single id", []string{"--userns=single"}},
		{"no init", []string{"--init=false"}},
		// Without a pid namespace no kernel ends the rest when pid 1 goes.
		{"pid of the host", []string{"--pid=host"}},
		{"another user beside it", []string{"--pid=host", "-u", "1000"}},
		{"published port", []string{"-p", "127.0.0.1::80"}},
		// Whose state is written down before the start.
		{"with a name", []string{"--net=none", "--name=NAME"}},
	}
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			leak.Watch(t)
			n := (kills(t, 500) + len(modes) - 1) / len(modes)
			options := append([]string{"-V"}, mode.flags...)
			took := duration(t, bin, slices.Concat(options, []string{tree, "/bin/true"}))
			o := launcher{
				path: bin,
				args: func(mark string) []string {
					own := make([]string, 0, len(options))
					for _, o := range options {
						own = append(own, strings.Replace(o, "NAME", mark, 1))
					}
					return slices.Concat(own, []string{tree, "/bin/sh", "-c", script, mark})
				},
				window: took,
				adapt:  true,
			}.run(t, n, patience(took))
			o.report(t)
			if len(o.left) > 0 {
				t.Errorf("%d of %d kills left something behind", len(o.left), o.kills)
			}
			if 2*o.early < n {
				t.Errorf("%d of %d kills came before the exec of the command, want half", o.early, o.kills)
			}
		})
	}
}

// TestHarnessSeesLeftovers kills a launcher that arms PR_SET_PDEATHSIG without any handshake:
// a container whose launcher is dead before that is left behind.
func TestHarnessSeesLeftovers(t *testing.T) {
	trial.NeedUser(t)
	bwrap, tree := trial.NeedTool(t, "bwrap"), trial.Tree(t, "busybox")
	leak.Watch(t)
	options := []string{
		"--die-with-parent", "--unshare-all", "--ro-bind", tree, "/", "--proc", "/proc", "--dev", "/dev",
	}
	o := launcher{
		path: bwrap,
		args: func(mark string) []string {
			return slices.Concat(options, []string{"/bin/sh", "-c", script, mark})
		},
		window: duration(t, bwrap, slices.Concat(options, []string{"/bin/true"})),
	}.run(t, 120, leak.Patience)
	t.Logf("%d of %d kills left a container behind; the others were gone after %v at most", len(o.left), o.kills, o.slowest.Round(time.Millisecond))
	if len(o.left) == 0 {
		t.Error("the harness saw nothing that was left behind")
	}
}
