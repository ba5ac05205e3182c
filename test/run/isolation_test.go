package run

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// rootModes are the options that decide how the root is made.
var rootModes = [...][]string{nil, {"--copy"}, {"--read-only"}, {"--rw"}, {"--keep"}}

// rootOptions are the options of a mode for a test that needs no more of it.
func rootOptions(t *testing.T, mode []string) []string {
	t.Helper()
	if slices.Equal(mode, []string{"--keep"}) {
		dir := t.TempDir() + "/layers"
		removeMapped(t, dir)
		return []string{"--keep", dir}
	}
	return mode
}

// The host's root is not reachable: ".." of the root is the root, and of all mounts that the
// container sees none is older than itself.
func TestNoWayOut(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	canary := t.TempDir() + "/canary"
	write(t, canary, "of the host")
	for _, mode := range rootModes {
		options := rootOptions(t, mode)
		name := strings.Join(append([]string{"root"}, mode...), " ")
		got := trial.Run(t, script(options, tree, `
			for d in / /.. /../.. /proc/1/root /proc/self/root/.. /proc/1/cwd/.. /dev/../..; do stat -L -c %d:%i $d; done | sort -u | wc -l
			cat "/..$1" "/../..$1" "/proc/1/root$1" "/proc/1/cwd/..$1" "/proc/self/cwd/..$1" 2>/dev/null`, canary)...).Stdout
		want(t, name+": places of the root, and what lies beyond", strings.TrimSpace(got), "1")

		var mounts []string
		for line := range strings.Lines(trial.Run(t, script(options, tree, "cat /proc/self/mountinfo")...).OK(t)) {
			mounts = append(mounts, strings.Fields(line)[4])
		}
		if mounts[0] != "/" || slices.Index(mounts[1:], "/") >= 0 {
			t.Errorf("%s: not one mount of the root: %q", name, mounts)
		}
		for _, m := range mounts[1:] {
			if !slices.ContainsFunc([]string{"/proc", "/sys", "/dev", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"},
				func(top string) bool { return m == top || strings.HasPrefix(m, top+"/") }) {
				t.Errorf("%s: something is mounted on %s", name, m)
			}
		}
	}
}

// What is mounted where, in the default form.
func TestMountTable(t *testing.T) {
	begin(t)
	got := map[string]string{}
	for line := range strings.Lines(inside(t, "cat /proc/self/mountinfo")) {
		f := strings.Fields(line)
		dash := slices.Index(f, "-")
		got[f[4]] = f[dash+1] + " " + f[5] + " " + f[dash+3]
	}
	for _, m := range []struct {
		point, kind string
		options     []string
	}{
		{"/", "overlay", []string{"rw", "userxattr"}},
		{"/proc", "proc", []string{"rw", "nosuid", "nodev", "noexec"}},
		{"/sys", "sysfs", []string{"ro", "nosuid", "nodev", "noexec"}},
		{"/dev", "tmpfs", []string{"nosuid", "mode=755"}},
		{"/dev/pts", "devpts", []string{"nosuid", "noexec", "ptmxmode=666", "mode=620"}},
		{"/dev/shm", "tmpfs", []string{"nosuid", "nodev", "noexec"}},
		{"/dev/mqueue", "mqueue", []string{"nosuid", "nodev", "noexec"}},
		{"/proc/sys", "proc", []string{"ro"}},
		{"/proc/irq", "proc", []string{"ro"}},
		{"/proc/bus", "proc", []string{"ro"}},
		{"/proc/fs", "proc", []string{"ro"}},
		{"/etc/hosts", "tmpfs", []string{"rw"}},
		{"/etc/hostname", "tmpfs", []string{"rw"}},
		{"/etc/resolv.conf", "tmpfs", []string{"rw"}},
	} {
		words := strings.FieldsFunc(got[m.point], func(r rune) bool { return r == ' ' || r == ',' })
		if len(words) == 0 || words[0] != m.kind {
			t.Errorf("on %s: %q, want a %s", m.point, got[m.point], m.kind)
			continue
		}
		for _, o := range m.options {
			if !slices.Contains(words, o) {
				t.Errorf("on %s: %q lacks %s", m.point, got[m.point], o)
			}
		}
	}
}

func TestMountsArePrivate(t *testing.T) {
	begin(t)
	lacks(t, "propagation", inside(t, "cat /proc/self/mountinfo"), "shared:", "master:")
	source := t.TempDir()
	holds(t, "propagation with a slave bind", inside(t, "grep ' /bound ' /proc/self/mountinfo", "-v", source+":/bound:rslave"), " /bound ")
}

// Nothing of what a container does to its root is seen outside, and the tree it was
// started in is the same, times and all.
func TestTreeStaysAsItIs(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	write(t, tree+"/data/file", "as it was")
	before := hostProbe(t, "tree", tree).Run(t).OK(t)
	change := `set -e
		echo changed > /data/file; rm /etc/passwd; mkdir /new /mnt/new; touch /root/x
		chmod 700 /home; chown 5:5 /opt; rm -r /var; mkdir /var; ln -s x /data/link; touch -d 1999-01-01 /bin/busybox`
	for _, mode := range [][]string{nil, {"--copy"}} {
		trial.Run(t, script(mode, tree, change)...).OK(t)
		want(t, "the tree afterwards", hostProbe(t, "tree", tree).Run(t).OK(t), before)
	}
	trial.Run(t, script([]string{"--read-only"}, tree, change)...).Fails(t, 1, "Read-only file system")
	want(t, "the tree after --read-only", hostProbe(t, "tree", tree).Run(t).OK(t), before)
}

func TestWorkingDirectoryIsInside(t *testing.T) {
	begin(t)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	want(t, "cwd", inside(t, "pwd; readlink /proc/self/cwd"), "/\n/")
	lacks(t, "all mounts", inside(t, "cat /proc/self/mountinfo"), dir)
}

// The state of containers lies in ROOTFS: the container, whose root is the caller outside, sees an empty directory, whether
// or not it was there before.
func TestStateInRootfs(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	if err := os.Mkdir(tree+"/state", 0o700); err != nil {
		t.Fatal(err)
	}
	env := []string{"XDG_RUNTIME_DIR=" + tree + "/state"}
	in := func(args []string) trial.Command { return trial.Command{Args: args, Env: env} }
	// Where one is running, its own state is written down at once: such a container is listed from the start on.
	look := "ls -A /state/rl-run; touch /state/rl-run/x 2>/dev/null && echo written; ls /state"
	for _, mode := range rootModes {
		if slices.Equal(mode, []string{"--rw"}) { // is refused: test/hostile
			continue
		}
		options := rootOptions(t, mode)
		want(t, strings.Join(append([]string{"root"}, mode...), " "), in(script(options, tree, look)).Run(t).OK(t), "rl-run")

		other := in([]string{"--quiet", "--net=none", "--name", "other", trial.Tree(t, "busybox"), "sh", "-c", "echo up; exec sleep 100"}).Start(t)
		other.Stdout("up")
		want(t, strings.Join(append([]string{"beside another, root"}, mode...), " "), in(script(options, tree, look)).Run(t).OK(t), "rl-run")
		other.Signal(unix.SIGTERM)
		other.Wait()
	}
	refused := func(what string, args ...string) {
		t.Helper()
		r := in(args).Run(t)
		r.Fails(t, 125)
		holds(t, what, r.Stderr, "rl-run: error: use ", "as ROOTFS: the state of rl-run's containers is in reach there")
	}
	refused("a capability to unmount", "--net=none", "--cap-add", "cap_sys_admin", tree, "true")
	refused("all capabilities", "--net=none", "--cap-add", "ALL", tree, "true")
	other := in([]string{"--quiet", "--net=none", "--name", "other", trial.Tree(t, "busybox"), "sh", "-c", "echo up; exec sleep 100"}).Start(t)
	other.Stdout("up")
	refused("the state itself", "--net=none", tree+"/state/rl-run", "true")
	other.Signal(unix.SIGTERM)
	other.Wait()
	if left, err := os.ReadDir(tree + "/state"); err != nil || len(left) != 0 {
		t.Errorf("%v is left of the state, %v", left, err)
	}
}
