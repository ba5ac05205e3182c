//go:build linux && (amd64 || arm64)

package pid1

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// becomeStandIn does what a launcher does: DIR NAMES SIGNALS CAUGHT COMMAND... It starts the command, and executes
// itself away. CAUGHT is a list of signals in the pipe.
func becomeStandIn(args []string) {
	if args[4] == "blocked" {
		blockAll() // it gets signals at once
	}
	dir, err := unix.Open(args[0], unix.O_PATH|unix.O_DIRECTORY, 0)
	check(err)
	signals, err := strconv.ParseUint(args[2], 0, 64)
	check(err)
	command := args[4:]
	if command[0] == "blocked" {
		command[0] = "/proc/self/exe"
		check(os.Setenv(roleVar, "blocked"))
	}
	path, err := exec.LookPath(command[0])
	check(err)
	p, err := os.StartProcess(path, command, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	check(err)
	blockAll()
	var pipe [2]int
	check(unix.Pipe2(pipe[:], unix.O_NONBLOCK))
	for n := range strings.FieldsSeq(args[3]) {
		sig, err := strconv.Atoi(n)
		check(err)
		_, err = unix.Write(pipe[1], binary.NativeEndian.AppendUint32(nil, uint32(sig)))
		check(err)
	}
	check(unix.Close(pipe[1]))
	fd, err := MemFD()
	check(err)
	s := StandIn{PID: p.Pid, Pipe: pipe[0], Signals: signals, Dir: dir, Remove: strings.Fields(args[1])}
	if os.Getenv("RLRUN_HEIR") != "" {
		path, err := exec.LookPath("sleep")
		check(err)
		h, err := os.StartProcess(path, []string{"sleep", "1000"}, &os.ProcAttr{})
		check(err)
		s.Heir = h.Pid
		check(os.WriteFile(os.Getenv("RLRUN_HEIR"), []byte(strconv.Itoa(h.Pid)), 0o600))
	}
	check(execveat(fd, []string{"a launcher", "with", "arguments"}, s.Env()))
}

type standIn struct{ dir, remove, signals, caught string }

func (s standIn) start(t *testing.T, command ...string) *exec.Cmd {
	t.Helper()
	if s.dir == "" {
		s.dir = "/"
	}
	if s.signals == "" {
		s.signals = "0xffffffffffffffff"
	}
	c := exec.Command("/proc/self/exe", append([]string{s.dir, s.remove, s.signals, s.caught}, command...)...)
	c.Env = append(os.Environ(), roleVar+"=stand-in")
	c.Stderr = os.Stderr
	return c
}

// running starts it, and returns its pid and the pid of its child.
func (s standIn) running(t *testing.T, command ...string) (pid, child int) {
	t.Helper()
	c := s.start(t, command...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if child != 0 {
			_ = unix.Kill(child, unix.SIGKILL)
		}
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	pid = c.Process.Pid
	eventually(t, "stand-in asleep", func() bool {
		return status(t, pid, "Name") == "rl-run" && status(t, pid, "State") == "S (sleeping)"
	})
	return pid, onlyChild(t, pid)
}

func TestStandInExitStatus(t *testing.T) {
	for script, want := range map[string]int{
		"exit 0": 0, "exit 7": 7, "exit 255": 255, "sleep 0.3; exit 9": 9, "kill -9 $$": 128 + 9, "kill -64 $$": 128 + 64,
	} {
		if got := exitCode(t, standIn{}.start(t, "sh", "-c", script)); got != want {
			t.Errorf("%s: exit status %d, want %d", script, got, want)
		}
	}
}

func TestStandInForwards(t *testing.T) {
	// signals that the runtime of the child leaves blocked until it has blocked all
	const usr1, usr2, winch, rt = 1 << (unix.SIGUSR1 - 1), 1 << (unix.SIGUSR2 - 1), 1 << (unix.SIGWINCH - 1), 1 << (64 - 1)
	pid, child := standIn{signals: strconv.FormatUint(winch|rt, 10), caught: "10 12"}.running(t, "blocked", "sleep", "1000")
	pending := func() uint64 { return signals(t, child, "ShdPnd") }
	eventually(t, "the caught signals pending", func() bool { return pending() == usr1|usr2 })
	for _, sig := range []syscall.Signal{unix.SIGIO, unix.SIGURG, unix.SIGWINCH, 64} {
		if err := unix.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the sent ones pending", func() bool { return pending() == usr1|usr2|winch|rt })
}

func TestStandInStops(t *testing.T) {
	pid, child := standIn{}.running(t, "sleep", "1000")
	if err := unix.Kill(pid, unix.SIGTSTP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "stop", func() bool { return status(t, pid, "State") == "T (stopped)" })
	if s := status(t, child, "State"); s != "S (sleeping)" {
		t.Errorf("the child is %s", s)
	}
	if err := unix.Kill(pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "continuation", func() bool { return status(t, pid, "State") == "S (sleeping)" })
}

func TestStandInKeepsArguments(t *testing.T) {
	pid, _ := standIn{}.running(t, "sleep", "1000")
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if want := "a launcher\x00with\x00arguments\x00"; err != nil || string(line) != want {
		t.Errorf("command line %q, %v, want %q", line, err, want)
	}
}

func TestStandInRemoves(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "entry")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(dir+"/"+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := standIn{dir: dir, remove: "a missing b ../entry"}
	if got := exitCode(t, s.start(t, "sh", "-c", "exit 3")); got != 3 {
		t.Errorf("exit status %d, want 3", got)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A container that ended before the exec has raised its SIGCHLD already.
func TestStandInWithoutChild(t *testing.T) {
	if got := exitCode(t, standIn{dir: "/", signals: "0", caught: ""}.start(t, "true")); got != 0 {
		t.Errorf("exit status %d, want 0", got)
	}
}

// The heir ends, and is no zombie, when nothing is left for it; with and without anything to remove.
func TestStandInEndsHeir(t *testing.T) {
	for _, remove := range []string{"", "missing"} {
		file := filepath.Join(t.TempDir(), "pid")
		t.Setenv("RLRUN_HEIR", file)
		if got := exitCode(t, standIn{remove: remove}.start(t, "sh", "-c", "until test -s "+file+"; do sleep 0.01; done; kill -0 $(cat "+file+") && exit 3")); got != 3 {
			t.Errorf("exit status %d, want 3", got)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pid, _ := strconv.Atoi(string(text))
		if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("process %d is there: %v", pid, err)
		}
	}
}
