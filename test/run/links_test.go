package run

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// outside is a directory of the host with some files, which no container may touch.
type outside struct {
	dir    string
	before string
}

func newOutside(t *testing.T) outside {
	t.Helper()
	dir := t.TempDir() + "/outside"
	write(t, dir+"/file", "canary")
	write(t, dir+"/resolv.conf", "canary")
	write(t, dir+"/sub/file", "canary")
	return outside{dir, hostProbe(t, "tree", dir).Run(t).OK(t)}
}

func (o outside) untouched(t *testing.T, what string) {
	t.Helper()
	if after := hostProbe(t, "tree", o.dir).Run(t).OK(t); after != o.before {
		t.Errorf("%s: what lies outside of ROOTFS is now\n%s\nand was\n%s", what, after, o.before)
	}
}

// The three that must be real directories.
func TestKernelFilesystemsOnLinks(t *testing.T) {
	begin(t)
	for _, name := range []string{"/proc", "/sys", "/dev"} {
		tree := trial.NewTree(t)
		for _, form := range []string{"outside", "relative", "inside", "dangling", "magic"} {
			o := newOutside(t)
			target := map[string]string{
				"outside": o.dir, "relative": "../../../../../.." + o.dir, "inside": "/mnt", "dangling": "/nowhere/here", "magic": "/proc/self/root",
			}[form]
			link(t, target, tree+name)
			modes := [][]string{nil, {"--copy"}, {"--rw"}, {"--read-only"}, {"--security-opt", "seccomp=unconfined"}}
			if bound := map[string]string{"/proc": "--pid=host", "/sys": "--net=host"}[name]; bound != "" { // the host's is bound there
				modes = append(modes, []string{bound}, []string{bound, "--rw"})
			}
			for _, mode := range modes {
				what := fmt.Sprintf("%s -> %s (%s) %q", name, target, form, mode)
				r := trial.Run(t, script(mode, tree, "true")...)
				clear := strings.Contains(r.Stderr, "real director") || strings.Contains(r.Stderr, "symbolic links")
				if r.Code != 125 || !strings.HasPrefix(r.Stderr, "rl-run: error: ") || !strings.Contains(r.Stderr, name) || !clear {
					t.Errorf("%s: exit code %d, stderr %q", what, r.Code, r.Stderr)
				}
				o.untouched(t, what)
			}
			if entries, err := os.ReadDir(tree + "/mnt"); err != nil || len(entries) > 0 {
				t.Errorf("%s: something was made in /mnt of the tree: %v %v", name, entries, err)
			}
		}
	}
}

// Other targets are resolved inside the tree, whatever their links say.
func TestTargetsOnLinks(t *testing.T) {
	begin(t)
	for _, c := range []struct {
		name    string // in the tree, becomes a link
		options []string
		look    string
		output  string
	}{
		{"/etc/resolv.conf", []string{"--dns=192.0.2.1"}, "cat /etc/resolv.conf", "nameserver 192.0.2.1"},
		{"/etc/hosts", nil, "grep -c localhost /etc/hosts", "2"},
		{"/etc/hostname", nil, "cat /etc/hostname", "busybox"},
		{"/etc", []string{"--dns=192.0.2.1"}, "cat /etc/resolv.conf", "nameserver 192.0.2.1"},
		{"/mnt", []string{"--tmpfs=/mnt"}, "touch /mnt/x; ls /mnt", "x"},
		{"/mnt", []string{"--tmpfs=/mnt/deep/er"}, "touch /mnt/deep/er/x; ls /mnt/deep/er", "x"},
		{"/mnt", []string{"-w", "/mnt"}, "pwd", "/mnt"},
		{"/mnt", []string{"-v", "SOURCE:/mnt"}, "cat /mnt/of-source", "source"},
		{"/mnt", []string{"-v", "SOURCE/of-source:/mnt/in/file"}, "cat /mnt/in/file", "source"},
		{"/opt", []string{"-v", "SOURCE:/opt/sub"}, "cat /opt/sub/of-source", "source"},
	} {
		tree := trial.NewTree(t)
		for _, mode := range [][]string{nil, {"--rw"}, {"--copy"}} {
			for _, relative := range []string{"", "../../../../../.."} {
				o, source := newOutside(t), t.TempDir()
				write(t, source+"/of-source", "source")
				target := relative + o.dir
				if strings.Contains(c.look, "cat "+c.name) || strings.HasPrefix(c.name, "/etc/") {
					target += "/resolv.conf"
				}
				link(t, target, tree+c.name)
				before := names(t, tree)
				options := append([]string{}, mode...)
				for _, option := range c.options {
					options = append(options, strings.Replace(option, "SOURCE", source, 1))
				}
				what := fmt.Sprintf("%s -> %s %q", c.name, target, options)
				r := trial.Run(t, script(options, tree, c.look)...)
				if r.Code != 0 || strings.TrimSpace(r.Stdout) != c.output && c.name != "/mnt" {
					t.Errorf("%s: exit code %d, stdout %q, stderr %q", what, r.Code, r.Stdout, r.Stderr)
				}
				o.untouched(t, what)
				want(t, what+": names in the tree", names(t, tree), before)
			}
		}
	}
}

// Links that lead in a circle or through a file end the start, with a message.
func TestTargetsOnBadLinks(t *testing.T) {
	begin(t)
	for _, target := range []string{"loop", "/etc/loop/x", "/etc/passwd/x"} {
		tree := trial.NewTree(t)
		link(t, target, tree+"/etc/loop")
		trial.Run(t, "--quiet", "--tmpfs", "/etc/loop", tree, "true").Fails(t, 125, "rl-run: error: ", "/etc/loop")
	}
}

// The tree is changed while containers start in it: a directory becomes a link to the
// outside and a directory again. Starts may fail; nothing may be made outside.
func TestTargetsThatChange(t *testing.T) {
	begin(t)
	for _, name := range []string{"/mnt/a", "/proc", "/etc"} {
		tree, o, source := trial.NewTree(t), newOutside(t), t.TempDir()
		link(t, o.dir, tree+"/other")
		if err := os.MkdirAll(tree+name, 0o755); err != nil {
			t.Fatal(err)
		}
		stop, stopped := make(chan struct{}), make(chan error)
		go func() {
			for {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
				}
				err := unix.Renameat2(unix.AT_FDCWD, tree+name, unix.AT_FDCWD, tree+"/other", unix.RENAME_EXCHANGE)
				if errors.Is(err, unix.ENOENT) {
					// Taken for a mount point that had been made, and removed: it was empty.
					err = os.MkdirAll(tree+name, 0o755)
				}
				if err != nil {
					stopped <- os.NewSyscallError("renameat2", err)
					return
				}
			}
		}()
		started := 0
		for i := range 40 {
			mode := []string{"--rw", "--quiet"}[i%2:]
			r := trial.Run(t, script(append(mode, "-v", source+":/mnt/a/b/c", "--tmpfs", "/mnt/a/d", "-w", "/etc/e"), tree, "true")...)
			if r.Code == 0 {
				started++
			} else if r.Code != 125 || !strings.HasPrefix(r.Stderr, "rl-run: error: ") {
				t.Errorf("exit code %d, stderr %q", r.Code, r.Stderr)
			}
		}
		close(stop)
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d of 40 starts went well", name, started)
		o.untouched(t, "a tree that changes at "+name)
	}
}

// Sources of binds follow links, as a user expects who names one.
func TestSourcesOnLinks(t *testing.T) {
	begin(t)
	dir := t.TempDir()
	write(t, dir+"/real/file", "x")
	link(t, "real", dir+"/link")
	want(t, "a bind", inside(t, "cat /bound/file", "-v", dir+"/link:/bound"), "x")
}

// A passwd that leads outside is not read from there.
func TestPasswdOnLink(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	dir := t.TempDir()
	write(t, dir+"/passwd", "root:x:0:0:root:/stolen:/stolen/sh\n")
	link(t, dir+"/passwd", tree+"/etc/passwd")
	lacks(t, "environment", trial.Run(t, "--quiet", tree, "env").OK(t), "stolen")
}

// A rename anywhere on the machine makes the kernel give up the lookup of a path with ".." in
// it, where that must not leave a root (openat2(2), EAGAIN). A start is not to fail for that.
func TestRenamesElsewhere(t *testing.T) {
	begin(t)
	tree, dir := trial.NewTree(t), t.TempDir()
	write(t, tree+"/run/resolv.conf", "")
	link(t, "../run/../run/../run/resolv.conf", tree+"/etc/resolv.conf")
	write(t, dir+"/a", "")
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for busy := true; busy; {
			select {
			case <-stop:
				busy = false
			default:
			}
			err := os.Rename(dir+"/a", dir+"/b")
			if err == nil {
				err = os.Rename(dir+"/b", dir+"/a")
			}
			if err != nil {
				stopped <- err
				return
			}
		}
		stopped <- nil
	}()
	failed := 0
	for range 50 {
		if r := trial.Run(t, "--quiet", tree, "true"); r.Code != 0 {
			failed++
			t.Log(r.Stderr)
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if failed > 0 {
		t.Errorf("%d of 50 starts failed", failed)
	}
}
