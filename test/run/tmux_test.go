package run

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/trial"
)

// tmux is a terminal that people use, with a shell of the host in its window.
type tmux struct {
	t      *testing.T
	path   string
	socket string
}

func openTmux(t *testing.T) *tmux {
	t.Helper()
	// a socket's path is short
	dir, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	m := &tmux{t: t, path: trial.NeedTool(t, "tmux"), socket: dir + "/s"}
	t.Cleanup(func() {
		trial.Command{Path: m.path, Args: []string{"-S", m.socket, "kill-server"}}.Run(t)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	m.do("new-session", "-d", "-x", "90", "-y", "40", "env", "PS1=host> ", "INPUTRC=/dev/null", "bash", "--norc", "--noprofile", "-i")
	m.until(`(?m)^host>`)
	return m
}

func (m *tmux) do(args ...string) string {
	m.t.Helper()
	return trial.Command{
		Path: m.path, Args: append([]string{"-f", "/dev/null", "-u", "-S", m.socket}, args...),
		Env: []string{"TERM=xterm", "TMUX="},
	}.Run(m.t).OK(m.t)
}

// keys presses keys by tmux's names for them.
func (m *tmux) keys(names ...string) {
	m.t.Helper()
	m.do(append([]string{"send-keys"}, names...)...)
}

// line types a line.
func (m *tmux) line(text string) {
	m.t.Helper()
	m.do("send-keys", "-l", text)
	m.keys("Enter")
}

// until waits for what the screen shows.
func (m *tmux) until(pattern string) {
	m.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(trial.Timeout); ; time.Sleep(50 * time.Millisecond) {
		screen := m.do("capture-pane", "-p", "-S", "-")
		if re.MatchString(screen) {
			return
		}
		if time.Now().After(end) {
			m.t.Fatalf("no %q on the screen:\n%s", pattern, strings.TrimRight(screen, "\n"))
		}
	}
}

// settings are those of the window's terminal, as stty has them.
func (m *tmux) settings() string {
	m.t.Helper()
	file := filepath.Join(m.t.TempDir(), "settings")
	m.line("stty -a >" + file + ".part; mv " + file + ".part " + file)
	for end := time.Now().Add(trial.Timeout); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if text, err := os.ReadFile(file); err == nil {
			return string(text)
		}
	}
	m.t.Fatalf("stty has not come to its end; on the screen:\n%s", m.do("capture-pane", "-p"))
	return ""
}

// In a terminal that people use: keys, jobs of the shells on both sides, a change of the window's size, and the
// settings after each kind of end.
func TestTmux(t *testing.T) {
	tree := begin(t)
	m := openTmux(t)
	before := m.settings()
	run := trial.Bin(t, "rl-run") + " --quiet "
	unchanged := func(when string) {
		t.Helper()
		if after := m.settings(); after != before {
			t.Errorf("the settings after %s:\n%s\nbefore:\n%s", when, after, before)
		}
	}

	m.line(run + tree + " sh")
	m.until(`(?m)^/ #`)
	m.line("echo s''ize $(stty size) t''erm $TERM")
	m.until(`size 40 90 term xterm`)
	m.line("sleep 1000")
	time.Sleep(200 * time.Millisecond) // until it has the terminal
	m.keys("C-c")
	m.line("echo c''ode $?")
	m.until(`code 130`)
	m.line("cat")
	m.line("one")
	m.until(`one\s+one`)
	m.keys("C-z")
	m.until(`Stopped +cat`)
	m.line("fg")
	m.line("two")
	m.until(`two\s+two`)
	m.keys("C-d")
	m.line("echo n''ow $(stty size)")
	m.until(`now 40 90`)
	for _, size := range [][2]string{{"30", "70"}, {"40", "90"}} {
		m.do("resize-window", "-x", size[1], "-y", size[0])
		m.line("while test \"$(stty size)\" != '" + size[0] + " " + size[1] + "'; do sleep 0.1; done; echo f''ollowed " + size[0])
		m.until(`followed ` + size[0])
	}
	m.line("exit 7")
	m.until(`host>\s*$`)
	m.line("echo e''nd $?")
	m.until(`end 7`)
	unchanged("the end")

	m.line(run + tree + " no-such")
	m.until(`exec no-such: command not found`)
	unchanged("a command that is not there")
	m.line(run + "-w /bin/busybox/x " + tree + " true")
	m.until(`rl-run: error: .*/bin/busybox/x`)
	unchanged("a start that fails")

	// The keys are the container's. A stop that is sent gives the terminal back meanwhile.
	m.line(run + tree + " sh -c 'echo $$; echo r\"\"eady; exec sleep 1000'")
	m.until(`(?m)^ready`)
	pid := launcherOf(t, m)
	signal := func(name string) {
		t.Helper()
		trial.Command{Path: "/bin/kill", Args: []string{"-s", name, pid}}.Run(t).OK(t)
	}
	signal("TSTP")
	m.until(`Stopped .*rl-run`)
	unchanged("a stop")
	m.line("fg")
	m.until(`(?s)Stopped.*sleep 1000'\s*$`)
	signal("TERM")
	m.until(`host>\s*$`)
	m.line("echo e''nd $?")
	m.until(`end 143`)
	unchanged("SIGTERM")
}

// launcherOf is the pid of the rl-run that the window's shell has started.
func launcherOf(t *testing.T, m *tmux) string {
	t.Helper()
	shell := strings.TrimSpace(m.do("display-message", "-p", "#{pane_pid}"))
	children, err := os.ReadFile("/proc/" + shell + "/task/" + shell + "/children")
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Fields(string(children))
	if len(list) != 1 {
		t.Fatalf("the shell %s has the children %q", shell, children)
	}
	return list[0]
}
