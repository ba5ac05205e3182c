package run

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(probeEnv); name != "" {
		os.Exit(probe(name, os.Args[1:]))
	}
	os.Exit(trial.Tests(m).Run())
}

// begin starts a test that a plain user runs and that must leave nothing behind. It
// returns the busybox tree, which all tests share and none may change.
func begin(t *testing.T) (tree string) {
	t.Helper()
	trial.NeedUser(t)
	leak.Watch(t)
	return trial.Tree(t, "busybox")
}

// script is the command line of rl-run for a shell script in a tree.
func script(options []string, tree, text string, args ...string) []string {
	return slices.Concat([]string{"--quiet"}, options, []string{tree, "sh", "-c", text, "sh"}, args)
}

// inside runs a shell script in the shared busybox tree and returns its output.
func inside(t *testing.T, text string, options ...string) string {
	t.Helper()
	return trial.Run(t, script(options, trial.Tree(t, "busybox"), text)...).OK(t)
}

// want compares a text with what is expected of it.
func want(t *testing.T, what, got, expected string) {
	t.Helper()
	if got != expected {
		t.Errorf("%s: got %q, want %q", what, got, expected)
	}
}

// holds looks for texts in another one.
func holds(t *testing.T, what, got string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("%s: no %q in:\n%s", what, text, got)
		}
	}
}

// lacks is the opposite of holds.
func lacks(t *testing.T, what, got string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(got, text) {
			t.Errorf("%s: %q is in:\n%s", what, text, got)
		}
	}
}

// field returns what follows "name:" in a text of lines such as /proc/PID/status.
func field(t *testing.T, text, name string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no field %s in:\n%s", name, text)
	return ""
}

// write makes a file of the host, and the directories above it.
func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// read returns the text of a file of the host.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// remove deletes parts of a tree of the host.
func remove(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
}

// link makes a symbolic link of the host, in place of what is there.
func link(t *testing.T, target, name string) {
	t.Helper()
	remove(t, name)
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// mapped is a command of the host in the id map of containers, through rl-unshare.
func mapped(t *testing.T, args ...string) trial.Command {
	t.Helper()
	return trial.Command{Path: trial.Bin(t, "rl-unshare"), Args: append([]string{"--quiet"}, args...)}
}

// outer is a shell script in a mount namespace of the host's, as root of an id map, so
// that it can arrange mounts before it starts rl-run as "$1" with "$@" behind.
func outer(t *testing.T, text string, args ...string) trial.Command {
	t.Helper()
	args = slices.Concat([]string{"unshare", "--mount", "sh", "-euc", text, "outer", trial.Bin(t, "rl-run")}, args)
	return mapped(t, args...)
}

// removeMapped has a directory with files of subordinate ids deleted at the end.
func removeMapped(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() {
		t.Helper()
		mapped(t, "rm", "-rf", name).Run(t).OK(t)
	})
}
