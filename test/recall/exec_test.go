package recall

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/trial"
)

// detached is a container of a test's own, in which commands are executed.
type detached struct {
	host
	name string
}

// within is a container of a host's, in which rl-exec is to do without Go's runtime.
func within(h host, name string) detached {
	h.program = "rl-exec"
	return detached{h, name}
}

func newDetached(t *testing.T, options ...string) detached {
	t.Helper()
	d := within(newHost(t), "web")
	words := slices.Concat([]string{"-d", "--quiet", "--net=none", "--name", d.name}, options, []string{trial.Tree(t, "busybox"), "sleep", "100000"})
	d.run(words...).OK(t)
	t.Cleanup(func() { d.rl("rl-rm", "-f", d.name).OK(t) })
	return d
}

// memo is the file of the container's memo.
func (d detached) memo() string { return filepath.Join(d.dir, "rl-run/c", d.name, "memo") }

// prime executes commands until there is a memo.
func (d detached) prime(options ...string) {
	d.t.Helper()
	d.repeat(func() bool {
		_, err := os.Stat(d.memo())
		return err == nil
	}, append(options, d.name, "true")...)
}

// describeCommand shows what a further command has. Among the host's processes, where others start containers meanwhile, it looks at its
// own ancestors alone.
const describeCommand = `
grep -E "^(Name|Umask|Uid|Gid|Groups|Cap.*|NoNewPrivs|Seccomp.*|Sig[A-Z].*):" /proc/self/status
cat /proc/self/cgroup /proc/self/limits /proc/self/oom_score_adj /proc/self/sessionid /proc/self/loginuid
for n in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$n; done
env | sort; pwd; id; tty; ulimit -a; cut -d" " -f 7-8 /proc/self/stat
[ "$(cut -d" " -f 6 /proc/$$/stat)" = $$ ] && echo leads its session
for fd in /proc/$$/fd/*; do [ -e $fd ] && echo ${fd##*/} $(readlink $fd | sed "s/[0-9]//g"); done
cd /proc; pids=$(echo [0-9]*)
[ "$(cat 1/comm)" = rl-init ] || pids=$(p=$$; while [ "$p" -gt 1 ]; do echo $p; p=$(sed -n "s/^PPid:[^0-9]*//p" $p/status); done)
for p in $pids; do tr "\0" " " <$p/cmdline | grep "^rl-" | sed "s/[0-9]//g"; done | sort`

func TestSameCommand(t *testing.T) {
	for _, kind := range []struct {
		name          string
		options, exec []string
	}{
		{"defaults", nil, nil},
		{"single id", []string{"--userns=single"}, nil},
		{"another user", []string{"-u", "1000:1000", "--group-add", "7", "--cap-add=net_raw", "-w", "/tmp"}, nil},
		{"keep-id", []string{"--userns=keep-id"}, nil},
		{"no capabilities", []string{"--cap-drop=ALL"}, nil},
		{"new privileges", []string{"--security-opt", "no-new-privileges=false"}, nil},
		{"unconfined", []string{"--security-opt", "seccomp=unconfined", "--cap-add=ALL"}, nil},
		{"limits of a process", []string{"--ulimit", "nofile=100:200"}, nil},
		{"the host's pids", []string{"--pid=host"}, nil},
		{"environment", []string{"-e", "A=b c", "-h", "other"}, nil},
		{"elsewhere, without input", nil, []string{"--workdir=/etc", "-i=false"}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			d := newDetached(t, kind.options...)
			call := append(kind.exec, d.name, "sh", "-c", describeCommand)
			want := d.compiles(call...).OK(t)
			d.prime(kind.exec...)
			if got := d.recalls(call...).OK(t); got != want {
				t.Errorf("another command:\n%s", difference(want, got))
			}
			d.recalls(append(kind.exec, d.name, "/bin/true")...).OK(t)
			if got := d.recalls(append(kind.exec, d.name, "echo", "-n", "a  b", "", "*")...).OK(t); got != "a  b  *" {
				t.Errorf("echo: %q", got)
			}
		})
	}
}

func TestCommandEnds(t *testing.T) {
	d := newDetached(t)
	d.prime()
	for script, code := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 143, "kill -KILL $$": 137, "exit 255": 255} {
		if r := d.recalls(d.name, "sh", "-c", script); r.Code != code || r.Stderr != "" {
			t.Errorf("%s: %d %q", script, r.Code, r.Stderr)
		}
	}
	d.rl("rl-exec", d.name, "nosuch").Fails(t, 127, "rl-run: error: exec nosuch: command not found\n")
	d.rl("rl-exec", d.name, "/etc/passwd").Fails(t, 126, "not executable")
	d.rl("rl-exec", d.name, "").Fails(t, 127, "")
	d.rl("rl-exec", d.name, strings.Repeat("x", 300)).Fails(t, 126, "file name too long")
	text := strings.Repeat("0123456789abcdef", 1<<16)
	r := trial.Command{Path: trial.Bin(t, "rl-exec"), Args: []string{d.name, "cat"}, Env: d.env(), Stdin: trial.StdinText(text)}.Run(t)
	if r.OK(t) != text {
		t.Error("a megabyte through a pipe changes")
	}
	// Words for which there is no room any more are Go's.
	for _, n := range []int{1000, 100_000, 1 << 20} {
		words := slices.Repeat([]string{"0123456789"}, n/11)
		got := d.rl("rl-exec", slices.Concat([]string{d.name, "sh", "-c", "echo $# $9 ${10}", "sh"}, words)...).OK(t)
		if want := itoa(len(words)) + " 0123456789 0123456789"; got != want {
			t.Errorf("%d words: %q", len(words), got)
		}
	}
	const longest = 128<<10 - 1 // MAX_ARG_STRLEN (execve(2))
	if got := d.recalls(d.name, "sh", "-c", "echo ${#1}", "sh", strings.Repeat("x", longest)).OK(t); got != itoa(longest) {
		t.Errorf("a long word: %s", got)
	}
}

// What fails behind the command's start is told, and the command does not run again.
func TestFailingBehindTheCommand(t *testing.T) {
	d := newDetached(t)
	d.prime()
	told, strace := 0, trial.NeedTool(t, "strace")
	for n := 20; n < 60; n++ {
		r := trial.Command{
			Path: strace, Env: d.env(), Args: []string{
				"-f", "-qq", "-o", filepath.Join(t.TempDir(), "trace"), "-e", "trace=prctl", "-e", "inject=prctl:error=ENOMEM:when=" + itoa(n),
				trial.Bin(t, "rl-exec"), d.name, "echo", "once",
			},
		}.Run(t)
		said := slices.DeleteFunc(strings.SplitAfter(r.Stderr, "\n"), func(line string) bool { return strings.HasPrefix(line, strace+": ") })
		r.Stderr = strings.Join(said, "")
		switch {
		case r.Code == 0 && r.Stdout == "once\n" && r.Stderr == "":
		case r.Code == 125 && (r.Stdout == "" || r.Stdout == "once\n") && strings.Count(r.Stderr, "\n") == 1 && strings.HasPrefix(r.Stderr, "rl-run: error: ") && strings.Contains(r.Stderr, ": cannot allocate memory"):
			told++
		default:
			t.Errorf("at %d: %+v", n, r)
		}
	}
	if told == 0 {
		t.Error("nothing has failed")
	}
}

func TestCommandGoesOn(t *testing.T) {
	d := newDetached(t)
	d.prime()
	c := trial.Command{
		Path: trial.Bin(t, "rl-exec"), Env: d.env(),
		Args: []string{d.name, "sh", "-c", `trap "echo bye; exit 7" TERM; echo ready; while :; do sleep 1000 & wait $!; done`},
	}.Start(t)
	c.Stdout("ready\n")
	c.Signal(15)
	if r := c.Wait(); r.Code != 7 || r.Stdout != "ready\nbye\n" {
		t.Errorf("%+v", r)
	}
	if r := d.recalls(d.name, "sh", "-c", "sleep 0.3; exit 9"); r.Code != 9 || r.Stderr != "" {
		t.Errorf("%+v", r)
	}
}

func TestCommandPremises(t *testing.T) {
	d := newDetached(t)
	d.prime()
	call := []string{d.name, "sh", "-c", "id -u"}
	d.recalls(call...).OK(t)
	for _, before := range [][]string{
		{"prlimit", "--nofile=512:512"},
		{"setpriv", "--no-new-privs"},
		{"unshare", "--user", "--map-current-user"},
		{"unshare", "--user", "--map-root-user", "--uts"},
		{"env", "PATH=/usr/bin:/bin:/sbin"},
		{"env", "https_proxy=http://proxy.example"},
	} {
		d.compilesBy(before, call...)
	}
	d.compiles(append([]string{"-w", "/"}, call...)...).OK(t)
	d.recalls(call...).OK(t)

	config := filepath.Join(filepath.Dir(d.memo()), "config.json")
	text, err := os.ReadFile(config)
	must(t, err)
	must(t, os.WriteFile(config, []byte(strings.Replace(string(text), `"Workdir": "/"`, `"Workdir": "/tmp"`, 1)), 0o600))
	if got := d.compiles(d.name, "pwd").OK(t); got != "/tmp" {
		t.Errorf("with another configuration: in %s", got)
	}
	must(t, os.WriteFile(config, text, 0o600))
	d.primeAgain()

	// The container ends, and another one takes its name.
	saved, err := os.ReadFile(d.memo())
	must(t, err)
	d.rl("rl-kill", "-s", "KILL", d.name).OK(t)
	d.rl("rl-wait", d.name)
	d.rl("rl-exec", d.name, "true").Fails(t, 125, "it is not running")
	d.rl("rl-rm", d.name).OK(t)
	if _, err := os.Stat(filepath.Dir(d.memo())); !os.IsNotExist(err) {
		t.Errorf("the removed container has left: %v", err)
	}
	d.rl("rl-exec", d.name, "true").Fails(t, 125, "there is no such container")
	d.run("-d", "--quiet", "--net=none", "--name", d.name, trial.Tree(t, "busybox"), "sleep", "100001").OK(t)
	must(t, os.WriteFile(d.memo(), saved, 0o600))
	if got := d.compiles(d.name, "sh", "-c", "grep -l ^sleep.100001 /proc/[0-9]*/cmdline | wc -l").OK(t); got != "1" {
		t.Errorf("in the next one: %s", got)
	}
}

// primeAgain waits for a memo in place of one that does not hold any more.
func (d detached) primeAgain() {
	d.t.Helper()
	must(d.t, os.Remove(d.memo()))
	d.prime()
}

func TestCommandsNotKept(t *testing.T) {
	d := newDetached(t)
	time.Sleep(2100 * time.Millisecond) // its files settle
	for _, options := range [][]string{{"-u", "1"}, {"-e", "SECRET=x"}, {"-d"}, {"-V"}, {"--timing"}, {"-t"}} {
		d.rl("rl-exec", append(options, d.name, "true")...)
		if _, err := os.Stat(d.memo()); err == nil {
			t.Errorf("%v: kept", options)
			must(t, os.Remove(d.memo()))
		}
	}
	d.rl("rl-exec", d.name, "true").OK(t)
	if _, err := os.Stat(d.memo()); err != nil {
		t.Errorf("and what can be kept: %v", err)
	}
}

// A container of the foreground is removed by a program that knows its files by name.
func TestMemoGoesWithTheForeground(t *testing.T) {
	h := newHost(t)
	c := trial.Command{Args: []string{"--net=none", "--name", "web", trial.Tree(t, "busybox"), "sh", "-c", "echo ready; exec sleep 100000"}, Env: h.env()}.Start(t)
	c.Stdout("ready\n")
	d := within(h, "web")
	for end := time.Now().Add(trial.Timeout); h.rl("rl-exec", "web", "true").Code != 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	d.prime()
	d.recalls("web", "true").OK(t)
	c.Signal(15)
	c.Wait()
	if _, err := os.Stat(filepath.Dir(d.memo())); !os.IsNotExist(err) {
		t.Errorf("left: %v", err)
	}
}

func TestCommandDescriptors(t *testing.T) {
	d := newDetached(t)
	d.prime()
	bin := trial.Bin(t, "rl-exec")
	for _, redirect := range []string{
		"", "9</etc/passwd", "3</etc/passwd", "5</etc/passwd 6</etc/passwd 7</etc/passwd", "8</etc/passwd", "<&-", "2>&-",
		"10</etc/passwd 11</etc/passwd", "60</etc/passwd", "61</etc/passwd", "60</etc/passwd 61</etc/passwd 62</etc/passwd", "4</etc/passwd 2>&- <&-",
	} {
		r := trial.Command{
			Path: "/bin/bash", Env: d.env(),
			Args: []string{"-c", bin + ` ` + d.name + ` sh -c 'cd /proc/$$/fd; echo *' ` + redirect},
		}.Run(t)
		if got := r.OK(t); got != "0 1 2 3" { // the last one is of the shell that looks
			t.Errorf("%q: descriptors %s", redirect, got)
		}
	}
}

// All that rl-exec looks at without a memo is a premise of one.
func TestCommandPremisesAreComplete(t *testing.T) {
	d := newDetached(t)
	d.prime()
	good, err := os.ReadFile(d.memo())
	must(t, err)
	looks := func(file string) []string {
		trial.Command{
			Path: trial.NeedTool(t, "strace"), Env: d.env(),
			Args: []string{"-qq", "-o", file, "-e", "trace=%file,clone,clone3", trial.Bin(t, "rl-exec"), d.name, "true"},
		}.Run(t).OK(t)
		text, err := os.ReadFile(file)
		must(t, err)
		before, _, _ := strings.Cut(string(text), "clone3(")
		return paths(before, "")
	}
	file := filepath.Join(t.TempDir(), "trace")
	var before []string
	for try := 0; try < 50 && len(before) < 20; try++ { // strace follows one thread, and Go may change it
		_ = os.Remove(d.memo())
		before = looks(file)
	}
	_ = os.Remove(d.memo())
	must(t, os.WriteFile(d.memo(), good, 0o600))
	after := looks(file)
	if len(before) < 20 || len(after) < 20 {
		t.Fatalf("only %d and %d paths: %v %v", len(before), len(after), before, after)
	}
	for _, p := range before {
		asked := slices.ContainsFunc(after, func(q string) bool { return q == p || strings.HasSuffix(q, "/"+p) })
		if !asked && !excusedOfExec(p) {
			t.Errorf("%s is looked at, and no premise", p)
		}
	}
}

// excusedOfExec are paths that the plan does not depend on, or whose answer the process gives that is asked for.
func excusedOfExec(p string) bool {
	for _, prefix := range []string{"/sys/kernel/mm/transparent_hugepage/", "/proc/self/cgroup", "/proc/sys/kernel/cap_last_cap"} {
		if strings.HasPrefix(p, prefix) {
			return true
		}
	}
	return p == "." || p == ".." || p == "" || p == "exit" || p == "rl-exec" || strings.HasPrefix(p, "/proc/") && strings.HasSuffix(p, "/setgroups")
}
