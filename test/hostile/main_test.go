package hostile

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// attackEnv names the attack that the test program is to make, in place of running tests.
const attackEnv = "RLRUN_ATTACK"

// attackPath is where containers have the test program.
const attackPath = "/tmp/attack"

// attacks write what they found to standard output.
var attacks = map[string]func(args []string) error{
	"calls":     attackCalls,
	"clone":     func([]string) error { return nil }, // to be made is all
	"type":      attackTerminal,
	"overwrite": attackExecutables,
	"null":      attackNull,
	"setresuid": attackIDs,
}

// unconfined takes the filter away: what stops an attack then is not that.
var unconfined = []string{"--security-opt", "seccomp=unconfined"}

func TestMain(m *testing.M) {
	if name := os.Getenv(attackEnv); name != "" {
		if err := attacks[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "attack:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(trial.Tests(m).Run())
}

// begin starts a test that a plain user runs and that must leave nothing behind. It returns the busybox tree,
// which all tests share and none may change.
func begin(t *testing.T) (tree string) {
	t.Helper()
	trial.NeedUser(t)
	leak.Watch(t)
	return trial.Tree(t, "busybox")
}

// self is the path of the test program.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// inside makes an attack within a container.
func inside(t *testing.T, name, tree string, options []string) trial.Command {
	t.Helper()
	return trial.Command{Args: slices.Concat(
		[]string{"--quiet", "-v", self(t) + ":" + attackPath + ":ro", "-e", attackEnv + "=" + name}, options,
		[]string{tree, attackPath})}
}

// outside makes an attack on the host, behind the words of a command that leads to it.
func outside(t *testing.T, name string, lead []string, args ...string) trial.Command {
	t.Helper()
	words := slices.Concat(lead, []string{self(t)}, args)
	return trial.Command{Path: trial.NeedTool(t, words[0]), Args: words[1:], Env: []string{attackEnv + "=" + name}}
}

// rooted are the words that lead to a mount namespace of the host, as root of a container's id map.
func rooted(t *testing.T) []string {
	t.Helper()
	return []string{trial.Bin(t, "rl-unshare"), "--quiet", "unshare", "--mount"}
}

// script is a command line of rl-run for a shell script in a tree.
func script(options []string, tree, text string) []string {
	return slices.Concat([]string{"--quiet"}, options, []string{tree, "sh", "-c", text})
}

// canary is a directory of the host that no container may touch.
type canary struct{ dir, before string }

func newCanary(t *testing.T) canary {
	t.Helper()
	dir := t.TempDir() + "/outside"
	write(t, dir+"/hosts", "canary")
	write(t, dir+"/sub/file", "canary")
	return canary{dir, listing(t, dir)}
}

// changed tells whether anything in it is not as it was.
func (c canary) changed(t *testing.T) bool {
	t.Helper()
	return listing(t, c.dir) != c.before
}

func (c canary) alive(t *testing.T, what string) {
	t.Helper()
	if after := listing(t, c.dir); after != c.before {
		t.Errorf("%s: outside there is now\n%s\nand was\n%s", what, after, c.before)
	}
}

// listing is a tree as names, modes, times of change and texts.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		name := dir + "/" + e.Name()
		info, err := e.Info()
		check(t, err)
		fmt.Fprintln(&b, name, info.Mode(), info.ModTime().UnixNano())
		switch {
		case e.IsDir():
			b.WriteString(listing(t, name))
		case info.Mode().IsRegular():
			fmt.Fprintf(&b, "%q\n", read(t, name))
		}
	}
	return b.String()
}

// check ends the test where preparing it went wrong.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a file of the host, and the directories above it.
func write(t *testing.T, name, text string) {
	t.Helper()
	check(t, os.MkdirAll(name[:strings.LastIndex(name, "/")], 0o755))
	check(t, os.WriteFile(name, []byte(text), 0o644))
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	check(t, err)
	return string(text)
}

// soon waits until something holds.
func soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	leak.Eventually(t, trial.Timeout, what, holds)
}

// refused tells whether a start ended as one does that rl-run itself does not make.
func refused(r trial.Result) bool {
	return r.Code == 125 && strings.HasPrefix(r.Stderr, "rl-run: error: ") && r.Stdout == ""
}
