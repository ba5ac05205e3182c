package life

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/runtimedir"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(trial.Tests(m).Run()) }

func store() *container.Store {
	return container.Open(runtimedir.New(os.Getenv("XDG_RUNTIME_DIR"), os.Getuid()))
}

// start starts a container with a script, and removes it at the end of the test.
func start(t *testing.T, name, script string, options ...string) {
	t.Helper()
	args := append([]string{"-d", "--name", name, "--net=none"}, options...)
	if out := trial.Run(t, append(args, trial.Tree(t, "busybox"), "sh", "-c", script)...).OK(t); out != name {
		t.Fatalf("rl-run -d: %q", out)
	}
	t.Cleanup(func() { rl(t, "rl-rm", "-f", name).OK(t) })
}

// rl runs a command of rl-run's.
func rl(t *testing.T, name string, args ...string) trial.Result {
	t.Helper()
	return trial.Command{Path: trial.Bin(t, name), Args: args}.Run(t)
}

// Scripts of containers.
const (
	patient  = `trap "echo bye; exit 7" TERM; trap "echo usr1" USR1; echo ready; while :; do sleep 1000 & wait $!; done`
	stubborn = `trap "" TERM; echo ready; while :; do sleep 1000 & wait $!; done`
)

// ready waits until the script has set its traps.
func ready(t *testing.T, name string) {
	t.Helper()
	for end := time.Now().Add(trial.Timeout); ; time.Sleep(5 * time.Millisecond) {
		log := rl(t, "rl-logs", name)
		log.OK(t)
		if strings.Contains(log.Stdout, "ready\n") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is not ready: %q", name, log.Stdout)
		}
	}
}

// wait starts rl-wait, and returns when that holds the containers' pidfds.
func wait(t *testing.T, names ...string) *trial.Running {
	t.Helper()
	r := trial.Command{Path: trial.Bin(t, "rl-wait"), Args: names}.Start(t)
	fds := fmt.Sprintf("/proc/%d/fd/", r.Pid)
	for end := time.Now().Add(trial.Timeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		links, _ := filepath.Glob(fds + "*")
		held := 0
		for _, fd := range links {
			// pidfd:[N] since Linux 6.9
			if to, err := os.Readlink(fd); err == nil && strings.Contains(to, "pidfd") {
				held++
			}
		}
		if held >= len(names) {
			time.Sleep(20 * time.Millisecond) // in a look at the status there is one, too
			return r
		}
	}
	t.Fatalf("rl-wait %s does not wait", names)
	return nil
}
