package launch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/passwd"
	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/plan"
)

// outside runs a script in an outer user, mount, pid and net namespace, made as
// any user can make it. rl-run's path is $1, a tree's $2.
func outside(t *testing.T, tree, script string) trial.Result {
	t.Helper()
	unshare := trial.NeedTool(t, "unshare")
	return trial.Command{
		Path: unshare,
		Args: []string{"-Urmnpf", "--mount-proc", "sh", "-euc", script, "sh", trial.Bin(t, "rl-run"), tree},
	}.Run(t)
}

// maskProc hides a part of the outer /proc, as container engines do: the kernel
// then refuses a proc to a new pid namespace (mount_too_revealing).
const maskProc = `
	for dir in /proc/acpi /proc/irq; do [ ! -d $dir ] || mount -t tmpfs none $dir; done
	mount --bind /proc/sys /proc/sys
	mount -o remount,bind,ro /proc/sys
`

const maskSys = `
	mount -t sysfs none /sys
	for dir in /sys/firmware /sys/kernel/debug /sys/kernel; do
		if [ -d $dir ] && [ -n "$(ls -A $dir)" ]; then mount -t tmpfs none $dir && break; fi
	done
`

// notes are the lines that say what is less than was asked for.
func notes(stderr string) (found []string) {
	for line := range strings.Lines(stderr) {
		if text, ok := strings.CutPrefix(line, "rl-run: note: "); ok && !strings.Contains(text, "id is mapped") && !strings.Contains(text, "ubordinate") {
			found = append(found, strings.TrimSpace(text))
		}
	}
	return found
}

func TestFallsBackToTheOuterProc(t *testing.T) {
	leak.Watch(t)
	r := outside(t, trial.Tree(t, "busybox"), maskProc+`
		count() { set -- /proc/[0-9]*/ && processes=$#; }
		count && before=$processes
		"$1" --net=none "$2" sh -c 'grep -c " /proc " /proc/self/mountinfo; readlink /proc/self/exe; ls -A /proc/irq; echo >/proc/sys/kernel/hostname' && exit 1
		count && [ $processes = $before ] # the child that failed was torn down
	`)
	lines := strings.Split(r.OK(t), "\n")
	if len(lines) < 2 || !strings.HasSuffix(lines[1], "/busybox") {
		t.Errorf("stdout: %s", r.Stdout)
	}
	if !strings.Contains(r.Stderr, "Read-only file system") {
		t.Errorf("the outer read-only /proc/sys can be written:\n%s", r.Stderr)
	}
	if n := notes(r.Stderr); len(n) != 1 || !strings.Contains(n[0], "/proc is masked") {
		t.Errorf("notes %q, want one about /proc\n%s", n, r.Stderr)
	}
}

func TestFallsBackToTheOuterSys(t *testing.T) {
	leak.Watch(t)
	r := outside(t, trial.Tree(t, "busybox"), maskSys+`"$1" --net=none "$2" grep " /sys " /proc/self/mountinfo`)
	if out := r.OK(t); !strings.Contains(out, " - sysfs ") || !strings.Contains(out, " ro,") {
		t.Errorf("mountinfo: %s", out)
	}
	if n := notes(r.Stderr); len(n) != 1 || !strings.Contains(n[0], "/sys is masked") {
		t.Errorf("notes %q, want one about /sys\n%s", n, r.Stderr)
	}
}

func TestFallsBackTwiceInOneStart(t *testing.T) {
	leak.Watch(t)
	r := outside(t, trial.Tree(t, "busybox"), maskSys+maskProc+`"$1" --net=none "$2" echo started`)
	if out := r.OK(t); out != "started" {
		t.Errorf("stdout %q", out)
	}
	n := notes(r.Stderr)
	slices.Sort(n)
	if len(n) != 2 || !strings.Contains(n[0], "/proc is masked") || !strings.Contains(n[1], "/sys is masked") {
		t.Errorf("notes %q, want one about /proc and one about /sys\n%s", n, r.Stderr)
	}
}

const submount = `
	mount -t tmpfs none "$2/mnt"
	echo below >"$2/mnt/file"
`

func TestTreeWithSubmounts(t *testing.T) {
	leak.Watch(t)
	tree := trial.NewTree(t)
	for _, name := range []string{"etc/hosts", "etc/hostname", "etc/resolv.conf"} {
		if err := os.WriteFile(filepath.Join(tree, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := outside(t, tree, submount+`"$1" --net=none "$2" sh -c 'cat /mnt/file; touch /new /mnt/new && exit 1; exit 0'`)
	if out := r.OK(t); out != "below" {
		t.Errorf("stdout %q", out)
	}
	if n := notes(r.Stderr); len(n) != 1 || !strings.Contains(n[0], "has mounts below it") {
		t.Errorf("notes %q, want one about the mounts\n%s", n, r.Stderr)
	}
	for _, name := range []string{"/new", "/mnt/new"} {
		if !strings.Contains(r.Stderr, name+": Read-only file system") {
			t.Errorf("%s can be made:\n%s", name, r.Stderr)
		}
	}

	for _, option := range []string{"--rw", "--copy"} {
		r := outside(t, tree, submount+`"$1" --net=none `+option+` "$2" sh -c 'cat /mnt/file; echo >/mnt/new'`)
		if out := r.OK(t); out != "below" || len(notes(r.Stderr)) != 0 {
			t.Errorf("%s: stdout %q, stderr %q", option, out, r.Stderr)
		}
	}
}

func TestTreeWithSubmountsThatLacksAMountPoint(t *testing.T) {
	leak.Watch(t)
	tree := trial.NewTree(t)
	if err := os.Remove(filepath.Join(tree, "proc")); err != nil {
		t.Fatal(err)
	}
	outside(t, tree, submount+`"$1" --net=none "$2" true`).Fails(t, 125, "mounts below it", "mount point /proc", "hint: --copy")
	outside(t, tree, submount+`"$1" --net=none --keep "$2.layer" "$2" true`).Fails(t, 125, "--keep", "mounts below it")
}

// launched starts a container from this process with facts of the test's own.
func launched(t *testing.T, s Spec, change func(*Host)) (code int) {
	t.Helper()
	stdinOf(t, os.DevNull)
	h, err := Probe(&s)
	if err != nil {
		t.Fatal(err)
	}
	change(&h)
	var signals [2]int // none ever comes
	if err := unix.Pipe2(signals[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(signals[0])
	defer unix.Close(signals[1])
	c, err := Launch(&s, &h, nil, plan.Options{}, func(string) {}, func(*Start) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if code, err = c.Supervise(signals[0]); err != nil {
		t.Fatal(err)
	}
	return code
}

// On a kernel whose tmpfs takes no user xattrs the writes go to disk, and are
// gone at the end, whoever owns them in the container.
func TestLayersOnDisk(t *testing.T) {
	leak.Watch(t)
	base := t.TempDir()
	layers := filepath.Join(base, "layers")
	spec := Spec{
		Rootfs: trial.Tree(t, "busybox"), RootMode: RootEphemeral, Net: NetNone,
		Command: []string{"sh", "-c", `
			set -e
			mkdir /opt/d && echo x >/opt/d/f && rm -r /var/log && mkdir /var/log && [ -z "$(ls -A /var/log)" ]
			chown 7:7 /opt/d 2>/dev/null || :
			chmod 0 /opt/d
			grep ' / / ' /proc/self/mountinfo | grep -q upperdir=/proc/self/fd/`},
	}
	code := launched(t, spec, func(h *Host) { h.Facts.TmpfsUpper, h.Layers = false, layers })
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(layers); !os.IsNotExist(err) {
		t.Errorf("%s is left behind: %v", layers, err)
	}
}

// What --keep kept is there in the next start, with the same tree and maps only.
func TestKeptLayer(t *testing.T) {
	leak.Watch(t)
	dir := filepath.Join(t.TempDir(), "kept")
	tree := trial.Tree(t, "busybox")
	keep := func(tree string, args ...string) trial.Result {
		return trial.Run(t, append([]string{"--net=none", "--keep", dir, tree}, args...)...)
	}
	keep(tree, "sh", "-c", "echo one >/opt/file && rm /etc/passwd").OK(t)
	if out := keep(tree, "sh", "-c", "cat /opt/file; ls /etc/passwd || true").OK(t); out != "one" {
		t.Errorf("the second start sees %q", out)
	}
	keep(trial.NewTree(t), "true").Fails(t, 125, dir, "another ROOTFS")
	if os.Geteuid() != 0 { // root's own map is that of a single id too
		trial.Run(t, "--net=none", "--userns=single", "--keep", dir, tree, "true").Fails(t, 125, dir, "other id maps")
	}
}

// The start that is compiled again takes the same layer once more.
func TestKeptLayerOfAStartThatFallsBack(t *testing.T) {
	leak.Watch(t)
	dir := filepath.Join(t.TempDir(), "kept")
	for _, want := range []string{"", "x"} {
		r := outside(t, trial.Tree(t, "busybox"), maskProc+`"$1" --net=none --keep `+dir+` "$2" sh -c 'ls /opt; touch /opt/x'`)
		if out := r.OK(t); out != want {
			t.Errorf("/opt holds %q, want %q", out, want)
		}
	}
}

// A file of the tree that is read for names is not trusted to be one.
func TestUserOfTheTree(t *testing.T) {
	leak.Watch(t)
	tree := trial.NewTree(t)
	if err := os.WriteFile(filepath.Join(tree, "etc/passwd"), []byte("root:x:0:0::/opt:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := Spec{
		Rootfs: tree, RootMode: RootEphemeral, Net: NetNone, User: passwd.Spec{User: "root"},
		Command: []string{"sh", "-c", `[ "$HOME" = /opt ] && [ "$USER" = root ] && exit 7`},
	}
	if code := launched(t, spec, func(*Host) {}); code != 7 {
		t.Errorf("exit code %d", code)
	}
}
