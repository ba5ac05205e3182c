package run

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// bare is a tree of nothing but busybox.
func bare(t *testing.T) string {
	t.Helper()
	tree := t.TempDir() + "/bare"
	program := filepath.Join(trial.Tree(t, "busybox"), "bin/busybox")
	write(t, tree+"/bin/busybox", read(t, program))
	if err := os.Chmod(tree+"/bin/busybox", 0o755); err != nil {
		t.Fatal(err)
	}
	return tree
}

const lookAround = `set -e; cd /bin; for a in ls id cat mkdir; do /bin/busybox $a --help >/dev/null 2>&1; done
	b=/bin/busybox; [ -d /proc/self ]; [ -d /sys/class ]; [ -c /dev/null ]; [ -s /etc/hosts ]; $b id -u; $b ls /`

func TestTreeWithoutAnything(t *testing.T) {
	begin(t)
	for _, mode := range rootModes {
		tree := bare(t)
		args := append([]string{"--quiet"}, rootOptions(t, mode)...)
		r := trial.Run(t, append(args, tree, "/bin/busybox", "sh", "-c", lookAround)...)
		got := r.OK(t)
		holds(t, strings.Join(mode, " "), got, "0\n", "bin\n", "dev\n", "etc\n", "proc\n", "sys")
		want(t, strings.Join(mode, " ")+": the tree afterwards", words(names(t, tree)), words(tree+" "+tree+"/bin "+tree+"/bin/busybox"))
	}
}

// Trees on which nothing may be written, by their modes or by a mount.
func TestTreeOnReadOnlyDisk(t *testing.T) {
	begin(t)
	for _, tree := range []string{bare(t), trial.NewTree(t)} {
		setup := `mount --bind "$2" "$2"; mount -o remount,bind,ro "$2"; if touch "$2/x" 2>/dev/null; then exit 99; fi
			run=$1; shift 2; exec "$run" "$@"`
		for _, mode := range [][]string{nil, {"--copy"}, {"--read-only"}} {
			args := append(append([]string{tree, "--quiet"}, mode...), tree, "/bin/busybox", "sh", "-c", lookAround)
			holds(t, strings.Join(mode, " "), outer(t, setup, args...).Run(t).OK(t), "0\n", "proc\n")
		}
		args := []string{tree, "--quiet", tree, "/bin/busybox", "sh", "-c", "echo x >/made && /bin/busybox cat /made"}
		want(t, "a write", outer(t, setup, args...).Run(t).OK(t), "x")
		args = []string{tree, "--quiet", "--rw", tree, "/bin/busybox", "sh", "-c", "echo x >/made"}
		if r := outer(t, setup, args...).Run(t); r.Code == 0 {
			t.Error("--rw writes to a read-only tree")
		}
	}
}

func TestTreeWithoutWritePermission(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	mapped(t, "sh", "-c", `find "$1" -type d -exec chmod a-w {} +`, "sh", tree).Run(t).OK(t)
	t.Cleanup(func() { mapped(t, "sh", "-c", `find "$1" -type d -exec chmod u+w {} +`, "sh", tree).Run(t) })
	for _, mode := range [][]string{nil, {"--copy"}, {"--read-only"}} {
		holds(t, strings.Join(mode, " "), trial.Run(t, script(mode, tree, lookAround)...).OK(t), "0\n")
	}
	want(t, "a write", inTreeWith(t, tree, "echo x >/made && cat /made"), "x")
}

func inTreeWith(t *testing.T, tree, text string, options ...string) string {
	t.Helper()
	return trial.Run(t, script(options, tree, text)...).OK(t)
}

// Mounts below ROOTFS: an overlay would lay bare what they hide, so the tree is read-only,
// copied, or bound with them.
func TestTreeWithMountsBelow(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	write(t, tree+"/mnt/covered", "")
	setup := `mount -t tmpfs tmpfs "$2/mnt"; echo mounted >"$2/mnt/file"; run=$1; shift 2; exec "$run" "$@"`
	start := func(text string, options ...string) trial.Result {
		args := append(append([]string{tree}, options...), tree, "sh", "-c", text)
		return outer(t, setup, args...).Run(t)
	}
	for _, mode := range [][]string{nil, {"--copy"}, {"--rw"}, {"--read-only"}} {
		r := start("cat /mnt/file; ls /mnt", mode...)
		want(t, strings.Join(mode, " "), r.OK(t), "mounted\nfile")
		if note := strings.Contains(r.Stderr, "rl-run: note: "+tree+" has mounts below it"); note != (mode == nil) {
			t.Errorf("%q: note %t: %q", mode, note, r.Stderr)
		}
	}
	start("touch /x").Fails(t, 1, "Read-only file system")
	start("touch /mnt/x").Fails(t, 1, "Read-only file system")
	start("touch /mnt/x", "--read-only").Fails(t, 1, "Read-only file system")
	start("touch /x /mnt/x", "--copy").OK(t)
	start("touch /x /mnt/x; rm /x", "--rw").OK(t)

	remove(t, tree+"/sys")
	start("true").Fails(t, 125, "has mounts below it", "/sys", "rl-run: hint: --copy")
}

// A tree of the host's real root: readable, not writable, and its owners have no id here.
// (For some 100 µs the name of process 1 is still the launcher's.)
func TestTreeOfRealRoot(t *testing.T) {
	begin(t)
	for _, options := range [][]string{nil, {"--read-only"}} {
		r := trial.Run(t, append(options, "/", "sh", "-c", "sleep 0.2; id -u; cat /proc/1/comm; stat -c %u /etc; ls /proc | grep -c '^[0-9]'")...)
		got := strings.Fields(r.OK(t))
		if len(got) != 4 || got[0] != "0" || got[1] != "rl-init" || got[2] != "65534" {
			t.Errorf("%q: %q", options, got)
		}
		if note := strings.Contains(r.Stderr, "rl-run: note: / "); note != (options == nil) {
			t.Errorf("%q: note %t: %q", options, note, r.Stderr)
		}
		trial.Run(t, append(options, "/", "sh", "-c", "echo x >/etc/made")...).Fails(t, 2)
	}
	if _, err := os.Lstat("/etc/made"); err == nil {
		t.Error("a file was made on the host")
	}
	want(t, "a writable place", trial.Run(t, "--quiet", "--tmpfs", "/mnt", "/", "sh", "-c", "echo x >/mnt/made && cat /mnt/made").OK(t), "x")
	// Without mounts below: any directory of root's that has a program in it.
	r := trial.Run(t, "/usr", "/bin/true")
	if r.Code != 0 && r.Code != 127 { // dynamically linked, it may lack its loader
		t.Errorf("ROOTFS /usr: exit code %d\n%s", r.Code, r.Stderr)
	}
	holds(t, "stderr", r.Stderr, "/usr belongs to uid 0")
}

// The note names who has no id, and a writable tree whose owner has one can be written to.
func TestTreeOfUnmappedGroup(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	mapped(t, "chgrp", "1", tree).Run(t).OK(t) // a subordinate id, which is not mapped in a container of one id
	r := trial.Run(t, "--userns=single", tree, "sh", "-c", "echo x >/made")
	r.Fails(t, 1, "Read-only file system")
	if ok, _ := regexp.MatchString(`note: \S+ belongs to gid \d+, which has no id`, r.Stderr); !ok {
		t.Errorf("no note of the group: %q", r.Stderr)
	}
	r = trial.Run(t, "--userns=single", "--rw", tree, "sh", "-c", "echo x >/made && cat /made && rm /made")
	want(t, "a write", r.OK(t), "x")
	remove(t, tree+"/etc/hosts")
	holds(t, "own /etc/hosts", trial.Run(t, "--userns=single", "--rw", tree, "cat", "/etc/hosts").OK(t), "localhost")
	if strings.Contains(r.Stderr, "has no id") {
		t.Errorf("said to be refused: %q", r.Stderr)
	}
}

// With a map that lacks some owners of the tree their files are as nobody's.
func TestTreeWithUnmappedOwners(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	removeMapped(t, tree)
	mapped(t, "sh", "-euc", `mkdir "$1"/srv; echo x >"$1"/srv/file; chown -R 1000:1000 "$1"/srv`, "sh", tree).Run(t).OK(t)
	for _, mode := range [][]string{nil, {"--read-only"}, {"--rw"}} {
		want(t, strings.Join(mode, " "), inTreeWith(t, tree, "stat -c %u:%g /srv; cat /srv/file", append(mode, "--userns=single")...), "65534:65534\nx")
	}
	want(t, "a copy", inTreeWith(t, tree, "stat -c %u:%g /srv; cat /srv/file", "--copy", "--userns=single"), "0:0\nx")
}

func TestNoRootfs(t *testing.T) {
	tree := begin(t)
	empty, file := t.TempDir(), t.TempDir()+"/file"
	write(t, file, "")
	for rootfs, message := range map[string]string{
		"/no/such": "no such file", file: "not a directory", empty: "empty", tree + "/bin/no": "no such file",
		"debian:12": "rl-run: hint: ROOTFS is a directory, not an image",
	} {
		trial.Run(t, rootfs, "true").Fails(t, 125, "rl-run: error: ", rootfs, message)
	}
}
