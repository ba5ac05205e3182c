package veth

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/usernet"
)

// calls are the system calls of rl-veth's own, in which it is disturbed.
var calls = []string{
	"close_range", "rt_sigaction", "capget", "fstatfs", "ioctl", "openat", "newfstatat", "fstat", "read",
	"getgroups", "socket", "sendto", "recvfrom", "getrandom", "write", "close", "exit_group",
}

// disturb runs rl-veth with every call of each kind disturbed in turn, the first one, the
// second one, … until there are no more, and looks behind each run.
func disturb(t *testing.T, how string, args []string, look func(t *testing.T, what string, c container, ended error, out string)) {
	t.Helper()
	strace := trial.NeedTool(t, "strace")
	path, err := veth()
	if err != nil {
		t.Fatal(err)
	}
	runs := 0
	for _, name := range calls {
		for n := 1; ; n++ {
			c := newContainer(t, alice, 1)
			log, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				t.Fatal(err)
			}
			// The tracer is root and so the capability takes effect; the first thread is the
			// one that works.
			argv := append([]string{
				strace, "-u", "alice", "-o", log.Name(),
				"-e", "trace=" + name, "-e", fmt.Sprintf("inject=%s:%s:when=%d", name, how, n), path,
			}, args...)
			cmd := command(nil, c.net, argv...)
			var out bytes.Buffer
			cmd.Stdout = &out
			ended := cmd.Run()
			text, err := os.ReadFile(log.Name())
			if err != nil {
				t.Fatal(err)
			}
			log.Close()
			hit := strings.Contains(string(text), "INJECTED") || strings.Contains(string(text), "killed by SIGKILL")
			if hit {
				runs++
				look(t, fmt.Sprintf("%s %s %d", how, name, n), c, ended, out.String())
			}
			c.end()
			noLinks(t)
			if !hit {
				break
			}
			if n > 200 {
				t.Fatalf("%s does not end", name)
			}
		}
	}
	t.Logf("%d runs", runs)
	if runs < 30 {
		t.Errorf("only %d calls were disturbed", runs)
	}
}

// Killed at any of its system calls it leaves nothing that is up without a filter and an
// alias, nothing of the host's to clean up, and nothing once the container is gone.
func TestKilled(t *testing.T) {
	host(t, thePolicy)
	bridge(t)
	for _, args := range [][]string{nil, {"bridge=br0"}} {
		disturb(t, "signal=KILL", args, func(t *testing.T, what string, _ container, ended error, out string) {
			for _, l := range ours(t) {
				filtered := strings.Contains(must(t, "tc", "filter", "show", "dev", l.Name, "ingress"), "bpf")
				if l.Up && (!filtered || l.Alias == "") {
					t.Errorf("%s: %+v, filtered: %v", what, l, filtered)
				}
			}
			if _, ok := ended.(*exec.ExitError); !ok { //nolint:errorlint // Run returns it as it is
				t.Errorf("%s: ended with %v", what, ended)
			}
		})
	}
}

// Whatever fails on its way, a link is there exactly if it says so.
func TestFailingCalls(t *testing.T) {
	host(t, thePolicy)
	bridge(t)
	for _, args := range [][]string{nil, {"bridge=br0"}} {
		disturb(t, "error=ENOBUFS", args, func(t *testing.T, what string, _ container, ended error, out string) {
			_, err := usernet.ParseAnswer(out)
			made := len(ours(t))
			// A failing write tells nobody, and one of close(2) or exit_group changes nothing.
			if err == nil && made != 1 || err != nil && made != 0 {
				t.Errorf("%s: %d links, %v, said %q", what, made, ended, out)
			}
		})
	}
}

// One who stops his own call half-way keeps nobody else from anything.
func TestStoppedCall(t *testing.T) {
	host(t, thePolicy)
	strace := trial.NeedTool(t, "strace")
	path, err := veth()
	if err != nil {
		t.Fatal(err)
	}
	stops := 0
	for n := 1; n <= 16; n++ {
		c := newContainer(t, bob, 1)
		log := filepath.Join(t.TempDir(), "log")
		cmd := command(nil, c.net, strace, "-u", "bob", "-o", log, "-e", "trace=sendto",
			"-e", fmt.Sprintf("inject=sendto:signal=STOP:when=%d", n), path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		stopped := untilStopped(log, done)
		own := newContainer(t, alice, 1)
		if _, err := call(t, alice, own.net); err != nil {
			t.Errorf("beside a call that is stopped at %d: %v", n, err)
		}
		if stopped {
			stops++
			children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			var child int
			if _, err := fmt.Sscan(string(children), &child); err != nil {
				t.Fatal(err)
			}
			if err := unix.Kill(child, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		<-done
		c.end()
		own.end()
		noLinks(t) // the one link that bob may have is his again, and his next call goes on to the end
	}
	if stops < 8 {
		t.Errorf("stopped at %d places", stops)
	}
}

// untilStopped waits until a traced program is stopped, or has ended.
func untilStopped(log string, done <-chan struct{}) bool {
	for {
		text, _ := os.ReadFile(log)
		if strings.Contains(string(text), "stopped by SIGSTOP") {
			return true
		}
		select {
		case <-done:
			return false
		case <-time.After(time.Millisecond):
		}
	}
}
