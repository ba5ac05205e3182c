package life

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// bare is a tree of which /sys is missing.
func bare(t *testing.T) string {
	t.Helper()
	tree := trial.NewTree(t)
	if err := os.Remove(tree + "/sys"); err != nil {
		t.Fatal(err)
	}
	return tree
}

// present reports whether there is something at a path of the tree.
func present(tree, path string) bool {
	_, err := os.Lstat(filepath.Join(tree, path))
	return err == nil
}

// gone waits until something is away.
func gone(t *testing.T, tree, path string) {
	t.Helper()
	for end := time.Now().Add(leak.Slow(leak.Patience)); present(tree, path); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s is there still", path)
		}
	}
}

// What --rw makes in ROOTFS to mount on is taken away at the end, once only, and not where somebody has put something into it. No
// command is needed for that.
func TestMountPoints(t *testing.T) {
	leak.Watch(t)
	tree, source := bare(t), t.TempDir()
	run := func(script string, options ...string) *trial.Running {
		return trial.Command{Args: append(append([]string{"--net=none", "--rw", "--name", "points", "-v", source + ":/made/dir"}, options...),
			tree, "sh", "-c", script)}.Start(t)
	}
	run("until test -e /end; do sleep 0.1; done; rm /end", "-d").Wait().OK(t)
	if !present(tree, "sys") || !present(tree, "made/dir") {
		t.Error("there are no mount points while it runs")
	}
	rl(t, "rl-ps", "-a").OK(t)
	if !present(tree, "sys") {
		t.Error("a mount point is gone while it runs")
	}
	if err := os.WriteFile(tree+"/end", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone(t, tree, "sys")
	gone(t, tree, "made")
	if err := os.Mkdir(tree+"/made", 0o700); err != nil {
		t.Fatal(err)
	}
	rl(t, "rl-rm", "points").OK(t)
	if !present(tree, "made") {
		t.Error("what the user has made later is gone")
	}

	// A command that sees the end waits for it.
	run("touch /made/kept; sleep 1000", "-d").Wait().OK(t)
	for end := time.Now().Add(leak.Slow(leak.Patience)); !present(tree, "made/kept") && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	rl(t, "rl-stop", "-t", "0", "points").OK(t)
	if present(tree, "sys") || present(tree, "made/dir") || !present(tree, "made/kept") {
		t.Error("it left a mount point, or took what is the user's")
	}
	rl(t, "rl-rm", "points").OK(t)

	// A killed launcher's are taken away with its state, before and behind the moment at which the container is written down.
	for _, wait := range []time.Duration{0, 200 * time.Millisecond} {
		fg := run("echo ready; sleep 1000")
		fg.Stdout("ready\n")
		time.Sleep(wait)
		fg.Signal(unix.SIGKILL)
		fg.Wait()
		gone(t, tree, "sys")
		gone(t, os.Getenv("XDG_RUNTIME_DIR"), "rl-run/c")
	}
}

// While another container runs in the tree they stay, for they are that one's, too.
func TestMountPointsInUse(t *testing.T) {
	leak.Watch(t)
	tree := bare(t)
	for _, name := range []string{"one", "two"} {
		trial.Run(t, "-d", "--net=none", "--rw", "--name", name, tree, "sleep", "1000").OK(t)
	}
	rl(t, "rl-rm", "-f", "one").OK(t)
	rl(t, "rl-exec", "two", "test", "-d", "/sys/class").OK(t)
	rl(t, "rl-rm", "-f", "two").OK(t)
	if !present(tree, "sys") {
		t.Error("only who made a mount point takes it away, and that one was in use then")
	}
}
