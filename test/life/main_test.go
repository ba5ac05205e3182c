package life

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/keeper"
	"github.com/rl-run/rl-run/internal/runtimedir"
	"github.com/rl-run/rl-run/internal/trial"
)

// The test program is the launcher of containers that have nothing but namespaces, with the real keeper.
func TestMain(m *testing.M) {
	if script := os.Getenv("RLRUN_LIFE_SCRIPT"); script != "" {
		if err := launch(os.Getenv("RLRUN_LIFE_NAME"), script); err != nil {
			fmt.Println(err)
		}
		os.Exit(1)
	}
	os.Exit(trial.Tests(m).Run())
}

func store() *container.Store {
	return container.Open(runtimedir.New(os.Getenv("XDG_RUNTIME_DIR"), os.Getuid()))
}

// launch starts a shell as process 1 of a pid namespace and becomes its keeper.
func launch(name, script string) error {
	runtime.LockOSThread()
	command := []string{"sh", "-c", script}
	e, err := store().Reserve(container.Request{Name: name, Base: "tree", Detached: true, Rootfs: "/srv/tree", Command: command})
	if err != nil {
		return err
	}
	ids := container.IDMap{{Inside: 0, Outside: uint32(os.Getuid()), Count: 1}}
	err = e.WriteConfig(&container.Config{
		Name: e.Name, Rootfs: "/srv/tree", RootMode: "ephemeral", Command: container.Texts(command), CreatedAt: time.Now(), Hostname: e.Name,
		UidMap: ids, GidMap: ids, Seccomp: "default", NoNewPrivs: true, StopSignal: int(unix.SIGTERM),
		Network: container.Network{Mode: "none"}, Exec: container.Exec{Workdir: "/", Env: container.Texts([]string{"PATH=/bin:/usr/bin", "PASSWORD=hunter2"})},
	})
	if err != nil {
		return err
	}
	var output [2]int
	if err := unix.Pipe2(output[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	c := exec.Command("/bin/sh", command[1:]...)
	c.Stdout = os.NewFile(uintptr(output[1]), "output")
	c.Stderr = c.Stdout
	c.Env = []string{"PATH=/usr/bin:/bin"}
	mapping := []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC, Pdeathsig: unix.SIGKILL, Setsid: true,
		UidMappings: mapping, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := c.Start(); err != nil {
		return err
	}
	return keep(e, c.Process.Pid, output[0])
}

// keep becomes the keeper of a child.
func keep(e *container.Entry, pid, output int) error {
	init, err := container.RefOf(pid)
	if err != nil {
		return err
	}
	self, err := container.RefOf(os.Getpid())
	if err != nil {
		return err
	}
	exit, err := e.ExitFile()
	if err != nil {
		return err
	}
	tell, err := unix.Eventfd(uint(pid), 0)
	if err != nil {
		return err
	}
	image, err := keeper.MemFD()
	if err != nil {
		return err
	}
	if err := e.WriteState(&container.State{Init: init, Keeper: self, StartedAt: time.Now()}); err != nil {
		return err
	}
	for _, fd := range []int{output, exit, e.DirFD()} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	fmt.Println(e.Name)
	argv := keeper.Argv(keeper.Options{PID: tell, Output: output, Dir: e.DirFD(), Exit: exit, Cap: 64 << 10})
	return unix.Exec("/proc/self/fd/"+strconv.Itoa(image), argv, nil)
}

// start starts a container with a script, and removes it at the end of the test.
func start(t *testing.T, name, script string) {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), "RLRUN_LIFE_NAME="+name, "RLRUN_LIFE_SCRIPT="+script)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && err != io.EOF { //nolint:errorlint // as it is
		t.Fatal(err)
	}
	got := strings.TrimSuffix(line, "\n")
	if got != name {
		t.Fatalf("start %s: %s", name, got)
	}
	reaped := make(chan struct{})
	go func() { // as init would, to which a real keeper belongs
		_ = c.Wait()
		close(reaped)
	}()
	t.Cleanup(func() {
		rl(t, "rl-rm", "-f", name).OK(t)
		<-reaped
	})
}

// rl runs a command of rl-run's.
func rl(t *testing.T, name string, args ...string) trial.Result {
	t.Helper()
	return trial.Command{Path: trial.Bin(t, name), Args: args}.Run(t)
}

// Scripts of containers. Process 1 gets the signals that it has a handler for.
const (
	patient  = `trap "echo bye; exit 7" TERM; trap "echo usr1" USR1; echo ready; while :; do sleep 1000 & wait $!; done`
	stubborn = `trap "" TERM; echo ready; while :; do sleep 1000 & wait $!; done`
)

// ready waits until the script has set its traps.
func ready(t *testing.T, name string) {
	t.Helper()
	written(t, name, "ready\n")
}

// written waits until the log has a text.
func written(t *testing.T, name, text string) {
	t.Helper()
	for end := time.Now().Add(trial.Timeout); ; time.Sleep(5 * time.Millisecond) {
		log := rl(t, "rl-logs", name)
		log.OK(t)
		if strings.Contains(log.Stdout, text) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the log of %s has no %q: %q", name, text, log.Stdout)
		}
	}
}
