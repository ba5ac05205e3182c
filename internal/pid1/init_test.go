//go:build linux && (amd64 || arm64)

package pid1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/static"
)

// exitCode runs c to its end.
func exitCode(t *testing.T, c *exec.Cmd) int {
	t.Helper()
	done := time.AfterFunc(30*time.Second, func() { _ = c.Process.Kill() })
	defer done.Stop()
	if err := c.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode()
}

func TestExitStatus(t *testing.T) {
	for script, want := range map[string]int{
		"exit 0":        0,
		"exit 7":        7,
		"exit 125":      125,
		"exit 255":      255,
		"kill -9 $$":    128 + 9,
		"kill -15 $$":   128 + 15,
		"kill -64 $$":   128 + 64,
		"kill -SEGV $$": 128 + 11,
	} {
		if got := exitCode(t, start(t, initOptions{}, "sh", "-c", script)); got != want {
			t.Errorf("%s: exit status %d, want %d", script, got, want)
		}
	}
}

// A command that died before the exec raised its SIGCHLD in the launcher's child, not in the init.
func TestCommandEndedBefore(t *testing.T) {
	o := initOptions{delay: 100 * time.Millisecond}
	if got := exitCode(t, start(t, o, "sh", "-c", "exit 7")); got != 7 {
		t.Errorf("exit status %d, want 7", got)
	}
}

func TestIgnoredSIGCHLD(t *testing.T) {
	if got := exitCode(t, start(t, initOptions{ignored: true}, "sh", "-c", "sleep 0.2; exit 7")); got != 7 {
		t.Errorf("exit status %d, want 7", got)
	}
}

func TestBadStart(t *testing.T) {
	for name, o := range map[string]initOptions{
		"end of file instead of a pid": {noPid: true},
		"not a child":                  {wrong: 1 << 30},
		"all processes":                {wrong: 1<<64 - 2},
		"a pid of more than 31 bits":   {wrong: 1<<32 + 2},
	} {
		// The command ends, so that the init is left without a child.
		if got := exitCode(t, start(t, o, "sh", "-c", "exit 0")); got != Failure {
			t.Errorf("%s: exit status %d, want %d", name, got, Failure)
		}
	}
	fd, err := MemFD()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, argv := range [][]string{{Name}, {Name, "x"}, {Name, "99999"}, {Name, "-1"}} {
		c := exec.Command(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd))
		c.Args = argv
		c.Env = []string{}
		if got := exitCode(t, c); got != Failure {
			t.Errorf("%q: exit status %d, want %d", argv, got, Failure)
		}
	}
}

func TestForwardsSignals(t *testing.T) {
	forwardsSignals(t, initOptions{}, 64)
	forwardsSignals(t, initOptions{open: true}, 64) // it blocks them itself
}

// forwardsSignals sends the init every signal up to last; the command has them blocked, so they stay pending there.
func forwardsSignals(t *testing.T, o initOptions, last int) {
	init := started(t, start(t, o, "blocked", "sleep", "1000"))
	command := onlyChild(t, init)

	dropped := []syscall.Signal{unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU}
	send := func(sig syscall.Signal) {
		if err := unix.Kill(init, sig); err != nil {
			t.Fatal(err)
		}
	}
	var forbidden uint64
	for _, sig := range dropped {
		send(sig)
		forbidden |= 1 << (sig - 1)
	}
	for n := 1; n <= last; n++ {
		sig := syscall.Signal(n)
		if forbidden&(1<<(n-1)) != 0 || sig == unix.SIGKILL || sig == unix.SIGSTOP {
			continue
		}
		if o.qemu != "" && (n == 32 || n == 33) {
			continue // the emulator's own libc keeps them
		}
		send(sig)
		eventually(t, fmt.Sprintf("signal %d pending", n), func() bool {
			return signals(t, command, "ShdPnd")&(1<<(n-1)) != 0
		})
	}
	if got := signals(t, command, "ShdPnd") & forbidden; got != 0 {
		t.Errorf("forwarded that should not be: %#x", got)
	}
}

// Process 1 normally gets no signal from inside for which it has no handler.
func TestForwardsSignalsFromInside(t *testing.T) {
	script := `trap 'exit 42' USR1; while :; do kill -USR1 1; sleep 0.02; done`
	if got := exitCode(t, start(t, initOptions{}, "sh", "-c", script)); got != 42 {
		t.Errorf("exit status %d, want 42", got)
	}
}

func TestStopAndContinue(t *testing.T) {
	c := start(t, initOptions{}, "sh", "-c", `trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done`)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	init := started(t, c)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		// Between the two the wait is interrupted, and begins again.
		_ = unix.Kill(init, unix.SIGSTOP)
		_ = unix.Kill(init, unix.SIGCONT)
	}
	_ = unix.Kill(init, unix.SIGTERM)
	_ = c.Wait()
	if got := c.ProcessState.ExitCode(); got != 9 {
		t.Errorf("exit status %d, want 9", got)
	}
}

func TestReapsOrphans(t *testing.T) {
	const orphans = 10000
	script := `i=0; while [ $i -lt ` + strconv.Itoa(orphans) + ` ]; do ( : & ); i=$((i+1)); done; echo done; exec sleep 1000`
	c := start(t, initOptions{}, "sh", "-c", script)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	init := started(t, c)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	made := time.Since(began)
	eventually(t, "the command is the only child", func() bool { return len(children(t, init)) == 1 })
	t.Logf("%s: %d orphans made in %v, the last reaped %v later, %v of CPU", strings.TrimSpace(line), orphans, made,
		time.Since(began)-made, cpu(t, init))
}

// cpu returns the time a process has used.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		t.Fatal(err)
	}
	var ns int64
	if _, err := fmt.Sscan(string(b), &ns); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ns)
}

func TestIdle(t *testing.T) {
	init := started(t, start(t, initOptions{}, "sleep", "1000"))
	before, switches := cpu(t, init), status(t, init, "voluntary_ctxt_switches")
	time.Sleep(500 * time.Millisecond)
	if after := cpu(t, init); after != before {
		t.Errorf("used %v of CPU while idle", after-before)
	}
	if got := status(t, init, "voluntary_ctxt_switches"); got != switches {
		t.Errorf("woke up while idle: %s switches, then %s", switches, got)
	}
}

// What /proc/1 shows to container root.
func TestProcess(t *testing.T) {
	init := started(t, start(t, initOptions{}, "sleep", "1000"))
	read := func(name string) string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", init, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := read("comm"); got != Name+"\n" {
		t.Errorf("comm %q", got)
	}
	if got := read("cmdline"); got != Name+"\x00100\x00" {
		t.Errorf("cmdline %q", got)
	}
	if got := read("environ"); got != "" {
		t.Errorf("environ %q", got)
	}
	if got := fds(t, init); len(got) != 0 {
		t.Errorf("open descriptors %q", got)
	}
	// make starts programs with 32 and 33 ignored; the launcher mends that
	const ofPosixSpawn = 1<<31 | 1<<32
	if got := signals(t, init, "SigIgn"); got&^ofPosixSpawn != 0 {
		t.Errorf("ignored %#x", got)
	}
	if got, err := unix.Getsid(init); got != init {
		t.Errorf("session %d (%v), want %d", got, err, init)
	}
	for line := range strings.Lines(read("maps")) {
		mode := strings.Fields(line)[1]
		if strings.Contains(mode, "w") && strings.Contains(mode, "x") {
			t.Errorf("writable and executable: %s", line)
		}
	}

	var pss int
	for line := range strings.Lines(read("smaps_rollup")) {
		if _, err := fmt.Sscanf(line, "Pss: %d kB", &pss); err == nil {
			break
		}
	}
	t.Logf("PSS %d kB, %s resident", pss, status(t, init, "VmRSS"))
	if pss == 0 || pss > 100 {
		t.Errorf("PSS %d kB, want 1 to 100", pss)
	}
}

// The descriptor is the image's, and sealed.
func TestMemFD(t *testing.T) {
	fd, err := MemFD()
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), Name)
	defer f.Close()
	if got, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || got&static.Seals != static.Seals {
		t.Errorf("seals %#x, %v", got, err)
	}
	got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	if err != nil || string(got) != string(Image()) {
		t.Errorf("content is not the image: %v", err)
	}
}

func BenchmarkMemFD(b *testing.B) {
	for b.Loop() {
		fd, err := MemFD()
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(fd)
	}
}

// BenchmarkStart is a clone, an exec of the image, which ends at once for want of arguments, and a wait.
func BenchmarkStart(b *testing.B) {
	fd, err := MemFD()
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fd)
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd)
	for b.Loop() {
		p, err := os.StartProcess(path, []string{Name}, &os.ProcAttr{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}
