package badinput

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(trial.Tests(m).Run()) }

// begin starts a test that a plain user runs and that must leave nothing behind. It
// returns the busybox tree, which all tests share and none may change.
func begin(t *testing.T) (tree string) {
	t.Helper()
	trial.NeedUser(t)
	leak.Watch(t, leak.Paths("/var/tmp/rl-run*"))
	return trial.Tree(t, "busybox")
}

// row is a command line that is refused.
type row struct {
	line  string // words of the command line between blanks; TREE is the busybox tree, '' an empty word
	code  int    // 0 stands for 125
	error string // what follows "rl-run: error: ", in full or up to "…"
	hint  string // a part of the hint; empty where there is none
}

func (r row) args(tree string) []string {
	args := strings.Fields(r.line)
	for i, a := range args {
		switch a {
		case "''":
			args[i] = ""
		case "TREE":
			args[i] = tree
		}
	}
	return args
}

// try runs each row in the tree.
func try(t *testing.T, tree string, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(strings.ReplaceAll(r.line, "/", "|"), func(t *testing.T) {
			before := listing(t, tree)
			refused(t, trial.Run(t, r.args(tree)...), r.code, r.error, r.hint)
			if after := listing(t, tree); after != before {
				t.Errorf("the tree has changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// bare matches the name of an errno, which is no cause that a user understands.
var bare = regexp.MustCompile(`\bE[A-Z]{3,}[0-9]*\b|errno|goroutine|panic|runtime error|0x[0-9a-f]{6}`)

// refused checks the message of a start that failed, and its exit code; 0 stands for
// 125. With an empty hint there must be none.
func refused(t *testing.T, r trial.Result, code int, want, hint string) {
	t.Helper()
	if code == 0 {
		code = 125
	}
	if r.Code != code {
		t.Errorf("exit code %d, want %d", r.Code, code)
	}
	var errs, hints []string
	for line := range strings.Lines(r.Stderr) {
		text, ended := strings.CutSuffix(line, "\n")
		if !ended {
			t.Errorf("the last line has no end: %q", line)
		}
		switch {
		case strings.HasPrefix(text, "rl-run: error: "):
			errs = append(errs, strings.TrimPrefix(text, "rl-run: error: "))
		case strings.HasPrefix(text, "rl-run: hint: "):
			hints = append(hints, strings.TrimPrefix(text, "rl-run: hint: "))
		case !strings.HasPrefix(text, "rl-run: note: "):
			t.Errorf("stderr has %q", text)
		}
		for _, r := range text {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
				t.Errorf("the line has the control character %U: %q", r, text)
			}
		}
	}
	if len(errs) != 1 {
		t.Fatalf("want one line of error, got %d: %q", len(errs), r.Stderr)
	}
	start, open := strings.CutSuffix(want, "…")
	if errs[0] != want && (!open || !strings.HasPrefix(errs[0], start)) {
		t.Errorf("error:\n got %q\nwant %q", errs[0], want)
	}
	if strings.HasSuffix(errs[0], ".") || bare.MatchString(errs[0]) || strings.Contains(errs[0], "failed to") {
		t.Errorf("error: %q is not in the form of a message", errs[0])
	}
	switch {
	case len(hints) > 1:
		t.Errorf("more than one hint: %q", hints)
	case hint == "" && len(hints) > 0:
		t.Errorf("hint: got %q, want none", hints[0])
	case hint != "" && (len(hints) == 0 || !strings.Contains(hints[0], hint)):
		t.Errorf("hint: got %q, want one with %q", hints, hint)
	}
}

// listing is a tree as names, types, modes, sizes and times of change.
func listing(t *testing.T, tree string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(tree, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // a locked directory is part of what is tried
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&b, name, info.Mode(), info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// must ends the test where preparing it went wrong.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a file of the host, and the directories above it.
func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(text), mode))
	return name
}

// sparse makes a file of a gigabyte that takes no room.
func sparse(t *testing.T, name string) string {
	t.Helper()
	write(t, name, "", 0o644)
	must(t, os.Truncate(name, 1<<30))
	return name
}
