package badinput

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

func TestRootfs(t *testing.T) {
	begin(t)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.Mkdir(path("empty"), 0o755))
	must(t, os.MkdirAll(path("locked/tree/bin"), 0o755))
	must(t, os.Chmod(path("locked"), 0o600))
	t.Cleanup(func() { must(t, os.Chmod(path("locked"), 0o700)) })
	must(t, os.MkdirAll(path("secret/bin"), 0o755))
	must(t, os.Chmod(path("secret"), 0))
	t.Cleanup(func() { must(t, os.Chmod(path("secret"), 0o700)) })
	must(t, os.Symlink("loop", path("loop")))
	must(t, os.Symlink("nowhere", path("dangling")))
	must(t, unix.Mkfifo(path("fifo"), 0o644))
	write(t, path("image.tar"), "", 0o644)

	const enter = "the caller must be able to enter ROOTFS"
	const small = "scripts/mkrootfs busybox DIR makes a small"
	for _, r := range []row{
		{line: "/nowhere", error: "open /nowhere: no such file or directory", hint: small},
		{line: path("dangling"), error: "open " + path("dangling") + ": no such file or directory", hint: small},
		{line: path("image.tar"), error: "open " + path("image.tar") + ": not a directory", hint: "rl-unshare tar -xf"},
		{line: path("image.tar/x"), error: "open " + path("image.tar/x") + ": not a directory", hint: "rl-unshare tar -xf"},
		{line: path("fifo"), error: "open " + path("fifo") + ": not a directory", hint: "rl-unshare tar -xf"},
		{line: path("empty"), error: "open " + path("empty") + ": the directory is empty", hint: small},
		{line: path("locked/tree"), error: "open " + path("locked/tree") + ": permission denied", hint: enter},
		{line: path("secret"), error: "open " + path("secret") + ": permission denied", hint: enter},
		{line: path("loop"), error: "open " + path("loop") + ": too many levels of symbolic links"},
		{line: "debian:12", error: "open debian:12: no such file or directory", hint: "not an image"},
		{line: "docker.io/library/debian", error: "open docker.io/library/debian: no such file or directory", hint: "not an image"},
		{line: "docker://debian", error: "open docker://debian: no such file or directory", hint: "not an image"},
		{line: strings.Repeat("/long", 1000), error: "open /long/long…", hint: small},
		{line: "/" + strings.Repeat("a", 300), error: "open /aaa…"},
	} {
		name := r.line[max(0, len(r.line)-30):]
		t.Run(strings.ReplaceAll(name, "/", "|"), func(t *testing.T) {
			refused(t, trial.Run(t, r.line, "true"), r.code, r.error, r.hint)
		})
	}
	for name, args := range map[string][]string{
		"newline": {"/no\nrl-run: error: where", "true"},
		"escape":  {"/\x1b]0;title\a\x1b[31m", "true"},
		"C1":      {"/\u009b31m", "true"},
		"invalid": {"/\xff\xfe", "true"},
		"bidi":    {"/\u202egpj.sh", "true"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, trial.Run(t, args...), 125, "open /…", small)
		})
	}
}

// TestHostileTree gives trees whose own files are traps.
func TestHostileTree(t *testing.T) {
	begin(t)
	for name, c := range map[string]struct {
		trap  func(t *testing.T, etc string)
		args  []string
		error string // empty where the container starts
		hint  string
	}{
		"passwd is a FIFO": {
			trap:  func(t *testing.T, etc string) { must(t, unix.Mkfifo(etc+"/passwd", 0o644)) },
			error: "read rootfs /etc/passwd: not a regular file",
		},
		"passwd is a gigabyte": {
			trap:  func(t *testing.T, etc string) { sparse(t, etc+"/passwd") },
			error: "read rootfs /etc/passwd: larger than 1 MiB",
		},
		"passwd is a directory": {
			trap:  func(t *testing.T, etc string) { must(t, os.Mkdir(etc+"/passwd", 0o755)) },
			error: "read rootfs /etc/passwd: not a regular file",
		},
		"passwd is a socket": {
			trap: func(t *testing.T, etc string) {
				must(t, unix.Mknod(etc+"/passwd", unix.S_IFSOCK|0o644, 0))
			},
			error: "read rootfs /etc/passwd: not a regular file",
		},
		"passwd is a link to a device": { // of the tree, which has none
			trap: func(t *testing.T, etc string) { must(t, os.Symlink("/dev/zero", etc+"/passwd")) },
		},
		"passwd is a link out of the tree": {
			trap: func(t *testing.T, etc string) {
				must(t, os.Symlink("../../../../../../etc/passwd", etc+"/passwd"))
			},
			args: []string{"-u", "daemon"}, error: `-u daemon: unknown user "daemon" (…`,
		},
		"passwd is a link to itself": {
			trap: func(t *testing.T, etc string) { must(t, os.Symlink("passwd", etc+"/passwd")) },
		},
		"passwd is binary": {
			trap: func(t *testing.T, etc string) {
				write(t, etc+"/passwd", strings.Repeat("\x00\xff:\x1b[31m:", 1000), 0o644)
			},
			args: []string{"-u", "x\x1b[31m"}, error: `-u x?[31m: unknown user "x\x1b[31m"`,
		},
		"group is a FIFO": {
			trap: func(t *testing.T, etc string) {
				must(t, os.Remove(etc+"/group"))
				must(t, unix.Mkfifo(etc+"/group", 0o644))
			},
			error: "read rootfs /etc/group: not a regular file",
		},
		"hosts is a directory": {
			trap:  func(t *testing.T, etc string) { must(t, os.Mkdir(etc+"/hosts", 0o755)) },
			error: "mount own /etc/hosts: it is a directory in …",
		},
		"resolv.conf is a FIFO": { // mounted over
			trap: func(t *testing.T, etc string) { must(t, unix.Mkfifo(etc+"/resolv.conf", 0o644)) },
		},
		"hostname is a link to itself": {
			trap:  func(t *testing.T, etc string) { must(t, os.Symlink("hostname", etc+"/hostname")) },
			error: "open /etc/hostname: …",
		},
		"etc is a file": {
			trap: func(t *testing.T, etc string) {
				must(t, os.RemoveAll(etc))
				write(t, etc, "", 0o644)
			},
			error: "open /etc/hosts: not a directory",
		},
		"proc is a link": {
			trap: func(t *testing.T, etc string) {
				proc := filepath.Join(etc, "../proc")
				must(t, os.RemoveAll(proc))
				must(t, os.Symlink("etc", proc))
			},
			error: "mount proc on /proc (…", hint: "must be real directories",
		},
		"dev is a file": {
			trap: func(t *testing.T, etc string) {
				dev := filepath.Join(etc, "../dev")
				must(t, os.RemoveAll(dev))
				write(t, dev, "", 0o644)
			},
			error: "mount tmpfs on /dev (…", hint: "must be real directories",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree := trial.NewTree(t)
			etc := filepath.Join(tree, "etc")
			for _, own := range []string{"passwd", "hosts", "hostname", "resolv.conf"} {
				must(t, os.RemoveAll(filepath.Join(etc, own)))
			}
			c.trap(t, etc)
			before := listing(t, tree)
			r := trial.Command{Args: append(append([]string{"--quiet"}, c.args...), tree, "true")}.Run(t)
			if c.error == "" {
				r.OK(t)
			} else {
				refused(t, r, 125, c.error, c.hint)
			}
			if after := listing(t, tree); after != before {
				t.Errorf("the tree has changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

func TestWritableRootThatIsNot(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	must(t, os.RemoveAll(filepath.Join(tree, "mnt")))
	must(t, os.Chmod(tree, 0o555))
	t.Cleanup(func() { must(t, os.Chmod(tree, 0o755)) })
	src := t.TempDir()

	// Root of the container owns the tree, and no mode keeps it from writing there.
	trial.Run(t, "--rw", "--quiet", "-v", src+":/mnt", tree, "true").OK(t)
	// Nobody in the container owns this one.
	r := trial.Run(t, "--rw", "/usr", "true")
	refused(t, r, 125, "make directory /proc: permission denied (step …", "leave --rw out")
}

// Anybody who can read a directory can lock it. That ends in an error, not in a wait without end.
func TestLockedTree(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	lock, err := os.Open(tree)
	must(t, err)
	defer lock.Close()
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	refused(t, trial.Run(t, "--rw", tree, "true"), 125, "share "+tree+": another program holds a lock of the directory (step 1)", "fuser -v "+tree)
	trial.Run(t, "--quiet", tree, "true").OK(t)

	// One that is soon gone is waited for.
	time.AfterFunc(200*time.Millisecond, func() { _ = unix.Flock(int(lock.Fd()), unix.LOCK_UN) })
	trial.Run(t, "--quiet", "--rw", tree, "true").OK(t)
}

func TestKeep(t *testing.T) {
	tree := begin(t)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("file"), "", 0o644)
	write(t, path("full/notes"), "", 0o644)
	must(t, os.Mkdir(path("locked"), 0o500))
	must(t, os.Mkdir(path("in use"), 0o755))
	before := listing(t, dir)

	refused(t, trial.Run(t, "--keep", path("file"), tree, "true"), 125, "open "+path("file")+"/rl-run.layers: not a directory (step 1)", "")
	refused(t, trial.Run(t, "--keep", path("full"), tree, "true"), 125, "use "+path("full")+": the directory is not empty and holds no layer of rl-run (step 1)", "")
	refused(t, trial.Run(t, "--keep", path("locked"), tree, "true"), 125, "open "+path("locked")+"/rl-run.layers: permission denied (step 1)", "")
	refused(t, trial.Run(t, "--keep", path("nowhere/layer"), tree, "true"), 125, "mkdir "+path("nowhere/layer")+": no such file or directory (step 1)", "")
	if after := listing(t, dir); !sameButTimes(before, after) {
		t.Errorf("--keep left something:\n%s\nbefore:\n%s", after, before)
	}

	kept := path("in use")
	c := trial.Command{Args: []string{"--quiet", "--keep", kept, tree, "sh", "-c", "echo up; exec sleep 30"}}.Start(t)
	c.Stdout("up")
	refused(t, trial.Run(t, "--keep", kept, tree, "true"), 125, "lock "+kept+": in use by another container (step 1)", "")
	c.Signal(unix.SIGTERM)
	c.Wait()
	refused(t, trial.Run(t, "--keep", kept, trial.NewTree(t), "true"), 125, "use "+kept+": its layer was made with another ROOTFS or other id maps (step 1)", "")
	trial.Command{Path: trial.Bin(t, "rl-unshare"), Args: []string{"rm", "-rf", kept}}.Run(t).OK(t)
}

// sameButTimes compares two listings without the last column.
func sameButTimes(a, b string) bool {
	cut := func(s string) string {
		var lines []string
		for line := range strings.Lines(s) {
			lines = append(lines, line[:strings.LastIndexByte(line, ' ')])
		}
		return strings.Join(lines, "\n")
	}
	return cut(a) == cut(b)
}
