package life

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// Long logs keep their end, and a reader that follows sees each line once.
func TestLongLog(t *testing.T) {
	leak.Watch(t)
	start(t, "db", `seq 3000000; sleep 0.3; echo end`)
	r := trial.Command{Path: trial.Bin(t, "rl-logs"), Args: []string{"-f", "db"}}.Run(t)
	if !strings.HasSuffix(r.OK(t), "3000000\nend") {
		t.Errorf("it ends with %q", r.Stdout[max(0, len(r.Stdout)-40):])
	}
	const half = 8 << 20 // at least that much is kept
	kept := rl(t, "rl-logs", "db").OK(t)
	if len(kept) < half || len(kept) > 2*half || !strings.HasSuffix(kept, "3000000\nend") {
		t.Errorf("%d bytes are kept", len(kept))
	}
	if out := rl(t, "rl-logs", "--tail", "3", "db").OK(t); out != "2999999\n3000000\nend" {
		t.Errorf("%q", out)
	}
}

// Where the disk takes no more, output is dropped and counted, and the container does not wait. A limit of the size of files stands for
// the full disk: to the keeper both are a write that fails.
func TestLogOnFullDisk(t *testing.T) {
	leak.Watch(t)
	t.Cleanup(func() { rl(t, "rl-rm", "-f", "db").OK(t) })
	const limit, lines = 100 << 10, 60000
	trial.Command{Path: "/bin/sh", Args: []string{
		"-c", fmt.Sprintf(`ulimit -f %d && exec "$@"`, limit/512), "sh",
		trial.Bin(t, "rl-run"), "-d", "--name", "db", "--net=none", trial.Tree(t, "busybox"), "sh", "-c", fmt.Sprintf("seq %d; exit 3", lines),
	}}.Run(t).OK(t)
	if out := rl(t, "rl-wait", "db").OK(t); out != "3" {
		t.Errorf("rl-wait: %q", out)
	}
	written := 0
	for i := range lines {
		written += len(fmt.Sprintln(i + 1))
	}
	r := rl(t, "rl-logs", "db")
	if kept := len(r.Stdout); kept > limit || !strings.HasPrefix(r.Stdout, "1\n2\n") ||
		!strings.Contains(r.Stderr, fmt.Sprintf("%d bytes are not in it, because the disk was full", written-kept)) {
		t.Errorf("%d of %d bytes are kept: %s", kept, written, r.Stderr)
	} else if out := rl(t, "rl-inspect", "db").OK(t); !strings.Contains(out, fmt.Sprintf(`"Dropped": %d,`, written-kept)) {
		t.Errorf("rl-inspect: %s", out)
	}
}
