package run

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

func TestBinds(t *testing.T) {
	tree := begin(t)
	dir := t.TempDir()
	write(t, dir+"/src/file", "of the host")
	write(t, dir+"/one", "one file")
	src := dir + "/src"
	want(t, "a directory", inside(t, "cat /bound/file; echo new >/bound/new", "-v", src+":/bound"), "of the host")
	want(t, "what was written", read(t, src+"/new"), "new\n")
	want(t, "a file", inside(t, "cat /etc/one", "-v", dir+"/one:/etc/one"), "one file")
	want(t, "over a file", inside(t, "cat /etc/passwd", "-v", dir+"/one:/etc/passwd:ro"), "one file")
	want(t, "a deep target", inside(t, "cat /a/b/c/file", "-v", src+":/a/b/c"), "of the host")
	want(t, "a bind in a bind", inside(t, "cat /bound/file /bound/in/one", "-v", src+":/bound", "-v", dir+":/bound/in"), "of the hostone file")
	remove(t, src+"/in")
	want(t, "a relative source", trial.Command{
		Args: append([]string{"--quiet", "-v", "./src:/bound"}, tree, "cat", "/bound/file"), Dir: dir,
	}.Run(t).OK(t), "of the host")
	want(t, "--mount", inside(t, "cat /bound/file; touch /bound/x 2>/dev/null || echo refused", "--mount", "type=bind,src="+src+",dst=/bound,ro"), "of the hostrefused")

	for _, c := range [][2]string{
		{src + ":/bound:ro", "touch /bound/x"},
		{src + ":/bound:ro", "echo x >/bound/file"},
		{dir + "/one:/one:ro", "echo x >/one"},
	} {
		trial.Run(t, script([]string{"-v", c[0]}, tree, c[1])...).Fails(t, 1, "Read-only file system")
	}
	if err := os.WriteFile(src+"/program", []byte("#!/bin/sh\necho ran\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	want(t, "a program", inside(t, "/bound/program", "-v", src+":/bound"), "ran")
	trial.Run(t, "-v", src+":/bound:noexec", tree, "/bound/program").Fails(t, 126, "/bound/program")
	holds(t, "flags", inside(t, "grep ' /bound ' /proc/mounts", "-v", src+":/bound"), "nosuid", "nodev")

	for value, message := range map[string]string{
		dir + "/no-such:/bound": "no-such",
		"name:/bound":           "name",
		src:                     src,
		src + ":relative":       "relative",
		src + ":/bound:what":    "what",
		src + ":/":              "",
		src + ":/etc/passwd":    "both",
		dir + "/one:/etc":       "both",
	} {
		trial.Run(t, "--quiet", "-v", value, tree, "true").Fails(t, 125, "rl-run: error: ", message)
	}
}

// ro and the rest reach the mounts below the source, and a bind takes them along.
func TestBindsAreRecursive(t *testing.T) {
	tree := begin(t)
	dir := t.TempDir()
	write(t, dir+"/src/below/covered", "")
	setup := `mount -t tmpfs tmpfs "$2/src/below"; echo mounted >"$2/src/below/file"; shift 0
		dir=$2; run=$1; shift 2; exec "$run" "$@"`
	start := func(value, text string) trial.Result {
		return outer(t, setup, append([]string{dir}, script([]string{"-v", dir + "/src:/bound" + value}, tree, text)...)...).Run(t)
	}
	want(t, "below the source", start("", "cat /bound/below/file; ls /bound/below; touch /bound/below/x").OK(t), "mounted\nfile")
	start(":ro", "touch /bound/below/x").Fails(t, 1, "Read-only file system")
	holds(t, "flags below", start(":ro,noexec", "grep ' /bound/below ' /proc/mounts").OK(t), "ro,nosuid,nodev,noexec")
}

func TestTmpfsOption(t *testing.T) {
	tree := begin(t)
	got := inside(t, "df -m /scratch | awk 'END { print $2 }'; touch /scratch/x; stat -c %a /scratch; ls /etc", "--tmpfs", "/scratch:size=1m,mode=700", "--tmpfs", "/etc")
	holds(t, "tmpfs", got, "1\n700")
	lacks(t, "tmpfs over /etc", got, "passwd")
	trial.Run(t, script([]string{"--tmpfs", "/scratch:size=1m"}, tree, "cat /bin/busybox >/scratch/x")...).Fails(t, 1, "No space left")
	want(t, "--mount type=tmpfs", inside(t, "stat -f -c %T /scratch; stat -c %u:%g /scratch", "--mount", "type=tmpfs,dst=/scratch,tmpfs-uid=5,tmpfs-gid=6"), "tmpfs\n5:6")
	trial.Run(t, script([]string{"--tmpfs", "/scratch:ro"}, tree, "touch /scratch/x")...).Fails(t, 1, "Read-only")
	want(t, "a writable place in a read-only root", inside(t, "touch /run/x && echo written", "--read-only", "--tmpfs", "/run"), "written")
	trial.Run(t, script([]string{"--tmpfs", "/t"}, tree, "cp /bin/busybox /t/true; /t/true")...).Fails(t, 126, "Permission denied")
	want(t, "exec", inside(t, "cp /bin/busybox /t/true; /t/true && echo ran", "--tmpfs", "/t:exec"), "ran")
	for _, value := range []string{"relative", "/t:size=x", "/t:what", "/"} {
		trial.Run(t, "--tmpfs", value, tree, "true").Fails(t, 125, "--tmpfs")
	}
}

// The targets are made above ROOTFS, and with --rw taken away again.
func TestMountPointsAreRemoved(t *testing.T) {
	begin(t)
	tree, source := trial.NewTree(t), t.TempDir()
	remove(t, tree+"/proc", tree+"/sys", tree+"/dev", tree+"/tmp", tree+"/etc/hosts", tree+"/etc/hostname", tree+"/etc/resolv.conf")
	write(t, source+"/x", "x")
	before := names(t, tree)
	got := trial.Run(t, script([]string{"--rw", "-v", source + ":/made/dir", "-v", source + "/x:/made/file"}, tree, "cat /made/dir/x /made/file; ls -d /proc/self")...).OK(t)
	want(t, "output", got, "xx/proc/self")
	want(t, "the tree afterwards", names(t, tree), before)

	trial.Run(t, script([]string{"--rw", "-v", source + "/x:/made/file"}, tree, "touch /made/kept; echo y >/etc/kept")...).OK(t)
	want(t, "what was put beside the mount points", read(t, tree+"/etc/kept"), "y\n")
	want(t, "and among them", strings.Join(strings.Fields(inTree(t, tree+"/made")), " "), "kept")
}

// Root of the container may write where the caller may not, although the directory is his.
func TestMountPointsAreRemovedFromShutDirectories(t *testing.T) {
	begin(t)
	tree := filepath.Join(t.TempDir(), "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	trial.Command{Path: "cp", Args: []string{filepath.Join(trial.Tree(t, "busybox"), "bin/busybox"), tree + "/sh"}}.Run(t).OK(t)
	if err := os.Chmod(tree, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(tree, 0o755) })
	before := names(t, tree)
	r := trial.Run(t, "--net=none", "--rw", tree, "/sh", "-c", "echo in")
	want(t, "output", r.OK(t), "in")
	lacks(t, "stderr", r.Stderr, "remove the mount point")
	want(t, "the tree afterwards", names(t, tree), before)
}

// One container's end must not take away the mount points of another one that runs in the
// same tree: the kernel would unmount what is mounted there.
func TestMountPointsInUseStay(t *testing.T) {
	begin(t)
	tree, source := trial.NewTree(t), t.TempDir()
	remove(t, tree+"/sys")
	write(t, source+"/x", "x")
	args := []string{"--rw", "-v", source + ":/made/dir"}
	wait, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wait.Close() })
	first := trial.Command{Args: script(args, tree, "echo ready; read x"), Stdin: wait}.Start(t)
	first.Stdout("ready")
	second := trial.Command{Args: script(args, tree, "echo ready; until [ -e /made/dir/go ]; do sleep 0.01; done; ls /sys /made/dir | sort | head -n 20")}.Start(t)
	second.Stdout("ready")
	_ = hold.Close()
	first.Wait()
	write(t, source+"/go", "")
	got := second.Wait().OK(t)
	holds(t, "the second container", got, "class", "\nx")
}

// names lists the names below a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	return trial.Command{Path: "/usr/bin/find", Args: []string{dir}}.Run(t).OK(t)
}

func inTree(t *testing.T, dir string) string {
	t.Helper()
	return trial.Command{Path: "/bin/ls", Args: []string{"-A", dir}}.Run(t).OK(t)
}
