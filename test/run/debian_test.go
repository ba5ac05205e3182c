package run

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/trial"
)

// listed is the listing of a tree as root of its id map sees it.
func listed(t *testing.T, tree string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := mapped(t, self, tree)
	c.Env = []string{probeEnv + "=tree"}
	return c.Run(t).OK(t)
}

// same compares two listings and tells where they part.
func same(t *testing.T, before, after string) {
	t.Helper()
	if before == after {
		return
	}
	old := map[string]bool{}
	for line := range strings.Lines(before) {
		old[line] = true
	}
	for line := range strings.Lines(after) {
		if !old[line] {
			t.Errorf("the tree has now:\n%s", line)
		}
		delete(old, line)
	}
	for line := range old {
		t.Errorf("the tree had before:\n%s", line)
	}
}

// install runs apt-get in a tree, over the host's network and from the real mirror.
func install(t *testing.T, tree string, options ...string) {
	t.Helper()
	args := append([]string{"--net=host"}, options...)
	r := trial.Command{
		Args: append(args, tree, "sh", "-c", "apt-get update && apt-get install -y hello && hello"), Timeout: 3 * time.Minute,
	}.Run(t)
	holds(t, "apt-get", r.OK(t), "Setting up hello", "Hello, world!")
}

func TestInstallPackage(t *testing.T) {
	begin(t)
	tree := trial.Tree(t, "debian")
	before := listed(t, tree)
	install(t, tree)
	same(t, before, listed(t, tree))
	trial.Run(t, tree, "hello").Fails(t, 127, "command not found")
}

func TestInstallPackageForGood(t *testing.T) {
	begin(t)
	source := trial.Tree(t, "debian")
	tree := t.TempDir() + "/debian"
	removeMapped(t, tree)
	mapped(t, "cp", "-a", source, tree).Run(t).OK(t)
	install(t, tree, "--rw")
	holds(t, "hello of the next start", trial.Run(t, tree, "hello").OK(t), "Hello, world!")
}

// Debian's own tools see a whole system.
func TestDebianTools(t *testing.T) {
	begin(t)
	tree := trial.Tree(t, "debian")
	got := trial.Run(t, script(nil, tree, `set -e
		getent passwd root; locale | grep ^LC_ALL=; perl -e 'print "perl\n"'; dpkg --audit
		su nobody -s /bin/sh -c 'id -un'; test -w /dev/shm; mktemp -d >/dev/null; tty || true`)...).OK(t)
	holds(t, "tools", got, "root:x:0:0", "LC_ALL=", "perl\n", "nobody\n", "not a tty")
}
