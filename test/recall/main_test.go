package recall

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(trial.Tests(m).Run()) }

// host is a runtime directory of a test's own, in which there are no memos yet.
type host struct {
	t   *testing.T
	dir string
}

func newHost(t *testing.T) host {
	t.Helper()
	trial.NeedUser(t)
	leak.Watch(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return host{t, dir}
}

func (h host) env() []string { return []string{"XDG_RUNTIME_DIR=" + h.dir} }

// run runs rl-run.
func (h host) run(args ...string) trial.Result {
	h.t.Helper()
	return trial.Command{Args: args, Env: h.env()}.Run(h.t)
}

// memos are the files of memos that there are.
func (h host) memos() []string {
	h.t.Helper()
	list, err := filepath.Glob(h.dir + "/rl-run/starts/*")
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

// prime runs rl-run until there is a memo of the call: a file that has just changed is no premise.
func (h host) prime(args ...string) {
	h.t.Helper()
	before := len(h.memos())
	for end := time.Now().Add(trial.Timeout); ; time.Sleep(100 * time.Millisecond) {
		h.run(args...).OK(h.t)
		if len(h.memos()) > before {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("rl-run %s: no memo is kept", strings.Join(args, " "))
		}
	}
}

// traced runs rl-run, by the command line before if there is one, and reports whether it did without Go's runtime.
func (h host) traced(before []string, args ...string) (r trial.Result, byMemo bool) {
	h.t.Helper()
	return h.tracedAs(before, "rl-run", args...)
}

func (h host) tracedAs(before []string, program string, args ...string) (r trial.Result, byMemo bool) {
	h.t.Helper()
	trace := filepath.Join(h.t.TempDir(), "trace")
	strace := []string{trial.NeedTool(h.t, "strace"), "-qq", "-o", trace, "-e", "trace=execve,rt_sigaction,clone3", "-e", "signal=none", trial.Bin(h.t, program)}
	words := slices.Concat(before, strace, args)
	r = trial.Command{Path: words[0], Args: words[1:], Env: h.env()}.Run(h.t)
	text, err := os.ReadFile(trace)
	if err != nil {
		h.t.Fatalf("%v: %+v", err, r)
	}
	if !strings.HasPrefix(string(text), "execve(") {
		h.t.Fatalf("%s was not executed: %s", program, text)
	}
	start, rest, _ := strings.Cut(string(text), "clone3(") // a container that goes on needs Go later
	const goBegins, again = "rt_sigaction(SIGHUP, NULL", "CLONE_NEWUSER"
	if _, later, _ := strings.Cut(rest, goBegins); strings.Contains(later, again) || program == "rl-exec" && strings.Contains(later, "clone3(") {
		h.t.Errorf("%s %q: started twice", program, args)
	}
	return r, !strings.Contains(start, "rt_sigaction(SIGHUP, NULL")
}

// recalls fails the test unless the call starts by memo.
func (h host) recalls(args ...string) trial.Result {
	h.t.Helper()
	r, byMemo := h.traced(nil, args...)
	if !byMemo {
		h.t.Errorf("rl-run %s: compiled anew", strings.Join(args, " "))
	}
	return r
}

// compiles fails the test if the call starts by memo.
func (h host) compiles(args ...string) trial.Result {
	h.t.Helper()
	r, byMemo := h.traced(nil, args...)
	if byMemo {
		h.t.Errorf("rl-run %s: started by a memo that does not hold", strings.Join(args, " "))
	}
	return r
}
