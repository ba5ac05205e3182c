package terminal

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shell is an interactive bash on a pty: the user, whose keys a test types.
type shell struct {
	t   *testing.T
	pty *pty
	cmd *exec.Cmd

	mu     sync.Mutex
	output []byte
	read   int // up to here a test has looked
	asked  int
}

func startShell(t *testing.T) *shell {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		unavailable(t, "no bash here")
	}
	p := openPTY(t)
	if err := SetSize(p.master, unix.Winsize{Row: 30, Col: 100}); err != nil {
		t.Fatal(err)
	}
	slave := os.NewFile(uintptr(p.slave), "slave")
	cmd := exec.Command(bash, "--norc", "--noprofile", "--noediting", "-i")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.Env = append(os.Environ(), "PS1=$ ", "TERM=dumb", "LC_ALL=C", "HISTFILE=", "ENV=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	p.slave = -1

	s := &shell{t: t, pty: p, cmd: cmd}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		buf := make([]byte, 4096)
		for {
			n, err := read(p.master, buf)
			if err != nil || n == 0 {
				return
			}
			s.mu.Lock()
			s.output = append(s.output, buf[:n]...)
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		// Everything that the shell started is in its session.
		for _, pid := range s.session() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		_ = cmd.Wait()
		<-drained
		if t.Failed() {
			t.Logf("the terminal showed at last:\n%q", s.output[max(0, len(s.output)-2000):])
		}
	})
	s.do("stty -tostop")
	return s
}

// unavailable skips, or fails where nothing may be skipped.
func unavailable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("RLRUN_NO_SKIP") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// processes calls f with the fields of every /proc/PID/stat after the name.
func processes(f func(pid int, fields []string)) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		if at := bytes.LastIndexByte(stat, ')'); at >= 0 {
			f(pid, strings.Fields(string(stat[at+1:])))
		}
	}
}

// session lists the processes of the shell's session. The command of a launcher
// has one of its own, and dies with the launcher (PDEATHSIG).
func (s *shell) session() (pids []int) {
	leader := strconv.Itoa(s.cmd.Process.Pid)
	processes(func(pid int, fields []string) {
		if fields[3] == leader {
			pids = append(pids, pid)
		}
	})
	return pids
}

// launcher is the pid of the one launcher that the shell runs.
func (s *shell) launcher() int {
	s.t.Helper()
	found := 0
	shell := strconv.Itoa(s.cmd.Process.Pid)
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the shell runs a launcher", func() bool {
		processes(func(pid int, fields []string) {
			if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); fields[1] == shell && exe == self {
				found = pid
			}
		})
		return found != 0
	})
	return found
}

// state is the letter of /proc/PID/stat: R, S, T for stopped, or "" for none.
func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[0]
}

func (s *shell) signal(pid int, sig unix.Signal) {
	s.t.Helper()
	if err := unix.Kill(pid, sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shell) keys(keys string) {
	s.t.Helper()
	if _, err := unix.Write(s.pty.master, []byte(keys)); err != nil {
		s.t.Fatal(err)
	}
}

// see waits until the terminal shows a text, after what was seen before.
func (s *shell) see(text string) string {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		s.mu.Lock()
		rest := s.output[s.read:]
		at := bytes.Index(rest, []byte(text))
		if at >= 0 {
			s.read += at + len(text)
			s.mu.Unlock()
			return string(rest[:at])
		}
		s.mu.Unlock()
		if time.Now().After(deadline) {
			s.t.Fatalf("the terminal does not show %q but %q", text, rest)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// do types a command line for the shell and returns what it prints. In it $? is
// that of the line before.
func (s *shell) do(line string) string {
	s.t.Helper()
	s.asked++
	begin, end := fmt.Sprintf("<%d<", s.asked), fmt.Sprintf(">%d>", s.asked)
	// Split, so that the echo of the line is not taken for its output.
	s.keys(fmt.Sprintf("r=$?; echo '<'%d'<'; (exit $r); %s; echo '>'%d'>'\n", s.asked, line, s.asked))
	s.see(begin)
	return strings.TrimSpace(s.see(end))
}

// modes are those of the terminal, all of them.
func (s *shell) modes() unix.Termios {
	s.t.Helper()
	return termios(s.t, s.pty.master) // a master tells those of its slave
}

func (s *shell) isRaw() bool {
	s.t.Helper()
	return s.modes().Lflag&(unix.ICANON|unix.ISIG|unix.ECHO) == 0
}

func (s *shell) waitRaw(want bool) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("the terminal is raw: %v", want), func() bool { return s.isRaw() == want })
}
