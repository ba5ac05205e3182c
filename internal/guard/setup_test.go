//go:build linux && (amd64 || arm64)

package guard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
)

// program is the guard as a file.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "guard")
	if err == nil {
		program = filepath.Join(dir, Name)
		err = os.WriteFile(program, Image(), 0o755) //nolint:gosec // it is to be executed
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// setup says how a guard is started.
type setup struct {
	owner     *os.File // or nil for none
	container *os.File // or nil for none
	once      bool     // the first child alone inherits the report
	follow    string
	given     *os.File // the child's standard input comes there; or nil
	env       []string
	qemu      string // an emulator that runs image
	image     string
}

// The descriptors of the guard and its children.
const (
	reportFD = 3 + iota // the write end of a pipe, which all children inherit
	ownerFD
	containerFD
)

// guarded is a guard, process 1 of a pid namespace. Whoever of the namespace holds the report is heard there.
type guarded struct {
	cmd    *exec.Cmd
	report *bufio.Reader
	pipe   *os.File // below report
	done   chan struct{}
}

// start starts a guard of a child, which ends with the test.
func (o setup) start(t *testing.T, child ...string) *guarded {
	t.Helper()
	pipe, report, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	options := Options{Owner: None, Container: None, Given: None, Follow: o.follow}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	files := []*os.File{report, null, null}
	if o.owner != nil {
		options.Owner, files[1] = ownerFD, o.owner
	}
	if o.container != nil {
		options.Container, files[2] = containerFD, o.container
	}
	if o.once {
		options.Once = []int{reportFD}
	}

	if o.given != nil {
		options.Given = 0
	}
	argv := Argv(options, child)
	c := exec.Command(o.qemu)
	if o.qemu != "" {
		c.Args = append([]string{o.qemu, "-0", Name, o.image}, argv[1:]...)
	} else {
		// A file: whether a process of another user namespace may execute by a path below /proc depends on
		// what the test's other children do with the memory that they share with it for a moment.
		c = exec.Command(program)
		c.Args = argv
	}
	c.Env = append([]string{"PATH=" + os.Getenv("PATH")}, o.env...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if o.given != nil {
		c.Stdin = o.given
	}
	c.ExtraFiles = files
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL, // which the guard disarms
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	report.Close()
	g := &guarded{cmd: c, report: bufio.NewReader(pipe), pipe: pipe, done: make(chan struct{})}
	go func() {
		_ = c.Wait()
		close(g.done)
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-g.done
		pipe.Close()
	})
	return g
}

// script starts a guard of a shell.
func (o setup) script(t *testing.T, script string) *guarded {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	return o.start(t, sh, "-c", script)
}

// line reads a line of the report.
func (g *guarded) line(t *testing.T) string {
	t.Helper()
	if err := g.pipe.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	l, err := g.report.ReadString('\n')
	if err != nil {
		t.Fatalf("report: %q, %v", l, err)
	}
	return strings.TrimSuffix(l, "\n")
}

// ends waits for the guard's end, and that nobody holds the report any more, and returns when that was so.
func (g *guarded) ends(t *testing.T, code int) time.Time {
	t.Helper()
	if err := g.pipe.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, g.report); err != nil {
		t.Fatalf("processes are left: %v", err)
	}
	select {
	case <-g.done:
	case <-time.After(5 * time.Second):
		t.Fatal("the guard goes on")
	}
	now := time.Now()
	if got := g.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit status %d, want %d", got, code)
	}
	return now
}

// standIn is a process that stands for a container's init, and a pidfd of it.
func standIn(t *testing.T) (init *exec.Cmd, pidfd *os.File) {
	t.Helper()
	c := exec.Command("sleep", "1000")
	fd := -1
	c.SysProcAttr = &syscall.SysProcAttr{PidFD: &fd}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if fd < 0 {
		t.Fatal("no pidfd")
	}
	pidfd = os.NewFile(uintptr(fd), "pidfd")
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		pidfd.Close()
	})
	return c, pidfd
}

// eventually waits up to ten seconds for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	leak.Eventually(t, 10*time.Second, what, ok)
}

// read returns a file of /proc/PID.
func read(t *testing.T, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH) {
		t.Fatal(err)
	}
	return string(b)
}

// status returns a line of /proc/PID/status, or nothing when the process is gone.
func status(t *testing.T, pid int, key string) string {
	t.Helper()
	for l := range strings.Lines(read(t, pid, "status")) {
		if v, ok := strings.CutPrefix(l, key+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// children lists the children of a process, zombies too.
func children(t *testing.T, pid int) []int {
	t.Helper()
	var pids []int
	for word := range strings.FieldsSeq(read(t, pid, fmt.Sprintf("task/%d/children", pid))) {
		child, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, child)
	}
	return pids
}
