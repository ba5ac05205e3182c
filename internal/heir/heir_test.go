//go:build linux && (amd64 || arm64)

package heir

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/static/statictest"
)

// does is the name under which the test program is what an heir executes: FILE. It writes down how it was started.
const does = "does-the-rest"

// starts is the name under which it is a launcher that leaves it to its heir: FILE. It waits until the heir waits, and ends.
const starts = "starts-an-heir"

func TestMain(m *testing.M) {
	if os.Args[0] == starts {
		h, err := Start(append([]string{does}, os.Args[1:]...))
		if err != nil {
			panic(err)
		}
		for end := time.Now().Add(10 * time.Second); status(h.PID, "Name") != Name || status(h.PID, "State") != "S (sleeping)"; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				panic("it does not wait")
			}
		}
		if exists(os.Args[1]) {
			panic("it did not wait")
		}
		os.Exit(0)
	}
	if os.Args[0] == does {
		var set unix.Sigset_t
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, nil, &set)
		dir, _ := os.Getwd()
		text := fmt.Sprintf("%s %v %v in %s", os.Getenv("RLRUN_HEIR"), os.Args[1:], set.Val[0], dir)
		// at once, so that nobody reads a part of it
		if os.WriteFile(os.Args[1]+"~", []byte(text), 0o600) != nil || os.Rename(os.Args[1]+"~", os.Args[1]) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// eventually waits up to ten seconds for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	leak.Eventually(t, 10*time.Second, what, ok)
}

// status is a line of /proc/PID/status.
func status(pid int, key string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func waits(t *testing.T, pid int) {
	t.Helper()
	eventually(t, "the heir asleep", func() bool { return status(pid, "Name") == Name && status(pid, "State") == "S (sleeping)" })
}

func TestWaitsForAll(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	h, err := Start([]string{does, file, "and more"})
	if err != nil {
		t.Fatal(err)
	}
	pid := h.PID
	t.Cleanup(func() {
		_ = unix.Kill(pid, unix.SIGKILL)
		_, _ = unix.Wait4(pid, nil, 0, nil)
	})
	waits(t, pid)
	// Another who holds the will, as a keeper does.
	second, err := unix.FcntlInt(uintptr(h.Will), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	h.Leave()
	h.Release() // nothing any more
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if sig != unix.SIGKILL && sig != unix.SIGSTOP && sig != 32 && sig != 33 {
			if err := unix.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(50 * time.Millisecond)
	waits(t, pid)
	if fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err != nil || len(fds) != 2 {
		t.Errorf("it has %v open, want 0 and 3: %v", fds, err)
	}
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("its session is %d, %v", sid, err)
	}
	if exists(file) {
		t.Fatal("it did not wait")
	}
	_ = unix.Close(second)
	// The signals that waited end what it has become; so this only tells that it went on.
	var ws unix.WaitStatus
	if _, err := unix.Wait4(pid, &ws, 0, nil); err != nil || !ws.Signaled() {
		t.Errorf("%v, %v", ws, err)
	}
}

func TestDoesTheRest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	// A process of its own, in which descriptors have low numbers as in a launcher.
	c := exec.Command("/proc/self/exe")
	c.Args = []string{starts, file, "and more"}
	c.Env = append(os.Environ(), "RLRUN_HEIR=environment")
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "what it does", func() bool { return exists(file) })
	want := "environment [" + file + " and more] 0 in /"
	if text, err := os.ReadFile(file); err != nil || string(text) != want {
		t.Errorf("%q, %v, want %q", text, err, want)
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func TestRelease(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	h, err := Start([]string{does, file})
	if err != nil {
		t.Fatal(err)
	}
	pid, will := h.PID, h.Will
	h.Release()
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("it is there: %v", err)
	}
	if _, err := unix.FcntlInt(uintptr(will), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("the will is open: %v", err)
	}
	if exists(file) {
		t.Error("it did what was to be left alone")
	}
	(*Heir)(nil).Release()
}

// TestOtherArchitecture runs the image of the other architecture under qemu-user.
func TestOtherArchitecture(t *testing.T) {
	qemu, image := statictest.Emulated(t, "heir")
	file := filepath.Join(t.TempDir(), "file")
	shell, err := os.Open("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	defer shell.Close()
	c := exec.Command(qemu, "-0", "sh", image, "-c", `echo "$A" >"$0"`, file)
	c.Env = append(os.Environ(), "A="+strconv.Itoa(os.Getpid()))
	c.ExtraFiles = []*os.File{shell}
	will, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the heir asleep", func() bool { return status(c.Process.Pid, "Name") == Name })
	time.Sleep(50 * time.Millisecond)
	if exists(file) {
		t.Error("it did not wait")
	}
	_ = will.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != c.Env[len(c.Env)-1][2:]+"\n" {
		t.Errorf("%q, %v", text, err)
	}
}
