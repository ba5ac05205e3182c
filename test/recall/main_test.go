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
	t       *testing.T
	dir     string
	program string // that is to do without Go's runtime
}

func newHost(t *testing.T) host {
	t.Helper()
	trial.NeedUser(t)
	leak.Watch(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return host{t, dir, "rl-run"}
}

func (h host) env() []string { return []string{"XDG_RUNTIME_DIR=" + h.dir} }

// run runs rl-run.
func (h host) run(args ...string) trial.Result {
	h.t.Helper()
	return h.rl("rl-run", args...)
}

// rl runs a program.
func (h host) rl(name string, args ...string) trial.Result {
	h.t.Helper()
	return trial.Command{Path: trial.Bin(h.t, name), Args: args, Env: h.env()}.Run(h.t)
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
	h.repeat(func() bool { return len(h.memos()) > before }, args...)
}

// repeat runs the program until there is a memo of the call.
func (h host) repeat(kept func() bool, args ...string) {
	h.t.Helper()
	for end := time.Now().Add(trial.Timeout); ; time.Sleep(100 * time.Millisecond) {
		h.rl(h.program, args...).OK(h.t)
		if kept() {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("%s %s: no memo is kept", h.program, strings.Join(args, " "))
		}
	}
}

// traced runs the program, by the command line before if there is one, and reports whether it did without Go's runtime.
func (h host) traced(before []string, args ...string) (r trial.Result, byMemo bool) {
	h.t.Helper()
	trace := filepath.Join(h.t.TempDir(), "trace")
	strace := []string{trial.NeedTool(h.t, "strace"), "-qq", "-o", trace, "-e", "trace=execve,rt_sigaction,clone3", "-e", "signal=none", trial.Bin(h.t, h.program)}
	words := slices.Concat(before, strace, args)
	r = trial.Command{Path: words[0], Args: words[1:], Env: h.env()}.Run(h.t)
	text, err := os.ReadFile(trace)
	if err != nil {
		h.t.Fatalf("%v: %+v", err, r)
	}
	if !strings.HasPrefix(string(text), "execve(") {
		h.t.Fatalf("%s was not executed: %s", h.program, text)
	}
	start, rest, _ := strings.Cut(string(text), "clone3(") // a container that goes on needs Go later
	const goBegins, again = "rt_sigaction(SIGHUP, NULL", "CLONE_NEWUSER"
	if _, later, _ := strings.Cut(rest, goBegins); strings.Contains(later, again) || h.program == "rl-exec" && strings.Contains(later, "clone3(") {
		h.t.Errorf("%s %q: started twice", h.program, args)
	}
	return r, !strings.Contains(start, "rt_sigaction(SIGHUP, NULL")
}

// recalls fails the test unless the call starts by memo.
func (h host) recalls(args ...string) trial.Result {
	h.t.Helper()
	r, byMemo := h.traced(nil, args...)
	if !byMemo {
		h.t.Errorf("%s %s: compiled anew", h.program, strings.Join(args, " "))
	}
	return r
}

// compiles fails the test if the call starts by memo.
func (h host) compiles(args ...string) trial.Result {
	h.t.Helper()
	return h.compilesBy(nil, args...)
}

// compilesBy is compiles by the command line before.
func (h host) compilesBy(before []string, args ...string) trial.Result {
	h.t.Helper()
	r, byMemo := h.traced(before, args...)
	if byMemo {
		h.t.Errorf("%v %s %s: by a memo that does not hold", before, h.program, strings.Join(args, " "))
	}
	return r
}
