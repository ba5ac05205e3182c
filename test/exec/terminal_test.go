package exec

import (
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// run starts a command in the terminal.
func run(t *testing.T, p *trial.PTY, args ...string) {
	t.Helper()
	p.Start(trial.Command{Path: trial.Bin(t, "rl-exec"), Args: args})
}

func TestTerminal(t *testing.T) {
	leak.Watch(t)
	start(t, "web")
	p := trial.OpenPTY(t)
	before := p.Termios()
	run(t, p, "web", "sh", "-c", `tty; stty size; trap "stty size" WINCH; echo ready; while :; do sleep 0.05; done`)
	p.Expect("/dev/pts/0\r\n24 80\r\nready")
	p.Resize(50, 132)
	p.Expect("50 132")
	p.Send("\x03")
	if code := p.Wait(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	if after := p.Termios(); after != before {
		t.Errorf("the terminal was left with %+v, it had %+v", after, before)
	}

	// A shell with job control.
	run(t, p, "-it", "-u", "1000", "web", "sh")
	p.Expect("$ ")
	p.Send("echo a$((1+1))b $TERM\r")
	p.Expect("a2b ")
	p.Send("sleep 4444\r")
	soon(t, "the shell's job runs", func() bool { return running(t, "sleep 4444") })
	p.Send("\x1a")
	p.Expect("Stopped")
	p.Send("kill -9 %1\r")
	p.Expect("$ ")
	p.Send("wait\r")
	p.Expect("$ ")
	p.Send("exit 9\r") // of which ash says once that there are jobs
	p.Expect("$ ")
	p.Send("exit 9\r")
	if code := p.Wait(); code != 9 {
		t.Errorf("exit code %d", code)
	}
	if after := p.Termios(); after != before {
		t.Errorf("the terminal was left with %+v, it had %+v", after, before)
	}
}

func TestWithoutTerminal(t *testing.T) {
	leak.Watch(t)
	start(t, "web")
	p := trial.OpenPTY(t)
	run(t, p, "-t=false", "web", "sh", "-c", "tty || echo none; echo end")
	if s := p.Expect("end"); !strings.Contains(s, "none") && !strings.Contains(s, "not a tty") {
		t.Errorf("%q", s)
	}
	p.Wait()
	// A terminal that is asked for without one outside.
	if got := rl(t, "rl-exec", "-t", "web", "tty").OK(t); got != "/dev/pts/0\r" {
		t.Errorf("%q", got)
	}
}
