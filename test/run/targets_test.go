package run

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// closed gives a directory of the tree to another user of the container, who lets nobody in, as adduser(8) does with homes: the
// caller cannot look into it, and the container's root can.
func closed(t *testing.T, dir string) {
	t.Helper()
	removeMapped(t, dir)
	mapped(t, "sh", "-c", `chown -R 1000:1000 "$1" && chmod 0700 "$1"`, "sh", dir).Run(t).OK(t)
}

func TestTargetsInClosedDirectories(t *testing.T) {
	begin(t)
	source := t.TempDir()
	write(t, source+"/of-source", "source\n")
	for _, mode := range [][]string{nil, {"--rw"}, {"--copy"}, {"--read-only"}} {
		tree := trial.NewTree(t)
		write(t, tree+"/home/user/conf", "own\n")
		for _, dir := range []string{"/there", "/empty"} {
			if err := os.Mkdir(tree+"/home/user"+dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		closed(t, tree+"/home/user")
		for _, c := range []struct {
			options    []string
			text, want string
			missing    bool
		}{
			{[]string{"-v", source + "/of-source:/home/user/conf"}, "cat /home/user/conf", "source", false},
			{[]string{"-v", source + ":/home/user/there"}, "cat /home/user/there/of-source", "source", false},
			{[]string{"--tmpfs", "/home/user/empty"}, "cd /home/user/empty; grep -c ' /home/user/empty tmpfs ' /proc/mounts", "1", false},
			{[]string{"-w", "/home/user/empty/"}, "pwd", "/home/user/empty", false},
			{[]string{"-v", source + ":/home/user/new/deep/er"}, "cat /home/user/new/deep/er/of-source", "source", true},
			{[]string{"-v", source + "/of-source:/home/user/file"}, "cat /home/user/file", "source", true},
			{[]string{"--tmpfs", "/home/user/cache"}, "ls -A /home/user/cache", "", true},
			{[]string{"-w", "/home/user/wd"}, "pwd", "/home/user/wd", true},
		} {
			if c.missing && len(mode) > 0 && mode[0] == "--read-only" {
				continue
			}
			r := trial.Run(t, script(append(c.options, mode...), tree, c.text)...)
			if r.Code != 0 || strings.TrimSpace(r.Stdout) != c.want {
				t.Errorf("%q %q: %+v; want %q", mode, c.options, r, c.want)
			}
		}
		left := mapped(t, "ls", tree+"/home/user").Run(t).OK(t)
		holds(t, fmt.Sprintf("the closed directory after %q", mode), left, "conf", "empty", "there")
	}

	tree := trial.NewTree(t)
	closed(t, tree+"/etc")
	for _, mode := range [][]string{nil, {"--rw"}} {
		want(t, "/etc/hosts", trial.Run(t, script(mode, tree, "grep -c localhost /etc/hosts")...).OK(t), "2")
	}
}

// What is mounted on the way to a target hides what ROOTFS has there.
func TestTargetsBelowMounts(t *testing.T) {
	begin(t)
	source, empty := t.TempDir(), t.TempDir()
	write(t, source+"/of-source", "source\n")
	for _, mode := range [][]string{nil, {"--rw"}, {"--copy"}, {"--read-only"}} {
		tree := trial.NewTree(t)
		for _, dir := range []string{"/run/lock", "/var/tmp", "/srv/deep", "/dev/dir"} {
			if err := os.MkdirAll(tree+dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		write(t, tree+"/dev/log", "")
		write(t, tree+"/srv/file", "")
		before := names(t, tree)
		for _, c := range []struct {
			options    []string
			text, want string
		}{
			{[]string{"--tmpfs", "/run", "-v", source + ":/run/lock"}, "cat /run/lock/of-source", "source"},
			{[]string{"--tmpfs", "/run", "-v", source + ":/run/lock/deep/er"}, "cat /run/lock/deep/er/of-source", "source"},
			{[]string{"--tmpfs", "/run", "--tmpfs", "/run/lock", "-v", source + "/of-source:/run/lock/file"}, "cat /run/lock/file", "source"},
			{[]string{"-v", source + "/of-source:/dev/log"}, "cat /dev/log", "source"},
			{[]string{"-v", source + ":/dev/dir"}, "cat /dev/dir/of-source", "source"},
			{[]string{"-v", empty + ":/srv", "-v", source + "/of-source:/srv/file", "-v", source + ":/srv/deep"}, "cat /srv/file /srv/deep/of-source", "source\nsource"},
			{[]string{"--tmpfs", "/var", "-w", "/var/tmp"}, "pwd", "/var/tmp"},
			{[]string{"--tmpfs", "/var", "-w", "/var/none/deep"}, "pwd", "/var/none/deep"},
			{[]string{"--tmpfs", "/var", "-w", "/var/"}, "pwd; ls -A /var", "/var"},
			{[]string{"--tmpfs", "/var", "-w", "/var/slash/"}, "pwd; ls -A /var/slash", "/var/slash"},
			{[]string{"-v", source + "/of-source:/proc/cpuinfo", "--device", "/dev/null:/dev/dir/null"}, "cat /proc/cpuinfo; [ -c /dev/dir/null ]", "source"},
		} {
			r := trial.Run(t, script(append(c.options, mode...), tree, c.text)...)
			if r.Code != 0 || strings.TrimSpace(r.Stdout) != c.want {
				t.Errorf("%q %q: %+v; want %q", mode, c.options, r, c.want)
			}
		}
		trial.Run(t, script(append([]string{"-v", source + ":/srv", "-w", "/srv/none"}, mode...), tree, "true")...).Fails(t, 125, "/srv/none")
		want(t, fmt.Sprintf("names in the tree after %q", mode), names(t, tree), before)
	}
	want(t, "names in what was bound", strings.TrimSpace(inTree(t, source)), "of-source")
}

// What a container's user has closed to all others can be bound again: the data of a database at its second start.
func TestSourceClosedToCaller(t *testing.T) {
	begin(t)
	dir := t.TempDir() + "/data"
	for _, d := range []string{dir, dir + "/in"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir+"/in/file", "kept\n")
	closed(t, dir)
	tree := trial.Tree(t, "busybox")
	want(t, "what is in it", trial.Run(t, "--net=none", "-v", dir+":/data", tree, "cat", "/data/in/file").OK(t), "kept")
	want(t, "with --mount", trial.Run(t, "--net=none", "--mount", "type=bind,src="+dir+",dst=/data", tree, "cat", "/data/in/file").OK(t), "kept")
	// What lies in it cannot be reached by the caller, who says so.
	trial.Run(t, "--net=none", "-v", dir+"/in:/data", tree, "true").Fails(t, 125, "mount "+dir+"/in on /data: permission denied")
}
