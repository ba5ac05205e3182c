package trial

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(Tests(m).Run()) }

func shell(script string) Command {
	return Command{Path: "/bin/sh", Args: []string{"-c", script}}
}

func TestResult(t *testing.T) {
	leak.Watch(t)
	r := shell("echo out; echo err >&2; exit 7").Run(t)
	if want := (Result{Stdout: "out\n", Stderr: "err\n", Code: 7}); r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
	r.Fails(t, 7, "err")
	if r := shell("kill -TERM $$").Run(t); r.Code != -int(unix.SIGTERM) {
		t.Errorf("code %d of a program that SIGTERM ended", r.Code)
	}
	if out := shell("true").Run(t).OK(t); out != "" {
		t.Errorf("true wrote %q", out)
	}
}

func TestInputs(t *testing.T) {
	leak.Watch(t)
	c := shell("cat; pwd; echo $COLOUR; cat <&3")
	c.Stdin, c.Dir, c.Env = StdinText("typed\n"), "/", []string{"COLOUR=blue"}
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("third"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	c.Files = []*os.File{f}
	if got := c.Run(t).OK(t); got != "typed\n/\nblue\nthird" {
		t.Errorf("got %q", got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := shell("cat").Run(t).OK(t); got != "" {
		t.Errorf("the default standard input gives %q", got)
	}
	var out bytes.Buffer
	c = shell("echo here")
	c.Stdout = &out
	if r := c.Run(t); r.Stdout != "" || out.String() != "here\n" {
		t.Errorf("%q and %q", r.Stdout, out.String())
	}
}

func TestSignal(t *testing.T) {
	leak.Watch(t)
	r := shell("trap 'echo caught; exit 3' USR1; echo ready; echo steady >&2; while :; do sleep 0.01; done").Start(t)
	r.Stdout("ready\n")
	r.Stderr("steady")
	r.Signal(unix.SIGUSR1)
	if got := r.Wait(); got.Code != 3 || got.Stdout != "ready\ncaught\n" {
		t.Errorf("got %+v", got)
	}
}

// failing records that a test failed, and goes on.
type failing struct {
	testing.TB
	said []string
}

func (f *failing) Skipf(string, ...any) {}

func (f *failing) Fatalf(format string, _ ...any) { f.said = append(f.said, format) }

func TestTimeout(t *testing.T) {
	leak.Watch(t)
	f := &failing{TB: t}
	c := Command{Path: "/bin/sleep", Args: []string{"60"}, Timeout: 50 * time.Millisecond}
	start := time.Now()
	if r := c.Run(f); r.Code != -int(unix.SIGKILL) || len(f.said) != 1 || time.Since(start) > 10*time.Second {
		t.Errorf("got %+v after %v, said %q", r, time.Since(start), f.said)
	}
}

func TestUnwaitedIsKilled(t *testing.T) {
	leak.Watch(t)
	t.Run("start", func(t *testing.T) { Command{Path: "/bin/sleep", Args: []string{"60"}}.Start(t) })
}

func TestProgram(t *testing.T) {
	leak.Watch(t)
	if out := Run(t, "--help").OK(t); !strings.Contains(out, "rl-run") {
		t.Errorf("--help says %q", out)
	}
	Run(t, filepath.Join(t.TempDir(), "missing")).Fails(t, 125, "rl-run: error:", "missing")
	if out := (Command{Path: Bin(t, "rl-unshare"), Args: []string{"--help"}}).Run(t).OK(t); !strings.Contains(out, "rl-unshare") {
		t.Errorf("--help says %q", out)
	}
}

func TestBusyboxTree(t *testing.T) {
	NeedTool(t, "busybox")
	shared, again, own, other := Tree(t, "busybox"), Tree(t, "busybox"), NewTree(t), NewTree(t)
	for _, path := range []string{shared, own} {
		for _, name := range []string{"bin/busybox", "bin/sh", "etc/passwd", "proc"} {
			if _, err := os.Lstat(filepath.Join(path, name)); err != nil {
				t.Error(err)
			}
		}
	}
	if shared != again || own == other {
		t.Error("the shared tree is made twice, or a new tree is shared")
	}
}

func TestGivenPlaces(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("RLRUN_BIN", dir)
	t.Setenv("RLRUN_TREES", dir)
	name := filepath.Join(dir, "given")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Bin(t, "given"); got != name {
		t.Errorf("program %s, want %s", got, name)
	}
	if got := Tree(t, "given"); got != name {
		t.Errorf("tree %s, want %s", got, name)
	}
}

func TestSkipBecomesFailure(t *testing.T) {
	t.Setenv("RLRUN_NO_SKIP", "1")
	f := &failing{TB: t}
	Skip(f, "%s is missing", "x")
	if len(f.said) == 0 || !strings.Contains(f.said[0], "RLRUN_NO_SKIP") {
		t.Errorf("said %q", f.said)
	}
}

func TestRuntimeDirectoryIsOwn(t *testing.T) {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 || !strings.HasPrefix(dir, os.Getenv(workEnv)+"/") {
		t.Errorf("%s has mode %v", dir, info.Mode())
	}
}

func TestTerminal(t *testing.T) {
	leak.Watch(t)
	p := OpenPTY(t)
	before := p.Termios()
	p.Start(Command{Path: "/bin/sh", Args: []string{"-i"}, Env: []string{"PS1=$A", "A=ready> ", "ENV="}})
	p.Expect("ready> ")

	p.Send("tty; stty size\n")
	if got := p.Expect("24 80"); !strings.Contains(got, "/dev/pts/") {
		t.Errorf("tty said %q", got)
	}
	p.Expect("ready> ")
	p.Send("trap 'echo resized' WINCH\n")
	p.Expect("ready> ")
	p.Resize(40, 100)
	p.Send("\n")
	p.Expect("resized")
	p.Send("stty size\n")
	p.Expect("40 100")

	// The echo alone does not tell that cat runs already and that the keys are for it.
	p.Send("cat\none\n")
	p.Expect("one\r\n")
	p.Expect("one\r\n")
	p.Send("\x1a")
	p.Expect("Stopped")
	p.Expect("ready> ")
	p.Send("fg\n")
	p.Expect("cat\r\n")
	p.Send("two\n")
	p.Expect("two\r\n")
	p.Expect("two\r\n")
	p.Send("\x03")
	p.Expect("ready> ")
	p.Send("echo code $?\n")
	p.Expect("code 130")

	p.Send("exec stty raw -echo\n")
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if p.Termios() == before {
		t.Error("the settings that the command left were reset")
	}
	p.Start(shell("stty sane; exit 4"))
	if code := p.Wait(); code != 4 {
		t.Errorf("exit code %d", code)
	}
	if after := p.Termios(); after.Lflag&unix.ECHO == 0 {
		t.Errorf("stty sane left %+v", after)
	}
}

func TestTerminalSignals(t *testing.T) {
	leak.Watch(t)
	p := OpenPTY(t)
	p.Start(Command{Path: "/bin/sleep", Args: []string{"60"}})
	p.Send("\x03")
	if code := p.Wait(); code != -int(unix.SIGINT) {
		t.Errorf("after ^C: exit code %d", code)
	}
	p.Start(shell("echo $$; exec sleep 60"))
	p.Expect("\n")
	p.Signal(unix.SIGTERM)
	if code := p.Wait(); code != -int(unix.SIGTERM) {
		t.Errorf("after SIGTERM: exit code %d", code)
	}
	p.Start(Command{Path: "/bin/sleep", Args: []string{"60"}}) // ended by the clean-up
}
