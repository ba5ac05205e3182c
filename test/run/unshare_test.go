package run

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

func TestUnshare(t *testing.T) {
	begin(t)
	dir := t.TempDir()
	got := mapped(t, "sh", "-euc", `id -u; pwd; echo $FROM_CALLER
		echo x >"$1"/file; chown 1000:1000 "$1"/file; stat -c %u:%g "$1"/file; rm "$1"/file`, "sh", dir)
	got.Dir, got.Env = "/usr", []string{"FROM_CALLER=kept"}
	want(t, "output", got.Run(t).OK(t), "0\n/usr\nkept\n1000:1000")
	want(t, "map", words(mapped(t, "cat", "/proc/self/uid_map").Run(t).OK(t)), words(inside(t, "cat /proc/self/uid_map")))
	want(t, "--userns=single", words(mapped(t, "--userns=single", "cat", "/proc/self/uid_map").Run(t).OK(t)), fmt.Sprintf("0 %d 1", os.Getuid()))
	want(t, "--uidmap", words(mapped(t, "--uidmap", fmt.Sprintf("7:%d:1", os.Getuid()), "--gidmap", fmt.Sprintf("7:%d:1", os.Getgid()), "id", "-u").Run(t).OK(t)), "7")

	// The mount and all other namespaces are the host's.
	host, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "mount namespace", mapped(t, "readlink", "/proc/self/ns/mnt").Run(t).OK(t), host)
}

// What a program of the host makes has the mode that the caller would give it, and without PATH none is looked for where he is.
func TestUnshareAsCaller(t *testing.T) {
	begin(t)
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/id", []byte("#!/bin/sh\necho from here\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	program := trial.Bin(t, "rl-unshare")
	got := trial.Command{Path: "/bin/sh", Dir: dir, Args: []string{"-euc", `
		for mask in 077 002; do umask $mask; "$1" tee "of $mask" </dev/null; stat -c %a "of $mask"; done
		env -u PATH "$1" id -u`, "sh", program}}.Run(t)
	want(t, "modes, and uid", got.OK(t), "600\n664\n0")
}

func TestUnshareEnds(t *testing.T) {
	begin(t)
	mapped(t, "sh", "-c", "exit 7").Run(t).Fails(t, 7)
	missing := mapped(t, "no-such")
	missing.Env = []string{"PATH=/usr/bin:/bin"} // none that may not be entered: as in execvp(3) that would win
	missing.Run(t).Fails(t, 127, "no-such")
	mapped(t, "/etc/passwd").Run(t).Fails(t, 126, "/etc/passwd")
	mapped(t, "sh", "-c", "kill -TERM $$").Run(t).Fails(t, 143)
	mapped(t, "--no-such").Run(t).Fails(t, 125, "--no-such")
	shell := mapped(t)
	shell.Stdin, shell.Env = trial.StdinText("echo $0 $(id -u)"), []string{"SHELL=/bin/sh"}
	want(t, "the caller's shell", shell.Run(t).OK(t), "/bin/sh 0")
}

// Whoever ends rl-unshare ends the command, too.
func TestUnshareSignals(t *testing.T) {
	begin(t)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGKILL} {
		r := mapped(t, "sh", "-c", "echo ready; exec sleep 1000").Start(t)
		r.Stdout("ready")
		time.Sleep(10 * time.Millisecond)
		r.Signal(sig)
		code := r.Wait().Code
		if code != 128+int(sig) && code != -int(sig) {
			t.Errorf("%v: exit code %d", sig, code)
		}
	}
}
