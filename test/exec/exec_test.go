package exec

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestNamespaces(t *testing.T) {
	leak.Watch(t)
	for i, options := range [][]string{nil, {"--net=host", "--ipc=host", "--uts=host", "--cgroupns=host"}, {"--pid=host"}, {"--userns=single"}, {"--userns=keep-id"}} {
		name := fmt.Sprintf("ns%d", i)
		pid := start(t, name, options...)
		got := in(t, name, "cd /proc/self/ns; for n in "+strings.Join(container.Kinds[:], " ")+"; do readlink $n; done")
		var want []string
		for _, kind := range container.Kinds {
			link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, link)
		}
		if got != strings.Join(want, "\n") {
			t.Errorf("%q: it is in\n%s\nwant\n%s", options, got, strings.Join(want, "\n"))
		}
	}
}

// What the kernel has of the privileges of a process.
const privileges = `grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/%s/status; cat /proc/%[1]s/cgroup; stat -c %%N /proc/%[1]s/cwd; awk '{ print $6 != 0 }' /proc/%[1]s/stat`

// A further command has what the container's own has, and no more.
func TestPrivileges(t *testing.T) {
	leak.Watch(t)
	for i, options := range [][]string{
		nil,
		{"-u", "1000:1000"},
		{"-u", "1000", "--cap-add=net_raw", "--group-add", "7"},
		{"--cap-drop=ALL"},
		{"--security-opt", "no-new-privileges=false"},
		{"--security-opt", "seccomp=unconfined", "--cap-add=ALL"},
		{"--userns=single"},
		{"--userns=keep-id"},
		{"-w", "/tmp"},
	} {
		name := fmt.Sprintf("p%d", i)
		start(t, name, options...)
		got := in(t, name, fmt.Sprintf(privileges, "self"))
		// The container's own process is looked at by root, who may see all of it.
		own := in(t, name, `for p in /proc/[0-9]*; do grep -q '^sleep.100000' $p/cmdline && n=${p#/proc/}; done; `+fmt.Sprintf(privileges, "$n"))
		// Its links name the process that is looked at.
		strip := func(s string) string {
			var b strings.Builder
			for line := range strings.Lines(s) {
				_, after, found := strings.Cut(line, " -> ")
				if !found {
					after = line
				}
				b.WriteString(after)
			}
			return b.String()
		}
		if strip(got) != strip(own) {
			t.Errorf("%q: a further command has\n%s\nthe container's own\n%s", options, got, own)
		}
	}
}

func TestFilter(t *testing.T) {
	leak.Watch(t)
	start(t, "web", "--cap-add=sys_admin")
	start(t, "free", "--cap-add=sys_admin", "--security-opt", "seccomp=unconfined")
	// moby's profile allows mount(2) for CAP_SYS_ADMIN, and keyctl(2) for nobody
	for name, want := range map[string]string{"web": "Seccomp:\t2", "free": "Seccomp:\t0"} {
		if got := in(t, name, "grep ^Seccomp: /proc/self/status"); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestExitCodes(t *testing.T) {
	leak.Watch(t)
	start(t, "web")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"web", "true"}, 0, ""},
		{[]string{"web", "sh", "-c", "exit 7"}, 7, ""},
		{[]string{"web", "sh", "-c", "exit 125"}, 125, ""},
		{[]string{"web", "sh", "-c", "exit 255"}, 255, ""},
		{[]string{"web", "sh", "-c", "kill -TERM $$"}, 143, ""},
		{[]string{"web", "sh", "-c", "kill -KILL $$"}, 137, ""},
		{[]string{"web", "nothing"}, 127, "rl-run: error: exec nothing: command not found\n"},
		{[]string{"web", "/nothing"}, 127, "rl-run: error: exec /nothing: no such file"},
		{[]string{"web", ""}, 127, "rl-run: error: exec"},
		{[]string{"web", "/etc"}, 126, "rl-run: error: exec /etc: not executable"},
		{[]string{"wob", "true"}, 125, "rl-run: error: execute in wob: there is no such container (did you mean web?)\n"},
		{[]string{"other", "true"}, 125, "there is no such container\nrl-run: hint: rl-ps -a lists them\n"},
		{[]string{"../web", "true"}, 125, "there is no such container"},
		{[]string{"-u", "nobodyknows", "web", "true"}, 125, `rl-run: error: -u nobodyknows: unknown user "nobodyknows"`},
		{[]string{"-u", "4000000", "web", "true"}, 125, "rl-run: error: -u: user 4000000 has no id in the container, which has the uids 0-"},
		{[]string{"-w", "/nowhere", "web", "true"}, 125, "rl-run: error: enter /nowhere: no such file or directory (step "},
		{[]string{"-w", "here", "web", "true"}, 125, `-w "here": expected an absolute path`},
		{[]string{"-dt", "web", "true"}, 125, "-t: a command that is left to run (-d) has no terminal"},
		{[]string{"-e", "=x", "web", "true"}, 125, `-e "=x"`},
		{[]string{"--wrokdir", "/", "web", "true"}, 125, "unknown flag --wrokdir (did you mean --workdir?)"},
		{[]string{"--net=host", "web", "true"}, 125, "unknown flag --net"},
		{[]string{"web"}, 125, "rl-run: error: execute in web: COMMAND is missing\nrl-run: hint: rl-exec "},
		{[]string{}, 125, "rl-run: error: rl-exec: NAME is missing\nrl-run: hint: rl-exec "},
	} {
		r := rl(t, "rl-exec", c.args...)
		r.Fails(t, c.code, c.says)
		if c.says == "" && r.Stderr != "" {
			t.Errorf("%q: %s", c.args, r.Stderr)
		}
	}
	rl(t, "rl-stop", "-t", "0", "web").OK(t)
	rl(t, "rl-exec", "web", "true").Fails(t, 125, "rl-run: error: execute in web: it is not running\nrl-run: hint: rl-ps ")
}

func TestStdin(t *testing.T) {
	leak.Watch(t)
	start(t, "web")
	data := make([]byte, 3<<20)
	for i := range data {
		data[i] = byte(rand.Int())
	}
	r := trial.Command{Path: trial.Bin(t, "rl-exec"), Args: []string{"web", "cat"}, Stdin: bytes.NewReader(data)}.Run(t)
	if r.Code != 0 || r.Stdout != string(data) {
		t.Errorf("exit code %d, %d of %d bytes came back: %s", r.Code, len(r.Stdout), len(data), r.Stderr)
	}
	c := trial.Command{Path: trial.Bin(t, "rl-exec"), Args: []string{"-i=false", "web", "cat"}, Stdin: trial.StdinText("text")}
	if r := c.Run(t); r.Code != 0 || r.Stdout != "" {
		t.Errorf("-i=false: %d, %q", r.Code, r.Stdout)
	}
	// What is written to stderr comes out there.
	if r := rl(t, "rl-exec", "web", "sh", "-c", "echo out; echo err >&2"); r.Stdout != "out\n" || r.Stderr != "err\n" {
		t.Errorf("stdout %q, stderr %q", r.Stdout, r.Stderr)
	}
}

func TestUserAndEnvironment(t *testing.T) {
	leak.Watch(t)
	start(t, "web", "-e", "A=1", "-e", "B=2", "-w", "/tmp")
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("# of a file\nA=two words\nRLRUN_EXEC_TEST\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	in(t, "web", "echo 'joe:x:1234:77:Joe:/home/joe:/bin/sh' >>/etc/passwd; echo 'wheel:x:99:joe' >>/etc/group")
	for _, c := range []struct {
		options []string
		script  string
		want    string
	}{
		{nil, "echo $A $B $HOME $USER $container; pwd", "1 2 /root root rl-run\n/tmp"},
		{[]string{"-e", "A=3", "-e", "RLRUN_EXEC_TEST", "-w", "/etc"}, "echo $A $B $RLRUN_EXEC_TEST; pwd", "3 2 passed\n/etc"},
		{[]string{"--env-file", file, "-e", "B=3"}, "echo $A $B $RLRUN_EXEC_TEST; pwd", "two words 3 passed\n/tmp"},
		{[]string{"-u", "joe"}, "id; echo $HOME $USER $A", "uid=1234(joe) gid=77 groups=77,99(wheel)\n/home/joe joe 1"},
		{[]string{"-u", "joe:99"}, "id", "uid=1234(joe) gid=99(wheel) groups=99(wheel)"},
		{[]string{"-u", "4321:55"}, "id; echo $HOME $USER; grep CapEff /proc/self/status", "uid=4321 gid=55 groups=55\n/\nCapEff:\t0000000000000000"},
	} {
		r := trial.Command{Path: trial.Bin(t, "rl-exec"), Args: append(c.options, "web", "sh", "-c", c.script), Env: []string{"RLRUN_EXEC_TEST=passed"}}.Run(t)
		if got := r.OK(t); got != c.want {
			t.Errorf("%q: %q\ngot  %q\nwant %q", c.options, c.script, got, c.want)
		}
	}
}

func TestUlimit(t *testing.T) {
	leak.Watch(t)
	start(t, "web", "--ulimit", "nofile=100:200", "--ulimit", "core=0")
	if got := in(t, "web", "ulimit -n; ulimit -Hn; ulimit -c"); got != "100\n200\n0" {
		t.Errorf("%q", got)
	}
}

// Signals reach the command.
func TestSignals(t *testing.T) {
	leak.Watch(t)
	start(t, "web")
	r := trial.Command{Path: trial.Bin(t, "rl-exec"), Args: []string{
		"web", "sh", "-c", `trap "echo usr1" USR1; trap "echo bye; exit 7" TERM; echo ready; while :; do sleep 1000 & wait $!; done`,
	}}.Start(t)
	r.Stdout("ready\n")
	r.Signal(unix.SIGUSR1)
	r.Stdout("usr1\n")
	r.Signal(unix.SIGTERM)
	if got := r.Wait(); got.Code != 7 || !strings.HasSuffix(got.Stdout, "bye\n") {
		t.Errorf("exit code %d, %q", got.Code, got.Stdout)
	}
}

// A command ends with its container.
func TestContainerEnds(t *testing.T) {
	leak.Watch(t)
	start(t, "web")
	r := trial.Command{Path: trial.Bin(t, "rl-exec"), Args: []string{"web", "sh", "-c", "echo ready; sleep 1000"}}.Start(t)
	r.Stdout("ready\n")
	rl(t, "rl-stop", "-t", "0", "web").OK(t)
	if got := r.Wait(); got.Code != 137 {
		t.Errorf("exit code %d: %s", got.Code, got.Stderr)
	}
}

// What a command leaves in the background stays, as a child of the container's init; that of one whose rl-exec is
// killed does not.
func TestBackground(t *testing.T) {
	leak.Watch(t)
	start(t, "web")
	in(t, "web", "sleep 1111 >/dev/null 2>&1 &")
	if !running(t, "sleep 1111") {
		t.Error("what ran in the background was ended")
	}
	if got := parentOf(t, "web", "sleep.1111"); got != "1" {
		t.Errorf("its parent is %s", got)
	}
	r := trial.Command{Path: trial.Bin(t, "rl-exec"), Args: []string{"web", "sh", "-c", "(sleep 2222; true) & sleep 3333 & echo ready; wait"}}.Start(t)
	r.Stdout("ready\n")
	r.Signal(unix.SIGKILL)
	r.Wait()
	soon(t, "what a killed rl-exec had started ends", func() bool {
		return !running(t, "sleep 2222") && !running(t, "sleep 3333")
	})
	if got := strings.Count(processes(t, "web"), "loose"); got != 1 { // of the rl-exec that looks
		t.Errorf("%d inits of rl-exec are there", got)
	}
}

func TestDetach(t *testing.T) {
	leak.Watch(t)
	start(t, "web")
	r := rl(t, "rl-exec", "-d", "-w", "/tmp", "web", "sh", "-c", "echo lost; echo $PPID >pid; readlink /proc/self/fd/0 >stdin; exec sleep 1111")
	if r.OK(t) != "" || r.Stderr != "" {
		t.Errorf("%q, %q", r.Stdout, r.Stderr)
	}
	soon(t, "the command runs", func() bool { return running(t, "sleep 1111") })
	if got := parentOf(t, "web", "sleep.1111"); got != "1" {
		t.Errorf("its parent is %s", got)
	}
	if got := in(t, "web", "cat /tmp/stdin"); got != "/dev/null" {
		t.Errorf("its stdin is %s", got)
	}
	rl(t, "rl-exec", "-d", "web", "nothing").Fails(t, 127, "exec nothing: command not found")
}

// Open files, the environment and the keys of the caller stay outside.
func TestNothingOfTheCaller(t *testing.T) {
	leak.Watch(t)
	start(t, "web")
	f, err := os.Open("/etc")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	look := "env; cd /proc/self/fd; for f in *; do readlink $f; done; ls /proc/self/task/*/fd | grep -vE '^([0-2]|3)?$'; true"
	for _, options := range [][]string{nil, {"-i=false"}, {"-u", "1000"}} {
		r := trial.Command{
			Path: trial.Bin(t, "rl-exec"), Args: append(options, "web", "sh", "-c", look), Files: []*os.File{f, f},
			Env: []string{secretName + "=" + secretValue},
		}.Run(t)
		for _, bad := range []string{secretName, secretValue, "/etc\n", "memfd", "socket:", "anon_inode"} {
			if strings.Contains(r.OK(t)+"\n", bad) {
				t.Errorf("%q: %q is visible:\n%s", options, bad, r.Stdout)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	leak.Watch(t)
	start(t, "web")
	out := rl(t, "rl-exec", "--explain", "-e", "TOKEN="+secretValue, "web", "touch", "/tmp/made").OK(t)
	for _, text := range []string{"joiner  join user, pid, mnt, uts, ipc, net, cgroup of web", "command exec touch /tmp/made with ", " TOKEN"} {
		if !strings.Contains(out, text) {
			t.Errorf("no %q in\n%s", text, out)
		}
	}
	if strings.Contains(out, secretValue) {
		t.Errorf("a secret is shown:\n%s", out)
	}
	if out := rl(t, "rl-exec", "--explain=json", "web", "true").OK(t); !strings.Contains(out, `"kind": "join"`) {
		t.Errorf("%s", out)
	}
	in(t, "web", "! test -e /tmp/made")
	rl(t, "rl-exec", "--explain=sh", "web", "true").Fails(t, 125, "--explain")
	if r := rl(t, "rl-exec", "--help"); !strings.Contains(r.OK(t), "rl-exec [OPTIONS] NAME COMMAND") {
		t.Errorf("%s", r.Stdout)
	}
}
