package run

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// shell is a terminal in which rl-run has started the tree's shell, and its settings before.
func shell(t *testing.T, tree string) (p *trial.PTY, before unix.Termios) {
	t.Helper()
	p = trial.OpenPTY(t)
	before = p.Termios()
	p.Start(trial.Command{Args: []string{"--quiet", tree, "sh", "-i"}, Env: []string{"TERM=xterm"}})
	p.Expect("# ")
	return p, before
}

// say has the shell print a word that is not what was typed.
func say(p *trial.PTY, word string) {
	p.Send("echo " + word[:1] + "''" + word[1:] + "\r")
	p.Expect("\n" + word)
	p.Expect("# ")
}

// leave ends the shell.
func leave(t *testing.T, p *trial.PTY, before unix.Termios) {
	t.Helper()
	p.Send("exit 5\r")
	if code := p.Wait(); code != 5 {
		t.Errorf("exit code %d\non the screen: %q", code, p.Screen())
	}
	unchanged(t, p, before)
}

func unchanged(t *testing.T, p *trial.PTY, before unix.Termios) {
	t.Helper()
	if after := p.Termios(); after != before {
		t.Errorf("the terminal's settings are %+v, were %+v", after, before)
	}
}

func TestInterruptInTerminal(t *testing.T) {
	tree := begin(t)
	p, before := shell(t, tree)
	p.Send("sleep 1000\r")
	p.Expect("\n")
	time.Sleep(100 * time.Millisecond)
	p.Send("\x03")
	p.Expect("# ")
	p.Send("echo c''ode $?\r")
	p.Expect("code 130")
	say(p, "alive")
	leave(t, p, before)
}

func TestStopInTerminal(t *testing.T) {
	tree := begin(t)
	p, before := shell(t, tree)
	p.Send("cat\r")
	p.Expect("cat\r\n")
	time.Sleep(100 * time.Millisecond) // until the shell has given the terminal to cat
	p.Send("line\r")
	p.Expect("line\r\nline")
	p.Send("\x1a")
	p.Expect("Stopped")
	p.Expect("# ")
	say(p, "shell")
	p.Send("fg\r")
	p.Expect("cat")
	p.Send("again\r")
	p.Expect("again\r\nagain")
	p.Send("\x04")
	p.Expect("# ")
	leave(t, p, before)
}

func TestQuitInTerminal(t *testing.T) {
	tree := begin(t)
	p := trial.OpenPTY(t)
	before := p.Termios()
	p.Start(trial.Command{Args: []string{"--quiet", tree, "sleep", "1000"}})
	for end := time.Now().Add(5 * time.Second); p.Termios() == before && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	p.Send("\x1c")
	if code := p.Wait(); code != 128+int(unix.SIGQUIT) {
		t.Errorf("exit code %d", code)
	}
	unchanged(t, p, before)
}

func TestWindowSize(t *testing.T) {
	tree := begin(t)
	p := trial.OpenPTY(t)
	before := p.Termios()
	p.Resize(33, 101)
	p.Start(trial.Command{Args: []string{
		"--quiet", tree, "sh", "-c",
		`stty size; trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done`,
	}})
	p.Expect("33 101")
	p.Expect("ready")
	p.Resize(50, 132)
	p.Expect("50 132")
	p.Resize(20, 40)
	p.Expect("20 40")
	p.Send("\x03")
	if code := p.Wait(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	unchanged(t, p, before)
}

// A terminal without a size gets a usual one.
func TestWindowWithoutSize(t *testing.T) {
	tree := begin(t)
	p := trial.OpenPTY(t)
	p.Resize(0, 0)
	p.Start(trial.Command{Args: []string{"--quiet", tree, "stty", "size"}})
	p.Expect("24 80")
	p.Wait()
}

func TestTerminalIsTheContainersOwn(t *testing.T) {
	tree := begin(t)
	p := trial.OpenPTY(t)
	p.Start(trial.Command{
		Args: []string{
			"--quiet", tree, "sh", "-c",
			`tty; stat -c %u:%g:%a $(tty); echo TERM=$TERM; awk '{ print "ids", $1 == $5, $1 == $6, $7 != 0, $8 == $1 }' /proc/$$/stat
		 for f in 0 1 2; do readlink /proc/$$/fd/$f; done`,
		},
		Env: []string{"TERM=no-such-terminal"},
	})
	p.Expect("/dev/pts/0\r\n0:5:620\r\nTERM=xterm\r\nids 1 1 1 1\r\n/dev/pts/0\r\n/dev/pts/0\r\n/dev/pts/0\r\n")
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// The settings come back after every end, and they need not be the usual ones.
func TestSettingsComeBack(t *testing.T) {
	tree := begin(t)
	p := trial.OpenPTY(t)
	p.Start(trial.Command{Path: "/bin/stty", Args: []string{"-isig", "-echoctl", "erase", "^H", "tostop", "-ixon", "min", "3"}})
	if code := p.Wait(); code != 0 {
		t.Fatalf("stty: exit code %d", code)
	}
	before := p.Termios()
	for _, c := range []struct {
		name string
		args []string
		code int
	}{
		{"end", []string{tree, "true"}, 0},
		{"failure of the command", []string{tree, "sh", "-c", "stty raw -echo; exit 7"}, 7},
		{"command not found", []string{tree, "no-such"}, 127},
		{"command not executable", []string{tree, "/etc/passwd"}, 126},
		{"no such rootfs", []string{"/no/such", "true"}, 125},
		{"failure of a step", []string{"-w", "/bin/busybox/x", tree, "true"}, 125},
		{"death", []string{tree, "sh", "-c", "kill -KILL $$"}, 137},
		{"death of all", []string{tree, "sh", "-c", "kill -KILL -1"}, 137},
		{"a copy", []string{"--copy", tree, "true"}, 0},
	} {
		p.Start(trial.Command{Args: append([]string{"--quiet"}, c.args...)})
		if code := p.Wait(); code != c.code && c.name != "death of all" {
			t.Errorf("%s: exit code %d, want %d", c.name, code, c.code)
		}
		if after := p.Termios(); after != before {
			t.Errorf("%s: the terminal's settings are %+v, were %+v", c.name, after, before)
		}
	}
}

func TestSettingsComeBackAfterSignals(t *testing.T) {
	tree := begin(t)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT} {
		p := trial.OpenPTY(t)
		before := p.Termios()
		p.Start(trial.Command{Args: []string{"--quiet", tree, "sh", "-c", "echo r''eady; exec sleep 1000"}})
		p.Expect("ready")
		time.Sleep(20 * time.Millisecond)
		p.Signal(sig)
		if code := p.Wait(); code != 128+int(sig) {
			t.Errorf("%v: exit code %d", sig, code)
		}
		unchanged(t, p, before)
	}
}

// With -t=false in a terminal the command has the caller's fds, and ^C still ends it.
func TestTerminalWithoutPTY(t *testing.T) {
	tree := begin(t)
	p := trial.OpenPTY(t)
	before := p.Termios()
	p.Start(trial.Command{Args: []string{"--quiet", "-t=false", tree, "sh", "-c", "ls /dev/pts; echo r''eady; exec sleep 1000"}})
	p.Expect("ready")
	unchanged(t, p, before)
	time.Sleep(20 * time.Millisecond)
	p.Send("\x03")
	if code := p.Wait(); code != 130 {
		t.Errorf("exit code %d\non the screen: %q", code, p.Screen())
	}
	unchanged(t, p, before)
}

func TestPTYWithoutTerminal(t *testing.T) {
	tree := begin(t)
	got := trial.Command{Args: []string{"--quiet", "-t", tree, "sh", "-c", "tty; stty size; echo end"}}.Run(t).OK(t)
	want(t, "output", got, "/dev/pts/0\r\n24 80\r\nend\r")
	r := trial.Command{Args: []string{"--quiet", "-it", tree, "sh", "-c", "read x; echo got $x"}, Stdin: trial.StdinText("typed\n")}.Run(t)
	holds(t, "input through a pipe into a pty", r.OK(t), "got typed")
}

// Fifty times ^C in a second: one clean stop.
func TestManyInterruptsInTerminal(t *testing.T) {
	tree := begin(t)
	p := trial.OpenPTY(t)
	before := p.Termios()
	p.Start(trial.Command{Args: []string{"--quiet", tree, "sh", "-c", "trap 'exit 9' INT; echo r''eady; while :; do sleep 0.1; done"}})
	p.Expect("ready")
	ended := make(chan int)
	go func() { ended <- p.Wait() }()
	for range 50 {
		p.Send("\x03")
		time.Sleep(20 * time.Millisecond)
	}
	if code := <-ended; code != 9 {
		t.Errorf("exit code %d", code)
	}
	unchanged(t, p, before)
	lacks(t, "screen", p.Screen(), "goroutine", "rl-run: error")
}

// A lot of output at the end is there in full.
func TestLastOutput(t *testing.T) {
	tree := begin(t)
	p := trial.OpenPTY(t)
	for range 10 {
		p.Start(trial.Command{Args: []string{"--quiet", tree, "sh", "-c", "seq 1 20000; echo last line"}})
		p.Expect("20000\r\nlast line\r\n")
		if code := p.Wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

// Typing goes through unchanged once the inner terminal is raw.
func TestRawTerminal(t *testing.T) {
	tree := begin(t)
	p := trial.OpenPTY(t)
	before := p.Termios()
	p.Start(trial.Command{Args: []string{"--quiet", tree, "sh", "-c", "stty raw -echo; echo ready; head -c 255 | od -An -v -tu1; stty sane"}})
	p.Expect("ready")
	all := make([]byte, 255)
	for i := range all {
		all[i] = byte(i + 1)
	}
	p.Send(string(all))
	p.Expect("255")
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	numbers := strings.Fields(p.Screen()[strings.Index(p.Screen(), "ready")+5:])
	for i, n := range numbers[:255] {
		if n != strconv.Itoa(i+1) {
			t.Fatalf("byte %d came through as %s", i+1, n)
		}
	}
	unchanged(t, p, before)
}

// unconfined, a command could type into the caller's terminal: with one of its own only.
func TestUnconfinedNeedsOwnTerminal(t *testing.T) {
	tree := begin(t)
	p := trial.OpenPTY(t)
	p.Start(trial.Command{Args: []string{"--quiet", "-t=false", "--security-opt", "seccomp=unconfined", tree, "true"}})
	p.Expect("rl-run: error: ")
	if code := p.Wait(); code != 125 {
		t.Errorf("exit code %d", code)
	}
	p.Start(trial.Command{Args: []string{"--quiet", "--security-opt", "seccomp=unconfined", tree, "true"}})
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// In a shell of the host, with -t=false: ^Z stops rl-run as any job, and fg goes on.
func TestJobOfTheCallersShell(t *testing.T) {
	tree := begin(t)
	p := trial.OpenPTY(t)
	before := p.Termios()
	p.Start(trial.Command{Path: "/bin/bash", Args: []string{"--norc", "--noprofile", "-i"}, Env: []string{"PS1=host> ", "INPUTRC=/dev/null"}})
	p.Expect("host> ")
	p.Send(trial.Bin(t, "rl-run") + " --quiet -t=false " + tree + " sh -c 'echo r\"\"eady; sleep 1; echo e\"\"nd'\r")
	p.Expect("ready\r\n")
	time.Sleep(50 * time.Millisecond)
	p.Send("\x1a")
	p.Expect("Stopped")
	p.Expect("host> ")
	p.Send("fg\r")
	p.Expect("end\r\n")
	p.Expect("host> ")
	p.Send("exit 3\r")
	if code := p.Wait(); code != 3 {
		t.Errorf("exit code %d", code)
	}
	unchanged(t, p, before)
}

// A file as standard input ends in a terminal of the container's, too.
func TestEndOfFileInTerminal(t *testing.T) {
	tree := begin(t)
	r := trial.Command{Args: []string{"--quiet", "-it", tree, "sh", "-c", "tr a-z A-Z; echo $?"}, Stdin: trial.StdinText("one\ntwo")}.Run(t)
	if r.OK(t); !strings.HasSuffix(r.Stdout, "ONE\r\nTWO0\r\n") { // behind the echo
		t.Errorf("%q", r.Stdout)
	}
}
