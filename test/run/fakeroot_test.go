package run

import (
	"strings"
	"testing"

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
	dir, long := t.TempDir()+"/tree", 10*trial.Timeout // it fetches packages
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
	const apt = "apt-get update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y openssh-client dbus man-db sudo cron >/dev/null 2>&1 && dpkg -s cron sudo | grep Status"
	if r := single(apt); r.Code == 0 {
		t.Errorf("apt does without --fake-root: %q", r.Stdout)
	}
	want(t, "packages", single(apt, "--fake-root").OK(t), "Status: install ok installed\nStatus: install ok installed")

	single("apt-get install -y --no-install-recommends dnf rpm >/dev/null 2>&1", "--fake-root").OK(t)
	single(owned).OK(t)
	const dnf = "dnf -y -q --disablerepo='*' --releasever=1 --installroot=$target install /owned/RPMS/noarch/owned-1-1.noarch.rpm >/dev/null && stat -c %u:%g $target/srv/owned/file && rpm --root $target -q owned"
	if r := single("target=/plain; " + dnf); r.Code == 0 || !strings.Contains(r.Stderr, "Error unpacking rpm package") {
		t.Errorf("dnf does without --fake-root: %d, %q, %q", r.Code, r.Stdout, r.Stderr)
	}
	want(t, "package", single("target=/fake; "+dnf, "--fake-root").OK(t), "0:0\nowned-1-1.noarch")
}
