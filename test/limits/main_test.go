package limits

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(trial.Tests(m).Run()) }

// begin starts a test that must leave nothing behind.
func begin(t *testing.T) {
	t.Helper()
	trial.NeedUser(t)
	// The first word to the user's bus starts it, which is nothing that is left behind.
	wake.Do(func() { run(t, []string{"--limits=best-effort", "--pids-limit", "1000"}, "true").OK(t) })
	leak.Watch(t)
}

var wake sync.Once

// run runs a command in a container.
func run(t *testing.T, options []string, command ...string) trial.Result {
	t.Helper()
	args := append([]string{"--net=none"}, options...)
	return trial.Run(t, append(append(args, trial.Tree(t, "busybox")), command...)...)
}

// rl runs another command of rl-run's.
func rl(t *testing.T, name string, args ...string) trial.Result {
	t.Helper()
	return trial.Command{Path: trial.Bin(t, name), Args: args}.Run(t)
}

// detach starts a container, which is removed at the end of the test.
func detach(t *testing.T, name string, options []string, command ...string) {
	t.Helper()
	// Before Linux 6.6 what a detached container writes would have to stay on a disk.
	run(t, append([]string{"-d", "--read-only", "--name", name}, options...), command...).OK(t)
	t.Cleanup(func() { rl(t, "rl-rm", "-f", name) })
}

// start starts the container "victim" in the foreground, and returns when it runs.
func start(t *testing.T, options ...string) *trial.Running {
	t.Helper()
	args := append([]string{"--net=none", "--name", "victim"}, options...)
	r := trial.Command{Args: append(args, trial.Tree(t, "busybox"), "sh", "-c", "echo ready; exec sleep 1000")}.Start(t)
	r.Stdout("ready")
	return r
}

// enforced tells whether the controller is delegated here. Where it is not, it has
// tried that the options are refused, with the reason and a remedy, and that
// --limits=best-effort makes a note of that.
func enforced(t *testing.T, controller string, options ...string) bool {
	t.Helper()
	r := run(t, options, "true")
	if r.Code == 0 {
		lacks(t, r.Stderr, "not enforced")
		return true
	}
	for word := range strings.FieldsSeq(os.Getenv("RLRUN_DELEGATED")) {
		if word == controller {
			t.Fatalf("the %s controller is delegated, but: exit code %d: %s", controller, r.Code, r.Stderr)
		}
	}
	r.Fails(t, 125, "rl-run: error: enforce "+options[0]+" ", "the "+controller+" controller", "rl-run: hint: ", "Delegate=")
	best := run(t, append([]string{"--limits=best-effort"}, options...), "echo", "ran")
	if out := best.OK(t); out != "ran" {
		t.Errorf("stdout %q", out)
	}
	if !strings.Contains(best.Stderr, "rl-run: note: "+options[0]+" ") || !strings.Contains(best.Stderr, "is not enforced: the "+controller) {
		t.Errorf("best effort says nothing of it: %q", best.Stderr)
	}
	t.Logf("refused here, as it should be: %s", r.Stderr)
	return false
}

func lacks(t *testing.T, text, part string) {
	t.Helper()
	if strings.Contains(text, part) {
		t.Errorf("%q is in %q", part, text)
	}
}

// group is the directory of a running container's group.
func group(t *testing.T, name string) string {
	t.Helper()
	pid := strings.TrimSpace(inspect(t, name, "Pid"))
	text, err := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	_, path, ok := strings.Cut(strings.TrimSpace(string(text)), "0::")
	if !ok {
		t.Fatalf("no group of version 2: %s", text)
	}
	return "/sys/fs/cgroup" + path
}

// number reads a file that has a number in it, or of several lines that which key
// names.
func number(t *testing.T, file, key string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		value, ok := strings.CutPrefix(line, key)
		if n, err := strconv.Atoi(strings.TrimSpace(value)); ok && err == nil {
			return n
		}
	}
	t.Fatalf("%s: no number %q in %q", file, key, text)
	return 0
}

// until waits for something to become true, for as long as timeout on a usual machine.
func until(t *testing.T, what string, timeout time.Duration, true func() bool) {
	t.Helper()
	leak.Eventually(t, leak.Slow(timeout), what, true)
}

// gone waits until nothing is left of a group, nor of the scope around it.
func gone(t *testing.T, dir string) {
	t.Helper()
	if outer := filepath.Dir(dir); strings.HasSuffix(outer, ".scope") {
		dir = outer
	}
	until(t, dir+" is gone", 2*time.Second, func() bool { return errors.Is(unix.Access(dir, unix.F_OK), unix.ENOENT) })
}
