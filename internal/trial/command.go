package trial

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
)

// Timeout is how long a command may take where it does not say otherwise: 30 s, and more on
// a slow machine.
var Timeout = leak.Slow(30 * time.Second)

// Command is a program to run without a terminal. The zero value is rl-run without
// arguments and with an empty standard input.
type Command struct {
	Path    string        // default: rl-run
	Args    []string      // without the program's name
	Stdin   io.Reader     // an *os.File is passed on as it is; default: /dev/null
	Stdout  io.Writer     // default: collected in Result.Stdout
	Dir     string        // default: the folder of the test
	Env     []string      // "K=V", beside what the test program has
	Files   []*os.File    // become fd 3 and following
	Timeout time.Duration // default: Timeout
}

// Result is how a command ended.
type Result struct {
	Stdout string
	Stderr string
	Code   int // the exit code, or -N where signal N ended the program itself
}

// Run runs rl-run with these arguments.
func Run(tb testing.TB, args ...string) Result {
	tb.Helper()
	return Command{Args: args}.Run(tb)
}

// Run runs the command to its end. What takes longer than its timeout is killed, and
// the test fails.
func (c Command) Run(tb testing.TB) Result {
	tb.Helper()
	return c.Start(tb).Wait()
}

// Running is a command between Start and Wait.
type Running struct {
	Pid int

	tb             testing.TB
	cmd            *exec.Cmd
	cancel         context.CancelFunc
	ctx            context.Context
	stdout, stderr Buffer
	result         *Result
}

// Start starts the command. When the test ends without Wait, it is killed: the
// program alone, as a user's mishap would. What it leaves is for package leak to find.
func (c Command) Start(tb testing.TB) *Running {
	tb.Helper()
	if c.Path == "" {
		c.Path = Bin(tb, "rl-run")
	}
	if c.Timeout == 0 {
		c.Timeout = Timeout
	}
	r := &Running{tb: tb}
	r.ctx, r.cancel = context.WithTimeout(context.Background(), c.Timeout)
	r.cmd = exec.CommandContext(r.ctx, c.Path, c.Args...)
	r.cmd.Dir, r.cmd.Stdin, r.cmd.ExtraFiles = c.Dir, c.Stdin, c.Files
	r.cmd.Env = append(os.Environ(), c.Env...)
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	if c.Stdout != nil {
		r.cmd.Stdout = c.Stdout
	}
	// A process that outlives the program and holds its output would block Wait.
	r.cmd.WaitDelay = 2 * time.Second
	if err := r.cmd.Start(); err != nil {
		r.cancel()
		tb.Fatal(err)
	}
	r.Pid = r.cmd.Process.Pid
	tb.Cleanup(func() {
		if r.result == nil {
			r.cancel()
			_ = r.cmd.Wait()
		}
	})
	return r
}

// Signal sends a signal to the program alone, never to its process group.
func (r *Running) Signal(sig syscall.Signal) {
	r.tb.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		r.tb.Fatalf("signal %v to process %d: %v", sig, r.Pid, err)
	}
}

// Stdout and Stderr wait until the program has written text, and return all of it so
// far. They fail the test after Timeout.
func (r *Running) Stdout(text string) string {
	r.tb.Helper()
	return r.stdout.await(r.tb, text, Timeout)
}

// Stderr is like Stdout.
func (r *Running) Stderr(text string) string {
	r.tb.Helper()
	return r.stderr.await(r.tb, text, Timeout)
}

// Wait waits for the end.
func (r *Running) Wait() Result {
	r.tb.Helper()
	if r.result != nil {
		return *r.result
	}
	err := r.cmd.Wait()
	late := r.ctx.Err() != nil
	r.cancel()
	r.result = &Result{Stdout: r.stdout.String(), Stderr: r.stderr.String(), Code: exitCode(r.cmd.ProcessState)}
	var exit *exec.ExitError
	switch {
	case late:
		r.tb.Fatalf("%s: killed after its time was up\nstdout: %s\nstderr: %s",
			strings.Join(r.cmd.Args, " "), r.result.Stdout, r.result.Stderr)
	case err != nil && !errors.As(err, &exit):
		r.tb.Errorf("%s: %v", strings.Join(r.cmd.Args, " "), err)
	}
	return *r.result
}

func exitCode(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return -int(ws.Signal())
	}
	return s.ExitCode()
}

// OK fails the test unless the command ended with 0, and returns its standard output
// without the last newline.
func (r Result) OK(tb testing.TB) string {
	tb.Helper()
	if r.Code != 0 {
		tb.Fatalf("exit code %d\nstdout: %s\nstderr: %s", r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSuffix(r.Stdout, "\n")
}

// Fails fails the test unless the command ended with code, and wrote each of the texts to
// standard error.
func (r Result) Fails(tb testing.TB, code int, texts ...string) {
	tb.Helper()
	ok := r.Code == code
	for _, text := range texts {
		ok = ok && strings.Contains(r.Stderr, text)
	}
	if !ok {
		tb.Fatalf("exit code %d, want %d with %q on stderr\nstdout: %s\nstderr: %s", r.Code, code, texts, r.Stdout, r.Stderr)
	}
}

// StdinText is a standard input that is a pipe holding text.
func StdinText(text string) io.Reader { return bytes.NewBufferString(text) }
