package life

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// A container whose name could not be printed runs, so it stays listed, and the error names it.
func TestNameThatCannotBePrinted(t *testing.T) {
	leak.Watch(t)
	t.Cleanup(func() { rl(t, "rl-rm", "-f", "db").OK(t) })
	args := []string{"-c", `exec "$@" >/dev/full`, "sh", trial.Bin(t, "rl-run"), "-d", "--name", "db", "--net=none"}
	trial.Command{Path: "/bin/sh", Args: append(args, trial.Tree(t, "busybox"), "sleep", "1000")}.Run(t).
		Fails(t, 125, "write /dev/stdout: no space left on device\n", "hint: db runs; rl-rm -f db ends and removes it\n")
	if out := rl(t, "rl-ps", "-a").OK(t); !strings.Contains(out, "\ndb    running  ") {
		t.Errorf("rl-ps -a:\n%s", out)
	}
}

// After a kill the name is free, and what is kept can be removed.
func TestKillWaits(t *testing.T) {
	leak.Watch(t)
	for range 20 {
		start(t, "db", stubborn)
		rl(t, "rl-kill", "db").OK(t)
		rl(t, "rl-rm", "db").OK(t)
	}
}

// What a detached container's user writes to /dev/stdout and /dev/stderr is kept, too.
func TestOutputOfUser(t *testing.T) {
	leak.Watch(t)
	const script = "echo one >/dev/stdout; echo two >/dev/stderr; echo three"
	for i, options := range [][]string{nil, {"-u", "1000"}, {"-u", "1000", "--cap-drop=ALL"}, {"-u", "1000", "--init=false"}, {"--userns=keep-id"}} {
		name := fmt.Sprint("db", i)
		start(t, name, script, options...)
		rl(t, "rl-wait", name).OK(t)
		if out := rl(t, "rl-logs", name).OK(t); out != "one\ntwo\nthree" {
			t.Errorf("%q: %q", options, out)
		}
	}
}

func TestRemovalIsNotSilentlyLeftOut(t *testing.T) {
	leak.Watch(t)
	t.Cleanup(func() { rl(t, "rl-rm", "-f", "db").OK(t) })
	args := []string{"-d", "--rm", "--name", "db", "--net=none", trial.Tree(t, "busybox"), "true"}
	trial.Run(t, append([]string{"--strict"}, args...)...).Fails(t, 125, "--strict: --rm: with -d exit code and output are kept until rl-rm\n")
	if r := trial.Run(t, args...); r.OK(t) != "db" || !strings.Contains(r.Stderr, "note: --rm: with -d exit code and output are kept until rl-rm\n") {
		t.Errorf("%+v", r)
	}
}

// A container whose directory may not be read is removed all the same, and not only in word.
func TestDirectoryWithoutMode(t *testing.T) {
	leak.Watch(t)
	start(t, "db", patient)
	if err := os.Chmod(os.Getenv("XDG_RUNTIME_DIR")+"/rl-run/c/db", 0); err != nil {
		t.Fatal(err)
	}
	rl(t, "rl-stop", "db").Fails(t, 125, "hint: rl-rm -f db ends and removes it\n")
	if out := rl(t, "rl-rm", "-f", "db").OK(t); out != "db" {
		t.Errorf("rl-rm -f: %q", out)
	}
	if out := rl(t, "rl-ps", "-a", "-q").OK(t); out != "" {
		t.Errorf("rl-ps -a: %q", out)
	}
}
