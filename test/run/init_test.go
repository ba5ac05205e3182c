package run

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// With --init=false the command is process 1, and has all else as it has it beside an init.
func TestCommandAsInit(t *testing.T) {
	begin(t)
	const look = `grep -E '^(Cap|NoNewPrivs|Seccomp|Umask|SigBlk|Groups|Uid)' /proc/self/status; pwd
		for n in user mnt pid uts ipc net cgroup; do test -e /proc/self/ns/$n; done; env | grep -v ^SHLVL | sort; ls /proc/$$/fd`
	for _, options := range [][]string{
		nil,
		{"--userns=single", "--net=none"},
		{"-u", "nobody", "--cap-add=NET_RAW", "-w", "/tmp"},
		{"--read-only", "--ulimit", "nofile=99"},
		{"--security-opt", "no-new-privileges=false"},
		{"--copy", "-i=false"},
	} {
		alone := append([]string{"--init=false"}, options...)
		want(t, "process", inside(t, "cat /proc/1/comm; echo $$", alone...), "sh\n1")
		want(t, "with "+alone[len(alone)-1], inside(t, look, alone...), inside(t, look, options...))
	}
	for text, code := range map[string]int{
		"exit 0": 0, "exit 7": 7, "exec /etc/passwd": 126, "exec no-such": 127,
		"kill -TERM $$; exit 5": 5, // the kernel keeps from process 1 what it has no handler for
	} {
		if r := trial.Run(t, script([]string{"--init=false"}, trial.Tree(t, "busybox"), text)...); r.Code != code {
			t.Errorf("%s: exit code %d, want %d", text, r.Code, code)
		}
	}
	for command, code := range map[string]int{"no-such": 127, "/etc/passwd": 126} {
		trial.Run(t, "--quiet", "--init=false", trial.Tree(t, "busybox"), command).Fails(t, code, "exec "+command)
	}
}

// Signals reach it without anybody between, and its end is the container's, in a terminal, too.
func TestEndOfCommandAsInit(t *testing.T) {
	tree := begin(t)
	for _, stand := range []bool{false, true} {
		r := trial.Command{Args: script([]string{"--init=false"}, tree, "trap 'exit 9' TERM; sleep 1000 & echo ready; while :; do sleep 0.1; done")}.Start(t)
		r.Stdout("ready")
		if stand {
			time.Sleep(200 * time.Millisecond) // until a static program has taken the launcher's place
		}
		r.Signal(unix.SIGTERM)
		if code := r.Wait().Code; code != 9 {
			t.Errorf("exit code %d", code)
		}
	}

	p := trial.OpenPTY(t)
	before := p.Termios()
	p.Start(trial.Command{Args: []string{"--quiet", "--init=false", tree, "sh", "-i"}, Env: []string{"TERM=xterm"}})
	p.Expect("# ")
	p.Send("cat\r")
	p.Expect("cat\r\n")
	time.Sleep(100 * time.Millisecond) // until the shell has given the terminal to cat
	p.Send("line\r")
	p.Expect("line\r\nline")
	p.Send("\x03")
	p.Expect("# ")
	say(p, "alive")
	leave(t, p, before)
}
