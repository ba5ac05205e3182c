package terminal

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Whatever ends the launcher, the terminal is as it was.
func TestModesAfterEveryWayOut(t *testing.T) {
	s := startShell(t)
	s.do("stty -ixon intr ^B min 5 cols 77")
	before, settings := s.modes(), s.do("stty -a")
	for _, c := range []struct {
		name, mode string
		end        func(pid int)
		code       string
	}{
		{"normal end", "run", func(int) { s.keys("exit 0\r") }, "0"},
		{"failure", "run", func(int) { s.keys("exit 7\r") }, "7"},
		{"SIGTERM", "run", func(pid int) { s.signal(pid, unix.SIGTERM) }, "137"},
		{"SIGHUP", "run", func(pid int) { s.signal(pid, unix.SIGHUP) }, "137"},
		{"SIGINT", "run", func(pid int) { s.signal(pid, unix.SIGINT) }, "130"},
		{"SIGQUIT", "run", func(pid int) { s.signal(pid, unix.SIGQUIT) }, "137"},
		{"panic", "panic", func(pid int) { s.signal(pid, unix.SIGUSR1) }, "2"},
	} {
		s.keys(launcherLine(t, c.mode, "@") + "; echo code=$?=\n")
		s.see("inside\r\n")
		s.waitRaw(true)
		c.end(s.launcher())
		s.see("code=" + c.code + "=")
		if after := s.modes(); after != before {
			t.Errorf("%s: modes %+v; want %+v", c.name, after, before)
		}
		if after := s.do("stty -a"); after != settings {
			t.Errorf("%s: stty -a says %s; want %s", c.name, after, settings)
		}
	}
}

// SIGTSTP or SIGSTOP from outside: the shell has its terminal in between, and
// the container has it again after fg, and redraws.
func TestStopAndContinue(t *testing.T) {
	for _, stop := range []unix.Signal{unix.SIGTSTP, unix.SIGSTOP} {
		t.Run(unix.SignalName(stop), func(t *testing.T) {
			s := startShell(t)
			before := s.modes()
			s.keys(launcherLine(t, "run", "@") + "\n")
			s.see("inside\r\n")
			s.waitRaw(true)
			pid := s.launcher()
			for range 3 {
				s.signal(pid, stop)
				s.see("Stopped")
				if state(pid) != "T" {
					t.Fatalf("state %s", state(pid))
				}
				s.waitRaw(false)
				if after := s.modes(); after.Lflag != before.Lflag || after.Iflag != before.Iflag || after.Oflag != before.Oflag {
					t.Errorf("modes while stopped %+v; want %+v", after, before)
				}
				if got := s.do("echo shell"); got != "shell" {
					t.Errorf("the shell says %q", got)
				}
				s.keys("fg\n")
				s.see("size 30 100\r\n")
				s.waitRaw(true)
				s.keys("hello\r")
				s.see("got hello\r\n")
			}
			s.leave("3")
			if after := s.modes(); after != before {
				t.Errorf("modes %+v; want %+v", after, before)
			}
		})
	}
}

// After bg the container runs on and prints, the keys are the shell's, and fg,
// which sends no signal to a running job, gives it the terminal.
func TestBackgroundAfterStop(t *testing.T) {
	s := startShell(t)
	before := s.modes()
	s.keys(launcherLine(t, "run", "@ ticks") + "\n")
	s.see("inside\r\n")
	s.waitRaw(true)
	pid := s.launcher()
	s.signal(pid, unix.SIGTSTP)
	s.see("Stopped")
	s.do("bg")
	for range 3 {
		s.see("tick")
	}
	if s.isRaw() {
		t.Error("a launcher in the background made the terminal raw")
	}
	if got := s.do("echo shell"); !strings.Contains(got, "shell") {
		t.Errorf("the shell says %q", got)
	}
	if st := state(pid); st == "T" || st == "" {
		t.Errorf("state of the launcher %q", st)
	}
	s.keys("fg\n")
	s.waitRaw(true)
	s.keys("hello\r")
	s.see("got hello\r\n")
	s.leave("0")
	if after := s.modes(); after != before {
		t.Errorf("modes %+v; want %+v", after, before)
	}
}

// Started in the background it stops, as any program that wants the terminal
// does, and fg starts it off.
func TestStartInBackground(t *testing.T) {
	s := startShell(t)
	before := s.modes()
	s.keys(launcherLine(t, "run", "@") + " &\n")
	pid := s.launcher()
	s.waitStopped(pid)
	if after := s.modes(); after.Lflag != before.Lflag {
		t.Errorf("modes %+v; want %+v", after, before)
	}
	s.keys("fg\n")
	s.waitRaw(true)
	s.keys("hello\r")
	s.see("got hello\r\n")
	s.leave("0")
	if after := s.modes(); after != before {
		t.Errorf("modes %+v; want %+v", after, before)
	}
}

// A stopped launcher that is told to end does so at once, in the background:
// the shell sends SIGCONT after the signal, and that must not stop it again.
func TestKillWhileStopped(t *testing.T) {
	for _, background := range []bool{false, true} {
		s := startShell(t)
		before := s.modes()
		line := launcherLine(t, "run", "@")
		if background {
			line += " &"
		}
		s.keys(line + "\n")
		pid := s.launcher()
		if !background {
			s.see("inside\r\n")
			s.waitRaw(true)
			s.signal(pid, unix.SIGTSTP)
		}
		s.waitStopped(pid)
		s.do("kill %1")
		eventually(t, "the launcher ends", func() bool { return state(pid) == "" || state(pid) == "Z" })
		s.do("wait")
		if after := s.modes(); after != before {
			t.Errorf("modes %+v; want %+v", after, before)
		}
	}
}

// ^C and ^Z go to the shell inside, which has job control of its own.
func TestKeysReachTheInnerShell(t *testing.T) {
	s := startShell(t)
	s.keys(launcherLine(t, "run", "env PS1='$ ' bash --norc --noprofile --noediting -i") + "\n")
	pid := s.launcher()
	s.waitRaw(true)
	s.do("set -m")
	// It is the job that prints, so that it has the terminal by then.
	s.keys("sh -c 'echo now; exec sleep 1000'\r")
	s.see("now\r\n")
	s.keys("\x1a")
	s.see("Stopped")
	if st := state(pid); st == "T" {
		t.Error("^Z stopped the launcher")
	}
	if got := s.do("jobs"); !strings.Contains(got, "sleep 1000") {
		t.Errorf("jobs says %q", got)
	}
	s.keys("fg\r")
	s.see("sleep 1000'\r\n")
	s.keys("\x03")
	s.see("$ ")
	if got := s.do("echo $?"); got != "130" {
		t.Errorf("code of the interrupted command: %q", got)
	}
	if err := SetSize(s.pty.master, unix.Winsize{Row: 41, Col: 99}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the size arrives inside", func() bool { return s.do("stty size") == "41 99" })
	s.leave("5")
}

// waitStopped waits until the launcher has stopped and the shell knows of it,
// which is when the last thread has: a fg before that sends no SIGCONT.
func (s *shell) waitStopped(pid int) {
	s.t.Helper()
	eventually(s.t, "the launcher stops", func() bool { return state(pid) == "T" })
	eventually(s.t, "the shell knows", func() bool { return strings.Contains(s.do("jobs"), "Stopped") })
}

// leave ends what is inside with a code, and waits until the shell has its
// terminal: what is typed before that would go inside.
func (s *shell) leave(code string) {
	s.t.Helper()
	s.keys("exit " + code + "\r")
	s.waitRaw(false)
	if got := s.do("echo $?"); got != code {
		s.t.Errorf("exit code %q; want %s", got, code)
	}
}

// The terminal is closed under a launcher that ignores nothing: it ends.
func TestTerminalClosed(t *testing.T) {
	s := startShell(t)
	s.keys(launcherLine(t, "run", "@") + "\n")
	s.see("inside\r\n")
	s.waitRaw(true)
	pid := s.launcher()
	// The reader of the output holds the master open in a read: hang up instead.
	s.signal(s.cmd.Process.Pid, unix.SIGKILL)
	eventually(t, "the launcher ends", func() bool { return state(pid) == "" || state(pid) == "Z" })
}
