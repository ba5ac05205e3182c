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

// What --rw makes in ROOTFS to mount on is taken away by the command that first sees the end, once only, and not
// where somebody has put something into it.
func TestMountPoints(t *testing.T) {
	leak.Watch(t)
	tree, source := bare(t), t.TempDir()
	run := func(script string, options ...string) *trial.Running {
		return trial.Command{Args: append(append([]string{"--net=none", "--rw", "--name", "points", "-v", source + ":/made/dir"}, options...),
			tree, "sh", "-c", script)}.Start(t)
	}
	run("sleep 1000", "-d").Wait().OK(t)
	if !present(tree, "sys") || !present(tree, "made/dir") {
		t.Error("there are no mount points while it runs")
	}
	rl(t, "rl-ps", "-a").OK(t)
	if !present(tree, "sys") {
		t.Error("a mount point is gone while it runs")
	}
	rl(t, "rl-stop", "points").OK(t)
	rl(t, "rl-ps", "-a").OK(t)
	if present(tree, "sys") || present(tree, "made") {
		t.Error("the mount points are there behind the end")
	}
	if err := os.Mkdir(tree+"/made", 0o700); err != nil {
		t.Fatal(err)
	}
	rl(t, "rl-rm", "points").OK(t)
	if !present(tree, "made") {
		t.Error("what the user has made later is gone")
	}

	run("touch /made/kept", "-d").Wait().OK(t)
	rl(t, "rl-wait", "points").OK(t)
	rl(t, "rl-rm", "points").OK(t)
	if present(tree, "sys") || present(tree, "made/dir") || !present(tree, "made/kept") {
		t.Error("it left a mount point, or took what is the user's")
	}

	// A killed launcher's are taken away with what else it has left.
	fg := run("echo ready; sleep 1000")
	fg.Stdout("ready\n")
	listedSoon(t)
	time.Sleep(50 * time.Millisecond)
	fg.Signal(unix.SIGKILL)
	fg.Wait()
	for end := time.Now().Add(leak.Patience); present(tree, "sys"); time.Sleep(10 * time.Millisecond) {
		if rl(t, "rl-ps", "-a").OK(t); time.Now().After(end) {
			t.Fatal("a killed launcher's mount points are there still")
		}
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
