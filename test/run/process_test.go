package run

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
	"golang.org/x/sys/unix"
)

func TestEnvironment(t *testing.T) {
	tree := begin(t)
	env := func(c trial.Command) string {
		t.Helper()
		c.Args = append(append([]string{"--quiet"}, c.Args...), tree, "env")
		return c.Run(t).OK(t)
	}
	want(t, "environment", sorted(env(trial.Command{Env: []string{"TERM=xterm", "LANG=de_DE", "PS1=host"}})), strings.Join([]string{
		"HOME=/root", "HOSTNAME=busybox", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "USER=root", "container=rl-run",
	}, "\n"))
	holds(t, "proxies", env(trial.Command{Env: []string{"http_proxy=http://p:1", "NO_PROXY=x"}}), "http_proxy=http://p:1\n", "NO_PROXY=x")

	file := t.TempDir() + "/env"
	write(t, file, "# a comment\n\nFILE=from file\nBOTH=file\nPASSED\nQUOTED=\"as it is\"\n")
	got := env(trial.Command{
		Args: []string{"--env-file", file, "-e", "A=1", "-e", "A=2", "-e", "BOTH=flag", "-e", "EMPTY=", "-e", "FROM_HOST", "-e", "NOT_THERE", "-e", "HOME=/h"},
		Env:  []string{"FROM_HOST=yes", "PASSED=too"},
	}) + "\n"
	holds(t, "environment", got, "FILE=from file\n", "A=2\n", "BOTH=flag\n", "EMPTY=\n", "FROM_HOST=yes\n", "PASSED=too\n", "HOME=/h\n", "QUOTED=\"as it is\"\n")
	lacks(t, "environment", got, "NOT_THERE", "A=1\n", "comment")

	got = env(trial.Command{Args: []string{"--env-host"}, Env: secretEnv()})
	holds(t, "environment with --env-host", got, secretName+"="+secretValue, "HOME=/root", "container=rl-run")
	want(t, "-e PATH finds the command", inside(t, "echo found", "-e", "PATH=/nowhere:/bin"), "found")
	trial.Run(t, "-e", "PATH=/nowhere", tree, "sh").Fails(t, 127, "exec sh")
	trial.Run(t, "--env-file", file+".missing", tree, "true").Fails(t, 125, "env.missing")
	trial.Run(t, "-e", "=x", tree, "true").Fails(t, 125, "-e")
}

func sorted(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		for j := i; j > 0 && lines[j] < lines[j-1]; j-- {
			lines[j], lines[j-1] = lines[j-1], lines[j]
		}
	}
	return strings.Join(lines, "\n")
}

func TestWorkingDirectory(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	link(t, "usr/bin", tree+"/linked")
	pwd := func(options ...string) string {
		return trial.Run(t, script(options, tree, "pwd -P")...).OK(t)
	}
	want(t, "default", pwd(), "/")
	want(t, "-w", pwd("-w", "/usr/bin"), "/usr/bin")
	want(t, "-w through a link", pwd("-w", "/linked"), "/usr/bin")
	want(t, "-w to a missing directory", pwd("-w", "/made/for/it"), "/made/for/it")
	want(t, "-w in a bind", pwd("-v", t.TempDir()+":/bound", "-w", "/bound"), "/bound")
	want(t, "-w in /dev", pwd("-w", "/dev/shm"), "/dev/shm")
	want(t, "-w with --rw", pwd("--rw", "-w", "/made/there"), "/made/there")
	if _, err := os.Stat(tree + "/made"); err == nil {
		t.Error("a working directory that was made, and stayed empty, is left in ROOTFS")
	}
	trial.Run(t, "-w", "relative", tree, "true").Fails(t, 125, "-w relative")
	trial.Run(t, "-w", "/etc/passwd", tree, "true").Fails(t, 125, "/etc/passwd")
	trial.Run(t, "-u", "nobody", "-w", "/root", tree, "true").Fails(t, 125, "/root", "permission denied")
	lacks(t, "the tree", hostProbe(t, "tree", tree).Run(t).OK(t), "made")
}

func TestProcessAttributes(t *testing.T) {
	tree := begin(t)
	want(t, "umask", inside(t, "umask"), "0022")
	// Fields 5 and 6 of /proc/PID/stat: process group and session.
	want(t, "session", inside(t, "awk '{ print $1 == $5, $1 == $6 }' /proc/$$/stat"), "1 1")
	want(t, "pid and parent", inside(t, "echo $$ $PPID"), "2 1")
	for _, name := range []string{"SigBlk", "SigIgn"} {
		// Not under a shell: that of busybox may ignore SIGQUIT for its children.
		status := trial.Run(t, "--quiet", tree, "cat", "/proc/self/status").OK(t)
		want(t, name, strings.Trim(field(t, status, name), "0"), "")
	}
	run := trial.Bin(t, "rl-run")
	limits := func(text string) string {
		c := trial.Command{Path: "/bin/bash", Args: append([]string{"-c", text + `; exec "$@"`, "bash", run}, script(nil, tree, "ulimit -Sn; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj")...)}
		return words(c.Run(t).OK(t))
	}
	holds(t, "limits", limits("ulimit -Sn 777; ulimit -Hn 3000; ulimit -c 0"), "777 3000 0 ")
	holds(t, "limits", limits("ulimit -n 300"), "300 300 ")
	adjusted := limits("echo 321 >/proc/self/oom_score_adj")
	if !strings.HasSuffix(adjusted, " 321") {
		t.Errorf("the caller's oom_score_adj of 321 is not the container's: %q", adjusted)
	}
	// Of init too: else the kernel would spare it and with it the container's memory.
	want(t, "oom_score_adj of init", inside(t, "cat /proc/1/oom_score_adj"), strings.TrimSpace(read(t, "/proc/self/oom_score_adj")))
}

// A caller that ignores SIGHUP, as nohup(1) does, keeps its container.
func TestNoHangup(t *testing.T) {
	tree := begin(t)
	r := trial.Command{Path: "/bin/sh", Args: append([]string{"-c", `trap '' HUP; exec "$@"`, "sh", trial.Bin(t, "rl-run")},
		script(nil, tree, "echo ready; sleep 0.3; echo end")...)}.Start(t)
	r.Stdout("ready")
	r.Signal(unix.SIGHUP)
	want(t, "output", r.Wait().OK(t), "ready\nend")
}

func TestCommand(t *testing.T) {
	tree := begin(t)
	args := []string{"", " ", "a b", "-x", "--", "$HOME", "\"'\\", "ü\n"}
	got := trial.Run(t, append([]string{"--quiet", tree, "sh", "-c", `for a; do echo "<$a>"; done`, "sh"}, args...)...).OK(t)
	want(t, "arguments", got, "<"+strings.Join(args, ">\n<")+">")
	want(t, "after --", trial.Run(t, "--quiet", "--", tree, "echo", "--rw").OK(t), "--rw")
	want(t, "--entrypoint", trial.Run(t, "--quiet", "--entrypoint", "echo", tree, "a", "b").OK(t), "a b")
	want(t, "relative ROOTFS", trial.Command{Args: []string{"--quiet", "busybox", "hostname"}, Dir: strings.TrimSuffix(tree, "/busybox")}.Run(t).OK(t), "busybox")
	want(t, "shell of root", trial.Command{Args: []string{"--quiet", tree}, Stdin: trial.StdinText("echo $0")}.Run(t).OK(t), "/bin/sh")
	script := t.TempDir() + "/script"
	write(t, script, "#!/bin/sh\necho run as $0\n")
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	want(t, "a script", trial.Run(t, "--quiet", "-v", script+":/opt/script", tree, "/opt/script").OK(t), "run as /opt/script")
	long := strings.Repeat("x", 100_000)
	want(t, "a long argument", fmt.Sprint(len(trial.Run(t, "--quiet", tree, "echo", long).OK(t))), "100000")
}

// The files that rl-run provides.
func TestProvidedFiles(t *testing.T) {
	begin(t)
	want(t, "resolv.conf with --dns", inside(t, "grep nameserver /etc/resolv.conf", "--dns", "192.0.2.1", "--dns", "2001:db8::1"),
		"nameserver 192.0.2.1\nnameserver 2001:db8::1")
	others := []string{"--dns=192.0.2.1", "--dns-search", "a.example", "--dns-search=b.example.", "--dns-option=ndots:2", "--dns-option", "rotate"}
	want(t, "resolv.conf of one's own", inside(t, "cat /etc/resolv.conf", others...),
		"nameserver 192.0.2.1\nsearch a.example b.example.\noptions ndots:2 rotate")
	lacks(t, "resolv.conf without domains", inside(t, "cat /etc/resolv.conf", "--dns-search=."), "search", "domain")
	hosts := inside(t, "cat /etc/hosts", "--add-host", "db:192.0.2.7", "--add-host", "six:2001:db8::2", "--add-host", "new=2001:db8::3", "-h", "web")
	holds(t, "hosts", hosts, "127.0.0.1\tlocalhost", "192.0.2.7\tdb", "2001:db8::2\tsix", "2001:db8::3\tnew", "\tweb")
	lacks(t, "servers on the host's loopback", inside(t, "cat /etc/resolv.conf"), "nameserver 127.")
	want(t, "they can be written", inside(t, "echo 1.2.3.4 x >>/etc/hosts && grep -c 1.2.3.4 /etc/hosts"), "1")
	own := t.TempDir() + "/hosts"
	write(t, own, "192.0.2.9 mine\n")
	want(t, "an own file", inside(t, "cat /etc/hosts", "-v", own+":/etc/hosts:ro"), "192.0.2.9 mine")
	want(t, "owner and mode", inside(t, "stat -c '%u:%g %a' /etc/hosts /etc/hostname /etc/resolv.conf"), strings.TrimSpace(strings.Repeat("0:0 644\n", 3)))
	for _, c := range [][]string{{"--dns", "x"}, {"--dns-search", "a b"}, {"--dns-option", "a\nb"}, {"--add-host", "x"}, {"--add-host", "a b:1.2.3.4"}} {
		trial.Run(t, append(c, trial.Tree(t, "busybox"), "true")...).Fails(t, 125, c[0])
	}
}

// A caller without stdin, stdout or stderr: none of the launcher's own descriptors may
// get their numbers.
func TestClosedStreams(t *testing.T) {
	tree := begin(t)
	run := trial.Bin(t, "rl-run")
	dir := t.TempDir()
	for _, closed := range []string{"<&-", ">&-", "2>&-", "<&- >&- 2>&-"} {
		text := `exec "$@" ` + closed
		c := trial.Command{Path: "/bin/sh", Args: append([]string{"-c", text, "sh", run},
			script([]string{"-v", dir + ":/bound"}, tree, "ls -l /proc/$$/fd >/bound/fds; exit 7")...)}
		if code := c.Run(t).Code; code != 7 {
			t.Errorf("%s: exit code %d", closed, code)
		}
		lacks(t, closed, read(t, dir+"/fds"), "socket:", "memfd:", "anon_inode:")
	}
}
