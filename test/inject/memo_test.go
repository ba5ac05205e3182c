package inject

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// keep calls until there is a memo of the call, in a file of that pattern, and makes sure that the call is one that goes by it.
func (w way) keep(t *testing.T, pattern string) {
	t.Helper()
	old, _ := filepath.Glob(pattern)
	for _, file := range old {
		_ = os.Remove(file)
	}
	program := w.program
	if program == "" {
		program = "rl-run"
	}
	leak.Eventually(t, trial.Timeout, "a memo is kept", func() bool {
		command(t, program, w.args(t)...).Run(t).OK(t)
		time.Sleep(100 * time.Millisecond) // a file that has just changed is no premise
		kept, _ := filepath.Glob(pattern)
		return len(kept) > 0
	})
	// What Go's runtime asks first.
	if _, hits := (disturbance{"rt_sigaction", "error=EPERM", 1}).run(t, w); len(hits) == 0 || strings.Contains(hits[0], "rt_sigaction(SIGHUP, NULL") {
		t.Fatalf("it does not go by memo: %v", hits)
	}
}

// A start by memo that is disturbed starts the container all the same, or says why not; it never starts the command twice, and
// leaves nothing.
func TestMemo(t *testing.T) {
	begin(t)
	once := []string{"echo", "once"}
	// Where calls are the same as of another way, some of them have to do.
	ways := []way{
		{name: "single id", options: []string{"--net=none", "--userns=single"}},
		{name: "in a session", options: []string{"--net=none"}, session: true, pace: 4},
		{name: "link to a session", session: true, pace: 2},
	}
	if tracedUser != "" {
		ways = []way{{name: "subordinate ids", options: []string{"--net=none"}, pace: 2}}
	}
	for _, w := range ways {
		w.command, w.memo, w.followed, w.least = once, true, true, 150
		hows := []string{"signal=KILL", "error=EINTR", "error=ENOMEM", "error=EPERM", "error=ENOSPC"}
		if w.pace > 1 {
			hows = hows[:3]
		}
		t.Run(w.name, func(t *testing.T) {
			leak.Watch(t)
			if w.session {
				command(t, "rl-net", "start").Run(t).OK(t)
				t.Cleanup(func() { command(t, "rl-net", "stop").Run(t).OK(t) })
			}
			memos := os.Getenv("XDG_RUNTIME_DIR") + "/rl-run/starts/*"
			w.keep(t, memos)
			before := leak.Snapshot(t)
			for i, how := range hows {
				if i > 0 {
					w.pace = 6
				}
				each(t, how, w, func(t *testing.T, d disturbance, r trial.Result, hits []string) {
					problem := ""
					if errno := failing[strings.TrimPrefix(how, "error=")]; errno != 0 {
						problem = judge(r, hits, errno)
					}
					if n := strings.Count(r.Stdout, "once"); problem == "" && (n > 1 || r.Code == 0 && r.Stdout != "once\n") {
						problem = "the command was not executed once"
					}
					if problem != "" {
						t.Errorf("%s: %s\nexit code %d\nstdout: %s\nstderr: %s\nstrace: %s", d, problem, r.Code, r.Stdout, r.Stderr, strings.Join(hits, ""))
					}
					if i > 0 {
						return // who tells of an error has tidied up, as leak.Watch sees
					}
					unlisted(t, d, hits)
					if left, err := before.Wait(leak.Patience); err != nil || len(left) > 0 {
						t.Errorf("behind %s there are %v (%v)", d, left, err)
					}
					if next := command(t, "rl-run", w.args(t)...).Run(t); next.Code != 0 || next.Stdout != "once\n" || next.Stderr != "" {
						t.Errorf("behind %s: the next start: %+v", d, next)
					}
				})
			}
			if kept, _ := filepath.Glob(memos); len(kept) == 0 {
				t.Error("no memo is left")
			}
		})
	}
}
