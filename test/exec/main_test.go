package exec

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/runtimedir"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(spyEnv); role != "" {
		if err := spy(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(trial.Tests(m).Run())
}

// start starts a container that sleeps, and removes it at the end of the test. It returns the pid of its init.
func start(t *testing.T, name string, options ...string) int {
	t.Helper()
	args := append([]string{"-d", "--name", name, "--net=none"}, options...)
	trial.Run(t, append(args, trial.Tree(t, "busybox"), "sleep", "100000")...).OK(t)
	t.Cleanup(func() { rl(t, "rl-rm", "-f", name).OK(t) })
	e, err := container.Open(runtimedir.New(os.Getenv("XDG_RUNTIME_DIR"), os.Getuid())).Find(name)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	return e.State.Init.PID
}

// rl runs a command of rl-run's.
func rl(t *testing.T, name string, args ...string) trial.Result {
	t.Helper()
	return trial.Command{Path: trial.Bin(t, name), Args: args}.Run(t)
}

// in runs a script in a container, and returns what it writes.
func in(t *testing.T, name, script string) string {
	t.Helper()
	return rl(t, "rl-exec", name, "sh", "-c", script).OK(t)
}

// soon waits until something holds.
func soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	leak.Eventually(t, 5*time.Second, what, holds)
}

// processes are the command lines of a container's processes, but for ps itself.
func processes(t *testing.T, name string) string {
	t.Helper()
	return in(t, name, `for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || tr '\0' ' ' <$p/cmdline 2>/dev/null && echo; done; true`)
}

// parentOf returns the pid of the parent of the process with that command line.
func parentOf(t *testing.T, name, command string) string {
	t.Helper()
	return in(t, name, `for p in /proc/[0-9]*; do if grep -q '^`+command+`' $p/cmdline; then awk '/^PPid/ { print $2 }' $p/status; fi; done`)
}

// running reports whether a process with that text in its command line runs in the container web.
func running(t *testing.T, text string) bool {
	t.Helper()
	for line := range strings.Lines(processes(t, "web")) {
		if strings.Contains(line, text) && !strings.Contains(line, "/proc/[") {
			return true
		}
	}
	return false
}
