package run

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// owners is what a package manager does with the files of a package.
const owners = `touch /x; chown 5:6 /x && chown -h 7 /x && stat -c %u:%g /x
	mknod /null c 1 3 && mknod /disk b 8 0 && ls /null /disk 2>/dev/null
	mkfifo /fifo && stat -c %F /fifo; mknod /pipe p && stat -c %F /pipe
	cat /dev/rl-run-apt.conf`

func TestFakeRoot(t *testing.T) {
	tree := begin(t)
	start := func(text string, options ...string) trial.Result {
		return trial.Run(t, append(append([]string{"--userns=single", "--net=none"}, options...), tree, "sh", "-c", text)...)
	}
	r := start(owners, "--fake-root")
	want(t, "output", r.OK(t), "0:0\nfifo\nfifo\nAPT::Sandbox::User \"root\";")
	if !strings.Contains(r.Stderr, "note: --fake-root: changes of owner") {
		t.Errorf("not announced: %q", r.Stderr)
	}
	// without it the same is refused
	r = start(owners)
	if strings.Contains(r.Stdout, "0:0") || !strings.Contains(r.Stderr, "chown: /x: ") {
		t.Errorf("without --fake-root: %q, %q", r.Stdout, r.Stderr)
	}
	r = start("chown 5 /etc && id -u", "--fake-root", "--security-opt", "seccomp=unconfined")
	want(t, "unconfined", r.OK(t), "0")
	r = start("true", "--fake-root", "--security-opt", "no-new-privileges=false")
	r.Fails(t, 125, "--fake-root: with no-new-privileges=false")
}

// lookFakes makes each call that --fake-root answers, by its number, on a thread that ends with it, and those beside them that it does
// not: by name their errnos, and behind them what is different then.
func lookFakes() (any, error) {
	runtime.LockOSThread()
	if err := os.WriteFile("/tmp/file", nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Symlink("file", "/tmp/link"); err != nil {
		return nil, err
	}
	const five, cwd = 5, ^uintptr(99) // AT_FDCWD
	path := func(name string) uintptr {
		b := append([]byte("/tmp/"+name), 0)
		return uintptr(unsafe.Pointer(&b[0]))
	}
	fd, err := unix.Open("/tmp/file", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	group := uint32(five)
	errnos := map[string]int{}
	for name, args := range map[string][6]uintptr{
		"chown": {unix.SYS_CHOWN, path("file"), five, five}, "fchown": {unix.SYS_FCHOWN, uintptr(fd), five, five},
		"lchown": {unix.SYS_LCHOWN, path("link"), five, five}, "fchownat": {unix.SYS_FCHOWNAT, cwd, path("file"), five, five, 0},
		"setuid": {unix.SYS_SETUID, five}, "setgid": {unix.SYS_SETGID, five}, "setreuid": {unix.SYS_SETREUID, five, five},
		"setregid": {unix.SYS_SETREGID, five, five}, "setresuid": {unix.SYS_SETRESUID, five, five, five},
		"setresgid": {unix.SYS_SETRESGID, five, five, five}, "setgroups": {unix.SYS_SETGROUPS, 1, uintptr(unsafe.Pointer(&group))},
		"mknod c": {unix.SYS_MKNOD, path("c"), unix.S_IFCHR | 0o600, 0x103}, "mknod b": {unix.SYS_MKNOD, path("b"), unix.S_IFBLK | 0o600, 0x800},
		"mknodat c": {unix.SYS_MKNODAT, cwd, path("cat"), unix.S_IFCHR | 0o600, 0x103}, "mknodat b": {unix.SYS_MKNODAT, cwd, path("bat"), unix.S_IFBLK | 0o600, 0x800},
		"made: mknod p": {unix.SYS_MKNOD, path("p"), unix.S_IFIFO | 0o600}, "made: mknodat s": {unix.SYS_MKNODAT, cwd, path("s"), unix.S_IFSOCK | 0o600},
	} {
		_, _, errno := unix.RawSyscall6(args[0], args[1], args[2], args[3], args[4], args[5], 0)
		errnos[name] = int(errno)
	}
	// These two return the id that was, and never an errno: what is there then tells.
	_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, five, 0, 0)
	_, _, _ = unix.RawSyscall(unix.SYS_SETFSGID, five, 0, 0)
	runtime.KeepAlive(&group)
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return nil, err
	}
	var ids []string
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Uid:") || strings.HasPrefix(line, "Gid:") {
			ids = append(ids, strings.Join(strings.Fields(line), " "))
		}
	}
	var names []string
	var st unix.Stat_t
	for _, name := range []string{"file", "link", "c", "b", "cat", "bat", "p", "s"} {
		if unix.Lstat("/tmp/"+name, &st) == nil && st.Uid == 0 && st.Gid == 0 {
			names = append(names, name)
		}
	}
	return map[string]any{"errnos": errnos, "ids": ids, "there": names}, nil
}

// Each call that is answered says that it has worked, and has done nothing; without the option each of them fails.
func TestFakeRootCalls(t *testing.T) {
	tree := begin(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var found struct {
		Errnos map[string]unix.Errno `json:"errnos"`
		IDs    []string              `json:"ids"`
		There  []string              `json:"there"`
	}
	for _, options := range [][]string{{"--fake-root"}, {"--fake-root", "--security-opt", "seccomp=unconfined"}, nil} {
		args := slices.Concat([]string{"--quiet", "--net=none", "--userns=single", "-v", self + ":" + probePath + ":ro", "-e", probeEnv + "=fakes"}, options, []string{tree, probePath})
		if err := json.Unmarshal([]byte(trial.Run(t, args...).OK(t)), &found); err != nil {
			t.Fatal(err)
		}
		if len(found.Errnos) != 17 {
			t.Errorf("%q: %d calls: %v", options, len(found.Errnos), found.Errnos)
		}
		for name, errno := range found.Errnos {
			if done := options != nil || strings.HasPrefix(name, "made"); done != (errno == 0) {
				t.Errorf("%q: %s: errno %d (%v)", options, name, int(errno), errno)
			}
		}
		want(t, "ids", strings.Join(found.IDs, ", "), "Uid: 0 0 0 0, Gid: 0 0 0 0")
		want(t, "files", strings.Join(found.There, " "), "file link p s")
	}
}

// owned makes a package with files of other users, and two trees that know these.
const owned = `set -e
	cat >/owned.spec <<-'END'
		Name: owned
		Version: 1
		Release: 1
		Summary: files of others
		License: none
		BuildArch: noarch
		%description
		%install
		mkdir -p %{buildroot}/srv/owned
		echo text >%{buildroot}/srv/owned/file
		%files
		%dir %attr(0750, daemon, mail) /srv/owned
		%attr(0640, daemon, mail) /srv/owned/file
	END
	sed -i 's/^\t*//' /owned.spec
	rpmbuild --quiet -bb --define '_topdir /owned' /owned.spec 2>/dev/null
	for target in /plain /fake; do mkdir -p $target/etc; cp /etc/passwd /etc/group $target/etc; done`

// TestFakeRootInstalls has packages that make users, groups and files of theirs, by apt and by dnf. The same without the option
// fails: apt at its own change of user, rpm at the first owner.
func TestFakeRootInstalls(t *testing.T) {
	begin(t)
	dir, long := t.TempDir()+"/debian", 10*trial.Timeout // it fetches packages
	trial.Command{Path: "/bin/sh", Args: []string{
		"-ec", `mkdir "$2"; "$0" tar -C "$1" --exclude='./dev/*' -cf - . | tar -C "$2" -xf - --no-same-owner`,
		trial.Bin(t, "rl-unshare"), trial.Tree(t, "debian"), dir,
	}, Timeout: long}.Run(t).OK(t)
	single := func(text string, options ...string) trial.Result {
		return trial.Command{
			Args:    append(append([]string{"--quiet", "--userns=single", "--net=host", "--rw"}, options...), dir, "sh", "-c", text),
			Timeout: long,
		}.Run(t)
	}
	const options, install = "--userns=single --fake-root --net=host --rw", "apt-get install -y openssh-client dbus man-db sudo cron"
	if r := single("apt-get update && DEBIAN_FRONTEND=noninteractive " + install); r.Code == 0 {
		t.Errorf("apt does without --fake-root: %q", r.Stdout)
	}
	single("apt-get update", "--fake-root").OK(t)
	// the very line of docs/usage.md
	page, err := os.ReadFile("../../docs/usage.md")
	if err != nil || !strings.Contains(string(page), "\n    rl-run "+options+" ./debian "+install+"\n") {
		t.Errorf("docs/usage.md has another line: %v", err)
	}
	trial.Command{
		Args: slices.Concat(strings.Fields(options), []string{"./debian"}, strings.Fields(install)), Dir: filepath.Dir(dir), Timeout: long,
	}.Run(t).OK(t)
	const installed = "Status: install ok installed"
	want(t, "packages", single("dpkg -s openssh-client dbus man-db sudo cron | grep Status; dpkg --audit").OK(t), strings.Repeat(installed+"\n", 4)+installed)

	single("apt-get install -y --no-install-recommends dnf rpm >/dev/null 2>&1", "--fake-root").OK(t)
	single(owned).OK(t)
	const dnf = "dnf -y -q --disablerepo='*' --releasever=1 --installroot=$target install /owned/RPMS/noarch/owned-1-1.noarch.rpm >/dev/null && stat -c %u:%g $target/srv/owned/file && rpm --root $target -q owned"
	if r := single("target=/plain; " + dnf); r.Code == 0 || !strings.Contains(r.Stderr, "Error unpacking rpm package") {
		t.Errorf("dnf does without --fake-root: %d, %q, %q", r.Code, r.Stdout, r.Stderr)
	}
	want(t, "package", single("target=/fake; "+dnf, "--fake-root").OK(t), "0:0\nowned-1-1.noarch")
}
