package run

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// allPrivileges are the options for a command that may look at other processes.
var allPrivileges = []string{"--cap-add=ALL", "--security-opt", "seccomp=unconfined", "--security-opt", "unmask=ALL"}

func secretEnv() []string { return []string{secretName + "=" + secretValue} }

func TestEnvironmentIsClean(t *testing.T) {
	tree := begin(t)
	r := trial.Command{Args: script(nil, tree, "env; "+awaitInit+"cat /proc/*/environ"), Env: secretEnv()}.Run(t)
	lacks(t, "environment", r.OK(t), secretName, secretValue, "RLRUN_", "PWD="+os.Getenv("PWD"))
}

func TestNothingOfTheLauncherInInit(t *testing.T) {
	tree := begin(t)
	for _, options := range [][]string{nil, allPrivileges, {"--userns=single"}, {"-u", "nobody"}, {"--userns=keep-id"}} {
		c := probeCommand(t, "spy", tree, options)
		c.Env = secretEnv()
		if seen := decoded[[]sighting](t, c.Run(t)); len(seen) > 0 {
			t.Errorf("%q: visible in /proc/1: %q", options, seen)
		}
	}
}

// awaitInit waits until the command's father is the static init, which has its name before, but not its words: the two come
// to their exec side by side.
const awaitInit = `until [ "$(tr '\0' ' ' </proc/1/cmdline | cut -c 1-8)" = "rl-init " ]; do :; done; `

func TestInitIsSmall(t *testing.T) {
	begin(t)
	want(t, "cmdline of init", inside(t, awaitInit+"tr '\\0' ' ' </proc/1/cmdline | tr -d 0-9"), "rl-init  ")
	want(t, "fds of init", inside(t, awaitInit+`until [ -z "$(ls /proc/1/fd)" ]; do :; done; ls /proc/1/fd`), "") // it closes one soon
	want(t, "environment of init", inside(t, awaitInit+"wc -c </proc/1/environ"), "0")
	want(t, "memory of init below 100 kB", inside(t, awaitInit+"awk '/^VmRSS/ { print ($2 < 100) }' /proc/1/status"), "1")
}

// Many starts in which the command looks at once, and while other work delays init.
func TestNothingOfTheLauncherInARace(t *testing.T) {
	tree := begin(t)
	stop := make(chan struct{})
	defer close(stop)
	for range 2 {
		go func() {
			for busy := true; busy; {
				select {
				case <-stop:
					busy = false
				default:
				}
			}
		}()
	}
	c := probeCommand(t, "spy-race", tree, []string{"--net=none"})
	c.Env = secretEnv()
	for range 200 {
		if seen := decoded[[]sighting](t, c.Run(t)); len(seen) > 0 {
			t.Fatalf("visible in /proc/1: %q", seen)
		}
	}
}

// Init is held before each of its last steps, while the command runs and looks.
func TestNothingOfTheLauncherBeforeInitIsReplaced(t *testing.T) {
	tree := begin(t)
	for _, options := range [][]string{nil, allPrivileges} {
		held := 0
		for n := 1; holdInit(t, tree, options, n); n++ {
			held++
		}
		if held < 3 {
			t.Errorf("%q: init could be held before %d steps only", options, held)
		}
		t.Logf("%q: init was held before %d steps", options, held)
	}
}

// holdInit stops init before the n-th of its steps behind its word that the command may go on,
// and lets the command look. It reports whether there is such a step.
//
// With -V each step is announced on stderr before it is taken. Stderr is a pipe with room
// for one packet, so that who has announced a step waits until the line before it was read.
func holdInit(t *testing.T, tree string, options []string, n int) bool {
	t.Helper()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_DIRECT); err != nil {
		t.Fatal(os.NewSyscallError("pipe2", err))
	}
	if _, err := unix.FcntlInt(uintptr(pipe[1]), unix.F_SETPIPE_SZ, os.Getpagesize()); err != nil {
		t.Fatal(os.NewSyscallError("fcntl", err))
	}
	notes, stderr := os.NewFile(uintptr(pipe[0]), "notes"), os.NewFile(uintptr(pipe[1]), "stderr")
	defer notes.Close()

	c := probeCommand(t, "spy", tree, append([]string{"-V"}, options...))
	c.Env = secretEnv()
	// os/exec passes a file on as it is, which Command.Stderr has no word for.
	quoted := make([]string, 0, len(c.Args)+1)
	for _, a := range append([]string{trial.Bin(t, "rl-run")}, c.Args...) {
		quoted = append(quoted, "'"+a+"'")
	}
	r := trial.Command{
		Path: "/bin/sh", Args: []string{"-c", "exec " + strings.Join(quoted, " ") + " 2>&3 3>&-"},
		Env: c.Env, Files: []*os.File{stderr},
	}.Start(t)
	_ = stderr.Close()

	init, steps := 0, 0
	buf := make([]byte, os.Getpagesize())
	for init == 0 {
		got, err := notes.Read(buf)
		if err != nil {
			break
		}
		line := string(buf[:got])
		switch {
		case steps == 0 && strings.Contains(line, " init: let command go on"):
			steps = 1
		case steps > 0 && strings.Contains(line, " init: "):
			if steps == n {
				init = childOf(t, r.Pid)
			}
			steps++
		}
	}
	if init == 0 {
		r.Wait().OK(t)
		return false
	}
	if err := unix.Kill(init, unix.SIGSTOP); err != nil {
		t.Fatal(os.NewSyscallError("kill", err))
	}
	defer func() { _ = unix.Kill(init, unix.SIGCONT) }()
	for range 1000 { // the stop takes effect when init is next on its way out of the kernel
		if processState(t, init) == "T" {
			break
		}
		time.Sleep(time.Millisecond)
	}
	go func() {
		for {
			if _, err := notes.Read(buf); err != nil {
				return
			}
		}
	}()
	r.Stdout("]\n")
	if state := processState(t, init); state != "T" {
		t.Errorf("init was in state %s when the command had looked", state)
	}
	if err := unix.Kill(init, unix.SIGCONT); err != nil {
		t.Fatal(os.NewSyscallError("kill", err))
	}
	if seen := decoded[[]sighting](t, r.Wait()); len(seen) > 0 {
		t.Errorf("%q: visible in /proc/1 when init was held before step %d: %q", options, n, seen)
	}
	return true
}

// childOf returns the pid of the only child.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			var child int
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
			if err == nil {
				if _, err = fmt.Sscan(string(text), &child); err == nil {
					return child
				}
			}
		}
	}
	t.Fatalf("process %d has no child", pid)
	return 0
}

func processState(t *testing.T, pid int) string {
	t.Helper()
	return field(t, read(t, fmt.Sprintf("/proc/%d/status", pid)), "State")[:1]
}

func TestOpenFilesStayOutside(t *testing.T) {
	tree := begin(t)
	run := trial.Bin(t, "rl-run")
	f, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, options := range [][]string{nil, {"--copy"}, {"-i=false"}} {
		text := `exec "$@" 9</etc/passwd 8>>` + t.TempDir() + `/log`
		look := "for p in 1 self; do cd /proc/$p/fd; for f in *; do readlink $f; done; done; true"
		c := trial.Command{Path: "/bin/sh", Args: append([]string{"-c", text, "sh", run}, script(options, tree, look)...), Files: []*os.File{f}}
		got := c.Run(t).OK(t)
		lacks(t, "open files", got, "passwd", "log", "memfd", "socket:")
	}
	var count []string
	scanner := bufio.NewScanner(strings.NewReader(inside(t, "ls -1 /proc/$$/fd; true")))
	for scanner.Scan() {
		count = append(count, scanner.Text())
	}
	if !slices.Equal(count, []string{"0", "1", "2"}) {
		t.Errorf("the shell has the fds %q", count)
	}
}

func TestKeyringsStayOutside(t *testing.T) {
	tree := begin(t)
	for _, options := range [][]string{nil, {"--security-opt", "seccomp=unconfined"}, allPrivileges} {
		c := probeCommand(t, "keys", tree, options, "SERIAL")
		found := decoded[keysSeen](t, hostProbe(t, "with-keys", append([]string{trial.Bin(t, "rl-run")}, c.Args...)...).Run(t))
		for _, how := range []string{found.Session, found.User, found.Read} {
			if strings.HasPrefix(how, "found") || strings.HasPrefix(how, "read") {
				t.Errorf("%q: the caller's key: %+v", options, found)
			}
		}
	}
	// The same probe, outside, has to find it.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := hostProbe(t, "with-keys", "/usr/bin/env", probeEnv+"=keys", self, "SERIAL")
	if found := decoded[keysSeen](t, c.Run(t)); found.Read != "read "+secretValue {
		t.Errorf("outside, the probe found %+v", found)
	}
	want(t, "/proc/keys", inside(t, "wc -c </proc/keys"), "0")
}
