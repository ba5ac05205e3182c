package plan

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/pid1"
)

const joined = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWNET

// host is a container to join, whose init waits.
func hostContainer(t *testing.T) (*paused, map[string]int) {
	t.Helper()
	p := after(t, Unshare{unix.CLONE_NEWUTS | unix.CLONE_NEWNET}, SetHostname{"box"})
	return p, map[string]int{"box": p.PIDFD}
}

// joining is a plan that runs a script in the namespaces of another container.
func joining(keeper bool, script string, steps ...Step) Plan {
	var pl Plan
	if keeper {
		pl.Add(Parent, StartKeeper{}, "")
		pl.Add(Keeper, DieWithParent{}, "")
		pl.Add(Keeper, StartJoiner{}, "")
	} else {
		pl.Add(Parent, StartJoiner{}, "")
	}
	for _, s := range []Step{DieWithParent{}, OwnMemory{}, HideMemory{}, Join{joined, "box", 1}, StartInit{}} {
		pl.Add(Joiner, s, "")
	}
	if keeper {
		pl.Add(Keeper, WaitFor{Parent}, "")
		pl.Add(Keeper, ExecKeeper{Log: 1 << 20}, "")
	}
	for _, s := range []Step{DieWithParent{Sweep: true}, Subreaper{}, StartCommand{}, ExecInit{Loose: true}} {
		pl.Add(Init, s, "")
	}
	for _, s := range append(steps, NewSession{}, CloseOnExec{}, ResetSignals{},
		Exec{Paths: []string{"/bin/sh"}, Argv: []string{"sh", "-c", script}, Env: []string{"PATH=/bin:/usr/bin"}}) {
		pl.Add(Command, s, "")
	}
	return pl
}

func TestJoin(t *testing.T) {
	leak.Watch(t)
	box, pidfds := hostContainer(t)
	image, err := pid1.MemFD()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(image)
	out := t.TempDir() + "/out"
	script := fmt.Sprintf("exec >%s; readlink /proc/self/ns/uts /proc/self/ns/net; cat /proc/sys/kernel/hostname; echo $PPID; ls /proc/self/fd; exit 7", out)
	_, ws, err := run(t, Options{Image: image, Pidfds: pidfds}, joining(false, script))
	if err != nil || ws.ExitStatus() != 7 {
		t.Fatalf("status %#x, %v", ws, err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if want := namespace(t, box.PID, "uts") + "\n" + namespace(t, box.PID, "net") + "\nbox\n2\n0\n1\n2\n"; !strings.HasPrefix(string(text), want) {
		t.Errorf("%s\nwant %s", text, want)
	}
}

// A step that fails is named, whoever takes it, and nothing is left.
func TestJoinFails(t *testing.T) {
	leak.Watch(t)
	_, pidfds := hostContainer(t)
	image, err := pid1.MemFD()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(image)
	for _, c := range []struct {
		pidfds map[string]int
		step   int
		err    error
	}{{nil, 4, unix.EBADF}, {pidfds, 10, unix.ENOENT}} {
		child, err := Prepare(joining(false, "exit 0", Chdir{"/nowhere"}), Options{Image: image, Pidfds: c.pidfds})
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		checkStepError(t, child.Running(), c.step, c.err)
		child.Kill()
		child.Close()
	}
}
