package run

import (
	"strings"
	"testing"
	"time"

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

// TestFakeRootInstalls has packages that make users, groups and files of theirs. The same
// without the option fails at apt's own change of user.
func TestFakeRootInstalls(t *testing.T) {
	begin(t)
	dir := t.TempDir() + "/tree"
	trial.Command{Path: "/bin/sh", Args: []string{
		"-ec", `mkdir "$2"; "$0" tar -C "$1" --exclude='./dev/*' -cf - . | tar -C "$2" -xf - --no-same-owner`,
		trial.Bin(t, "rl-unshare"), trial.Tree(t, "debian"), dir,
	}, Timeout: 5 * time.Minute}.Run(t).OK(t)
	install := func(options ...string) trial.Result {
		return trial.Command{
			Args: append(append([]string{"--quiet", "--userns=single", "--net=host", "--rw"}, options...), dir, "sh", "-c",
				"apt-get update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y openssh-client dbus man-db sudo cron >/dev/null 2>&1 && dpkg -s cron sudo | grep Status"),
			Timeout: 5 * time.Minute, // it fetches packages
		}.Run(t)
	}
	if r := install(); r.Code == 0 {
		t.Errorf("apt does without --fake-root: %q", r.Stdout)
	}
	want(t, "packages", install("--fake-root").OK(t), "Status: install ok installed\nStatus: install ok installed")
}
