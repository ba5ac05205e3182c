package userns

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func shell(script string, output int) *program {
	return &program{path: "/bin/sh", args: []string{"-c", script}, output: output}
}

func TestRunAll(t *testing.T) {
	for _, c := range []struct {
		name, script string
		output       int
		said, err    string
	}{
		{name: "well", script: "echo out; echo err >&2", output: stdout | stderr, said: "out\nerr\n"},
		{name: "stdout", script: "echo out; echo err >&2", output: stdout, said: "out\n"},
		{name: "stderr", script: "echo out; echo err >&2", output: stderr, said: "err\n"},
		{name: "status alone", script: "exit 3", output: stderr, err: "exit status 3"},
		{name: "message", script: "echo 'sh: not allowed' >&2; exit 1", output: stderr, said: "sh: not allowed\n", err: "not allowed"},
		{name: "two lines", script: "printf 'sh: one\nsh: two\n\n' >&2; exit 1", output: stderr, said: "sh: one\nsh: two\n\n", err: "one; two"},
		{name: "control characters", script: `printf 'a\033[2J\t\377b' >&2; exit 1`, output: stderr, said: "a\033[2J\t\377b", err: "a?[2J??b"},
		{name: "signal", script: "kill -9 $$", output: stderr, err: "ended by signal 9 (killed)"},
		{name: "signal and message", script: "echo why >&2; kill -15 $$", output: stderr, said: "why\n", err: "ended by signal 15 (terminated): why"},
		{name: "closed output", script: "exec 2>&-; sleep 0.05; exit 4", output: stderr, err: "exit status 4"},
		{name: "clean", script: "cat /proc/$$/environ; ls /proc/$$/fd; readlink /proc/$$/fd/0", output: stdout, said: "0\n1\n2\n/dev/null\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "clean" {
				// Without close-on-exec, as a caller hands one down.
				fd, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(fd)
			}
			p := shell(c.script, c.output)
			if err := runAll(helperTimeout, p); err != nil {
				t.Fatal(err)
			}
			if string(p.said) != c.said {
				t.Errorf("said %q, want %q", p.said, c.said)
			}
			err := p.failure()
			if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

// Each waits for the other: run one after the other, the first would not end.
func TestRunAllSideBySide(t *testing.T) {
	fifo := makeFIFO(t)
	a, b := shell("echo met >"+fifo, stdout), shell("cat "+fifo, stdout)
	if err := runAll(helperTimeout, a, b); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*program{a, b} {
		if err := p.failure(); err != nil {
			t.Error(err)
		}
	}
	if string(b.said) != "met\n" {
		t.Errorf("said %q", b.said)
	}
}

func makeFIFO(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRunAllTimeLimit(t *testing.T) {
	hang, well := shell("echo waiting >&2; exec sleep 1000", stderr), shell("exit 0", stderr)
	start := time.Now()
	if err := runAll(100*time.Millisecond, hang, well); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	if err := well.failure(); err != nil {
		t.Errorf("the other one: %v", err)
	}
	err := hang.failure()
	checkError(t, err, "no end after 1m0s, killed: waiting")
	if e, ok := errors.AsType[*ExitError](err); !ok || !e.TimedOut || e.Status.Signal() != unix.SIGKILL {
		t.Errorf("got %#v", err)
	}
	if err := unix.Kill(hang.pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("the program is still there: %v", err)
	}
}

func TestRunAllMissing(t *testing.T) {
	first := shell("exec sleep 1000", stderr)
	err := runAll(helperTimeout, first, &program{path: "/nonexistent/newgidmap", output: stderr})
	if e, ok := errors.AsType[*fs.PathError](err); !ok || e.Op != "exec" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := unix.Kill(first.pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("the first is still there: %v", err)
	}
}

func TestRunAllMuchOutput(t *testing.T) {
	p := shell("head -c 1000000 /dev/zero >&2; exit 1", stderr)
	if err := runAll(helperTimeout, p); err != nil {
		t.Fatal(err)
	}
	if len(p.said) != maxOutput {
		t.Errorf("kept %d bytes", len(p.said))
	}
	if s := p.failure().Error(); len(s) != 512 {
		t.Errorf("a message of %d bytes", len(s))
	}
}

// The end of the program counts, not the end of its output.
func TestRunAllLeavesChild(t *testing.T) {
	fifo := makeFIFO(t)
	p := shell("cat "+fifo+" >&2 & echo done >&2", stderr)
	err := runAll(helperTimeout, p)
	// Opened and closed, the FIFO ends the child.
	if end, openErr := os.OpenFile(fifo, os.O_WRONLY, 0); openErr != nil {
		t.Error(openErr)
	} else {
		end.Close()
	}
	if err == nil {
		err = p.failure()
	}
	if err != nil {
		t.Fatal(err)
	}
	if string(p.said) != "done\n" {
		t.Errorf("said %q", p.said)
	}
}

func TestRunAllLeaksNoDescriptor(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	for range 5 {
		if err := runAll(helperTimeout, shell("exit 0", stderr), shell("exit 1", stdout)); err != nil {
			t.Fatal(err)
		}
		if err := runAll(helperTimeout, &program{path: "/nonexistent", output: stderr}); err == nil {
			t.Fatal("no error")
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}
