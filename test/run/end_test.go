package run

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/trial"
	"golang.org/x/sys/unix"
)

func TestExitCodes(t *testing.T) {
	tree := begin(t)
	notRunnable := t.TempDir() + "/script"
	write(t, notRunnable, "echo no interpreter named, and no permission")
	bind := []string{"-v", notRunnable + ":/tmp/script"}
	for _, c := range []struct {
		code    int
		message string
		args    []string
	}{
		{0, "", []string{tree, "true"}},
		{7, "", []string{tree, "sh", "-c", "exit 7"}},
		{255, "", []string{tree, "sh", "-c", "exit 255"}},
		{125, "", []string{tree, "sh", "-c", "exit 125"}},
		{125, "rl-run: error: open /no/such: ", []string{"/no/such", "true"}},
		{125, "rl-run: error: unknown flag --no-such", []string{"--no-such", tree, "true"}},
		{126, "rl-run: error: exec /etc/passwd: ", []string{tree, "/etc/passwd"}},
		{126, "rl-run: error: exec /etc: ", []string{tree, "/etc"}},
		{126, "rl-run: error: exec /tmp/script: ", append(bind[:2:2], tree, "/tmp/script")},
		{127, "rl-run: error: exec no-such: command not found", []string{tree, "no-such"}},
		{127, "rl-run: error: exec /bin/no-such: ", []string{tree, "/bin/no-such"}},
		{143, "", []string{tree, "sh", "-c", "kill -TERM $$"}},
		{137, "", []string{tree, "sh", "-c", "kill -KILL $$"}},
		{139, "", []string{tree, "sh", "-c", "kill -SEGV $$"}},
	} {
		r := trial.Run(t, append([]string{"--quiet"}, c.args...)...)
		if r.Code != c.code || !strings.HasPrefix(r.Stderr, c.message) || c.message == "" && r.Stderr != "" {
			t.Errorf("%q: exit code %d and %q, want %d and %q", c.args, r.Code, r.Stderr, c.code, c.message)
		}
		if n := strings.Count(r.Stderr, "\n"); c.message != "" && n > 2 {
			t.Errorf("%q: %d lines on stderr: %q", c.args, n, r.Stderr)
		}
	}
}

// The end of the command is the end of the container, whatever else runs in it.
func TestEndOfCommandEndsAll(t *testing.T) {
	begin(t)
	start := time.Now()
	for _, options := range [][]string{nil, {"--pid=host"}, {"--pid=host", "--userns=single"}, {"--copy"}} {
		inside(t, "sleep 1000 & (setsid sleep 1000 &); (trap '' TERM HUP; sleep 1000 &) >/dev/null 2>&1; exit 0", options...)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestSignalsReachTheCommand(t *testing.T) {
	tree := begin(t)
	for _, options := range [][]string{nil, {"--pid=host"}, {"-u", "nobody"}} {
		for name, sig := range map[string]unix.Signal{
			"TERM": unix.SIGTERM, "HUP": unix.SIGHUP, "INT": unix.SIGINT, "QUIT": unix.SIGQUIT,
			"USR1": unix.SIGUSR1, "USR2": unix.SIGUSR2, "CONT": unix.SIGCONT, "ALRM": unix.SIGALRM,
		} {
			text := fmt.Sprintf("trap 'echo got %s; exit 42' %s; echo ready; while :; do sleep 0.02; done", name, name)
			r := trial.Command{Args: script(options, tree, text)}.Start(t)
			r.Stdout("ready")
			r.Signal(sig)
			result := r.Wait()
			if result.Code != 42 || !strings.Contains(result.Stdout, "got "+name) {
				t.Errorf("%q SIG%s: exit code %d, stdout %q, stderr %q", options, name, result.Code, result.Stdout, result.Stderr)
			}
		}
	}
}

// Signals that the command does not handle have the effect that they always have.
func TestSignalsEndTheCommand(t *testing.T) {
	tree := begin(t)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1} {
		r := trial.Command{Args: []string{"--quiet", tree, "sh", "-c", "echo ready; exec sleep 1000"}}.Start(t)
		r.Stdout("ready")
		time.Sleep(10 * time.Millisecond) // for the exec
		r.Signal(sig)
		if code := r.Wait().Code; code != 128+int(sig) {
			t.Errorf("%v: exit code %d", sig, code)
		}
	}
}

// What is no one's order to the container stays with the launcher.
func TestSignalsThatAreNotForwarded(t *testing.T) {
	tree := begin(t)
	r := trial.Command{Args: script(nil, tree, `
		trap 'echo got one' CHLD URG PIPE TTIN TTOU WINCH; trap 'echo end; exit 3' TERM
		echo ready; while :; do read -t 1 x; done`), Stdin: openPipe(t)}.Start(t)
	r.Stdout("ready")
	for _, sig := range []unix.Signal{unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU} {
		r.Signal(sig)
	}
	r.Signal(unix.SIGCONT) // the last two stop rl-run, where a shell has started the test as a job
	time.Sleep(50 * time.Millisecond)
	r.Signal(unix.SIGTERM)
	result := r.Wait()
	if result.Code != 3 {
		t.Errorf("exit code %d", result.Code)
	}
	lacks(t, "output", result.Stdout, "got one")
}

// openPipe is a standard input that never ends.
func openPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	return r
}

// Fifty times ^C in a second, from a script that has no terminal: one clean end.
func TestManyInterrupts(t *testing.T) {
	tree := begin(t)
	r := trial.Command{Args: script(nil, tree, "trap 'exit 9' INT; echo ready; while :; do sleep 0.1; done")}.Start(t)
	r.Stdout("ready")
	for range 50 {
		_ = unix.Kill(r.Pid, unix.SIGINT) // the process is reaped by Wait alone
		time.Sleep(5 * time.Millisecond)
	}
	result := r.Wait()
	if result.Code != 9 || result.Stderr != "" {
		t.Errorf("exit code %d, stderr %q", result.Code, result.Stderr)
	}
}

// A signal that comes in the middle of a start ends it or reaches the command: never a
// half-made container, never a Go stack.
func TestSignalsDuringTheStart(t *testing.T) {
	tree := begin(t)
	for i := range 60 {
		r := trial.Command{Args: []string{"--quiet", tree, "sleep", "1000"}}.Start(t)
		time.Sleep(time.Duration(i) * 150 * time.Microsecond)
		r.Signal(unix.SIGTERM)
		result := r.Wait()
		if result.Code != 128+int(unix.SIGTERM) && result.Code != -int(unix.SIGTERM) {
			t.Errorf("after %d µs: exit code %d, stderr %q", i*150, result.Code, result.Stderr)
		}
		lacks(t, "stderr", result.Stderr, "goroutine", "panic")
	}
}

// makeOrphans has shells leave n children to init, and counts the processes in the end.
func makeOrphans(n int) (left []string, err error) {
	const each = 500
	loop := fmt.Sprintf("i=0; while [ $i -lt %d ]; do (: &); i=$((i+1)); done", each)
	for range n / each {
		if err := exec.Command("/bin/sh", "-c", loop).Run(); err != nil {
			return nil, err
		}
	}
	for range 40 {
		left = nil
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Name()[0] >= '0' && e.Name()[0] <= '9' {
				left = append(left, e.Name())
			}
		}
		if len(left) <= 2 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return left, nil
}

func TestOrphansAreReaped(t *testing.T) {
	tree := begin(t)
	c := probeCommand(t, "orphans", tree, nil)
	c.Timeout = 2 * time.Minute
	if left := decoded[[]string](t, c.Run(t)); len(left) != 2 {
		t.Errorf("processes beside init and the command: %q", left)
	}
}
