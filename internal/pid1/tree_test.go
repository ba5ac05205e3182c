//go:build linux && (amd64 || arm64)

package pid1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// family leaves processes in sessions of their own, of several generations, with parents alive and dead.
const family = `
	setsid sh -c 'sleep 1000 & setsid sleep 1000 & wait' &
	( setsid sleep 1000 & )
	( ( setsid sh -c "sleep 1000; :" & ) & )
	sleep 0.1
`

// tree is a launcher in tree mode with everything below it. All of them hold the write end of one pipe, so that its
// end of file says that none is left.
type tree struct {
	launcher *exec.Cmd
	init     int
	alive    *os.File
}

// plant starts a launcher of the given kind and waits for its init, unless the launcher does not stay.
func plant(t *testing.T, kind string, o initOptions, command ...string) *tree {
	t.Helper()
	alive, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	report, told, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/proc/self/exe", append([]string{kind}, o.args(command...)...)...)
	c.Env = append(os.Environ(), roleVar+"=launcher")
	c.Stdout, c.Stderr = held, os.Stderr
	c.ExtraFiles = []*os.File{told}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	held.Close()
	told.Close()
	tr := &tree{launcher: c, alive: alive}
	if _, err := fmt.Fscan(report, &tr.init); err != nil {
		t.Fatal(err)
	}
	report.Close()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		alive.Close()
	})
	return tr
}

// gone checks that nobody holds the pipe any more, within five seconds.
func (tr *tree) gone(t *testing.T) {
	t.Helper()
	if err := tr.alive.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, tr.alive); err != nil {
		t.Errorf("processes are left: %v", err)
	}
	eventually(t, "the init is gone", func() bool { return dead(t, tr.init) })
}

func TestTreeEndsWithParent(t *testing.T) {
	// The signal that tells the init must not be what ends the command.
	tr := plant(t, "stay", initOptions{parent: "SELF", delay: 300 * time.Millisecond}, "sh", "-c",
		"trap '' 64; "+family+"exec sleep 1000")
	awaitInit(t, tr.init)
	eventually(t, "the command and adopted children", func() bool { return len(children(t, tr.init)) >= 3 })
	_ = tr.launcher.Process.Kill()
	tr.gone(t)
}

// The parent died while the init was on its way.
func TestTreeWithoutParent(t *testing.T) {
	tr := plant(t, "gone", initOptions{parent: "SELF", delay: 300 * time.Millisecond}, "sh", "-c", family+"exec sleep 1000")
	tr.gone(t)
}

// An init that is told no pid takes any parent's death for an end.
func TestTreeEndsWithAnyParent(t *testing.T) {
	tr := plant(t, "stay", initOptions{parent: "any"}, "sh", "-c", "trap '' 64; "+family+"exec sleep 1000")
	awaitInit(t, tr.init)
	_ = tr.launcher.Process.Kill()
	tr.gone(t)
}

func TestTreeOutlivesParent(t *testing.T) {
	tr := plant(t, "gone", initOptions{parent: "detached"}, "sh", "-c", family+"sleep 0.5; echo still here")
	if err := tr.alive.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(tr.alive).ReadString('\n')
	if err != nil || line != "still here\n" {
		t.Errorf("read %q, %v", line, err)
	}
	tr.gone(t)
}

// A parent outside the pid namespace has no pid there. The /proc is the outer one, whose numbers mean nothing here.
func TestTreeEndsWithOuterParent(t *testing.T) {
	tr := plant(t, "outer", initOptions{parent: "any"}, "sh", "-c", family+"exec sleep 1000")
	awaitInit(t, tr.init)
	_ = tr.launcher.Process.Kill()
	tr.gone(t)
}

// startTree runs command below an init without a pid namespace, whose parent is the test.
func startTree(t *testing.T, o initOptions, command ...string) *exec.Cmd {
	c := start(t, o, command...)
	c.SysProcAttr = nil
	return c
}

func TestTreeEndsWithCommand(t *testing.T) {
	for _, parent := range []string{"any", "detached", strconv.Itoa(os.Getpid())} {
		c := startTree(t, initOptions{parent: parent}, "sh", "-c", family+"exit 7")
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(5*time.Second, func() { _ = c.Process.Kill() })
		// End of file: all descendants are gone when the init is.
		_, _ = io.Copy(io.Discard, out)
		_ = c.Wait()
		timer.Stop()
		if got := c.ProcessState.ExitCode(); got != 7 {
			t.Errorf("parent %s: exit status %d, want 7", parent, got)
		}
	}
}

// A list of children longer than the init's buffer, with pids cut in two at its end.
func TestTreeOfThousand(t *testing.T) {
	script := `i=0; while [ $i -lt 1000 ]; do ( sleep 1000 & ); i=$((i+1)); done; exit 7`
	if got := exitCode(t, startTree(t, initOptions{parent: "detached"}, "sh", "-c", script)); got != 7 {
		t.Errorf("exit status %d, want 7", got)
	}
}

// A process that forks and exits again and again has another pid whenever it is looked for.
func TestTreeCatchesWanderer(t *testing.T) {
	// It ends by itself, after some ten seconds, should the init not catch it.
	script := `echo $1; [ $1 -gt 0 ] && { sh -c "$0" "$0" $(($1-1)) & }; [ $1 = 20000 ] || exit 0; sleep 0.2; exit 7`
	c := startTree(t, initOptions{parent: "detached"}, "sh", "-c", script, script, "20000")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	steps, _ := io.ReadAll(out)
	_ = c.Wait()
	n := bytes.Count(steps, []byte("\n"))
	t.Logf("caught after %d steps, %v", n, time.Since(began))
	if n < 3 || n > 20000 {
		t.Errorf("%d steps: it was not on its way", n)
	}
	if got := c.ProcessState.ExitCode(); got != 7 {
		t.Errorf("exit status %d, want 7", got)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ended after %v", took)
	}
}

// SIGRTMAX is the parent's death only when the parent is dead.
func TestTreeForwardsSIGRTMAX(t *testing.T) {
	for _, parent := range []string{"detached", strconv.Itoa(os.Getpid())} {
		init := started(t, startTree(t, initOptions{parent: parent}, "blocked", "sleep", "1000"))
		command := onlyChild(t, init)
		if err := unix.Kill(init, 64); err != nil {
			t.Fatal(err)
		}
		eventually(t, "SIGRTMAX pending", func() bool { return signals(t, command, "ShdPnd")>>63 == 1 })
	}
}

// ownProc makes the init of c see a /proc of the test's making, in the test's pid namespace, and kills the processes that
// it may leave: those whose pids the command prints.
func ownProc(t *testing.T, o initOptions, script string) (code int, printed []int) {
	t.Helper()
	c := start(t, o, "sh", "-c", script)
	c.SysProcAttr = newNamespaces(unix.CLONE_NEWUSER | unix.CLONE_NEWNS)
	var out strings.Builder
	c.Stdout = &out
	code = exitCode(t, c)
	for word := range strings.FieldsSeq(out.String()) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) })
		printed = append(printed, pid)
	}
	return code, printed
}

// stranger is a process that closes its standard output, so that nobody waits for it, after its pid was printed there.
const stranger = "( sleep 1000 >&- 2>&- & echo $! ); "

// dead says whether the process is no more, or waits to be reaped.
func dead(t *testing.T, pid int) bool {
	t.Helper()
	state := status(t, pid, "State")
	return state == "" || state == "Z (zombie)"
}

// Without a list of children the command is killed when the parent dies, and the init ends although others are left.
func TestTreeWithoutProc(t *testing.T) {
	// Process 1 is not the parent: the parent counts as dead.
	code, pids := ownProc(t, initOptions{parent: "1", proc: "none", delay: 500 * time.Millisecond},
		stranger+"echo $$; exec sleep 1000 >&- 2>&-")
	if code != 128+int(unix.SIGKILL) || len(pids) != 2 {
		t.Fatalf("exit status %d, printed %d", code, pids)
	}
	eventually(t, "the command is dead", func() bool { return dead(t, pids[1]) })
	if dead(t, pids[0]) {
		t.Error("the other one is dead too, so nothing was tested")
	}

	code, pids = ownProc(t, initOptions{parent: "detached", proc: "none"}, stranger+"exit 7")
	if code != 7 || len(pids) != 1 {
		t.Fatalf("exit status %d, printed %d", code, pids)
	}
}

// A list of children that names strangers, as container root may mount one where it has the caller's own user id.
func TestTreeWithLyingProc(t *testing.T) {
	victim := exec.Command("sleep", "1000")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = victim.Wait() }()
	defer func() { _ = victim.Process.Kill() }()
	list := fmt.Sprintf("%d 99999999999999999999 x %d ", victim.Process.Pid, victim.Process.Pid)
	// One child that is not in the list stays: with no child at all the list would not be read.
	if code, _ := ownProc(t, initOptions{parent: "detached", proc: list}, stranger+"exit 7"); code != 7 {
		t.Errorf("exit status %d, want 7", code)
	}
	if dead(t, victim.Process.Pid) {
		t.Error("the victim is dead")
	}
}
