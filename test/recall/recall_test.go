package recall

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// kinds are calls that are kept.
var kinds = []struct {
	name    string
	options []string
}{
	{"subordinate ids", []string{"--net=none"}},
	{"single id", []string{"--userns=single", "--net=none"}},
	{"nothing but namespaces", []string{"--userns=single", "--net=none", "--read-only", "--security-opt", "seccomp=unconfined", "--security-opt", "unmask=ALL"}},
	{"host network", []string{"--net=host"}},
	{"read-only", []string{"--net=none", "--read-only", "--tmpfs", "/tmp:size=1m"}},
	{"another user", []string{"--net=none", "-u", "1000:1000", "--cap-add", "NET_RAW", "-w", "/tmp"}},
	{"keep-id", []string{"--net=none", "--userns=keep-id"}},
	{"no capabilities", []string{"--net=none", "--cap-drop", "ALL", "-h", "other"}},
	{"new privileges", []string{"--net=none", "--security-opt", "no-new-privileges=false"}},
	{"no input", []string{"--net=none", "-i=false", "--dns", "192.0.2.1", "--add-host", "a:192.0.2.2"}},
}

// describe shows what a container is, once /proc/1 is no longer the launcher's (docs/design.md, "Secrecy").
const describe = `
until grep -q "^rl-init" /proc/1/cmdline; do :; done
cat /proc/self/uid_map /proc/self/gid_map
grep -E "^(Uid|Gid|Groups|Cap.*|NoNewPrivs|Seccomp.*|SigIgn|Umask):" /proc/self/status /proc/1/status
grep -E "^SigBlk" /proc/self/status
cut -d" " -f 4- /proc/self/mountinfo
readlink /proc/self/ns/user /proc/self/ns/net | sed "s/[0-9]//g"
cat /etc/hosts /etc/hostname /etc/resolv.conf /proc/sys/kernel/hostname /proc/self/limits /proc/self/oom_score_adj
cat /proc/1/cmdline /proc/1/comm
env | sort; pwd; id; stat -c "%n %A %u %g %t %T" /dev/*; ls /proc /sys | grep -v "^[0-9]"; tty; ulimit -a
for fd in /proc/self/fd/*; do [ "$fd" = /proc/self/fd/0 ] || echo $fd; done
ip link 2>&1 | sed "s/^[0-9]*//"
cat /proc/self/cgroup; cat /proc/self/sessionid /proc/self/loginuid
cut -d" " -f 5-8 /proc/self/stat`

// varying is what differs between any two containers: numbers of devices and mounts.
var varying = regexp.MustCompile(`(0:\d+|(?:lowerdir|upperdir|workdir)=\S+|seconds.*|rl-init\x00\d+)`)

func TestSameContainer(t *testing.T) {
	tree := trial.Tree(t, "busybox")
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			h := newHost(t)
			call := func(command ...string) []string { return slices.Concat(kind.options, []string{tree}, command) }
			want := h.run(call("sh", "-c", describe)...).OK(t)
			if len(h.memos()) == 0 {
				h.prime(call("true")...)
			}
			// of any command
			got := h.recalls(call("sh", "-c", describe)...).OK(t)
			if a, b := varying.ReplaceAllString(want, "X"), varying.ReplaceAllString(got, "X"); a != b {
				t.Errorf("the container differs:\n%s", difference(a, b))
			}
			h.recalls(call("/bin/true")...).OK(t)
			if got := h.recalls(call("echo", "-n", "a  b", "", "*")...).OK(t); got != "a  b  *" {
				t.Errorf("echo: %q", got)
			}
		})
	}
}

// difference shows the lines that only one of two texts has.
func difference(a, b string) string {
	var out strings.Builder
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for _, l := range la {
		if !slices.Contains(lb, l) {
			out.WriteString("- " + l + "\n")
		}
	}
	for _, l := range lb {
		if !slices.Contains(la, l) {
			out.WriteString("+ " + l + "\n")
		}
	}
	if out.Len() == 0 {
		return "the lines are in another order"
	}
	return out.String()
}

// Calls that need the launcher while the container runs, or afterwards, are never kept.
func TestNotKept(t *testing.T) {
	tree := trial.NewTree(t)
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("A=b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond) // the tree's files settle
	h := newHost(t)
	for _, options := range [][]string{
		{"--name", "a", "--net=none"},
		{"--net=none", "--rw"},
		{"--net=none", "--copy"},
		{"--net=none", "-t"},
		{"--net=none", "-V"},
		{"--net=none", "--timing"},
		{"--net=none", "--pid=host"},
		{"--net=none", "--env-file", file},
		{"--net=none", "--entrypoint", "/bin/true"},
		{"--net=none", "--strict"},
		{"--net=none", "--keep", t.TempDir() + "/keep"},
		{"--net=none", "--ulimit", "nofile=100"},
	} {
		h.run(slices.Concat(options, []string{tree, "true"})...).OK(t)
		if got := h.memos(); len(got) > 0 {
			t.Errorf("%v: kept %v", options, got)
			_ = os.Remove(got[0])
		}
	}
	trial.Command{Args: []string{"--net=none", tree, "true"}, Env: append(h.env(), "https_proxy=http://proxy.example")}.Run(t).OK(t)
	if got := h.memos(); len(got) > 0 {
		t.Errorf("with a proxy: kept %v", got)
	}
	h.run("--net=none", tree, "true").OK(t)
	if len(h.memos()) != 1 {
		t.Errorf("and what can be kept: %v", h.memos())
	}
}

func TestEnds(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	h.prime("--net=none", tree, "true")
	for script, code := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 143, "kill -KILL $$": 137, "exit 255": 255} {
		if r := h.recalls("--net=none", tree, "sh", "-c", script); r.Code != code || r.Stderr != "" {
			t.Errorf("%s: %d %q", script, r.Code, r.Stderr)
		}
	}
	// What goes wrong is said as without a memo.
	h.run("--net=none", tree, "nosuch").Fails(t, 127, "rl-run: error: exec nosuch: command not found\n")
	h.run("--net=none", tree, "/etc/passwd").Fails(t, 126, "not executable")
	h.run("--net=none", tree, "/etc").Fails(t, 126, "/etc")
	h.run("--net=none", tree, "..").Fails(t, 126, "")
	h.run("--net=none", tree, "").Fails(t, 127, "")
	long := strings.Repeat("x", 300)
	h.run("--net=none", tree, long).Fails(t, 126, "file name too long")
	text := strings.Repeat("0123456789abcdef", 1<<16)
	r := trial.Command{Args: []string{"--net=none", tree, "cat"}, Env: h.env(), Stdin: trial.StdinText(text)}.Run(t)
	if r.OK(t) != text {
		t.Error("a megabyte through a pipe changes")
	}
}

// What a shell or a service leaves open, or has closed, moves the launcher's descriptors.
func TestDescriptors(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	bin := trial.Bin(t, "rl-run")
	h.prime("--net=none", tree, "true")
	for _, redirect := range []string{
		"", "9</etc/passwd", "3</etc/passwd", "5</etc/passwd 6</etc/passwd 7</etc/passwd", "8</etc/passwd", "<&-", "2>&-",
		"10</etc/passwd 11</etc/passwd", "4</etc/passwd 2>&- <&-",
	} {
		r := trial.Command{
			Path: "/bin/bash", Env: h.env(),
			Args: []string{"-c", bin + ` --net=none ` + tree + ` sh -c 'cd /proc/$$/fd; echo *' ` + redirect},
		}.Run(t)
		if got := r.OK(t); got != "0 1 2 3" { // the last one is of the shell that looks
			t.Errorf("%q: descriptors %s", redirect, got)
		}
	}
}

func TestGoesOn(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	h.prime("--net=none", tree, "true")
	c := trial.Command{Args: []string{"--net=none", tree, "sh", "-c", `trap "echo bye; exit 7" TERM; echo ready; while :; do sleep 1000 & wait $!; done`}, Env: h.env()}.Start(t)
	c.Stdout("ready\n")
	var name string
	for end := time.Now().Add(trial.Timeout); name == ""; time.Sleep(10 * time.Millisecond) {
		name = h.rl("rl-ps", "-q").OK(t)
		if time.Now().After(end) {
			t.Fatal("the container is not listed")
		}
	}
	if got := h.rl("rl-exec", name, "cat", "/proc/1/comm").OK(t); got != "rl-init" {
		t.Errorf("rl-exec: %q", got)
	}
	if got := h.rl("rl-inspect", name).OK(t); !strings.Contains(got, tree) || !strings.Contains(got, "trap") {
		t.Errorf("rl-inspect: %s", got)
	}
	status, err := os.ReadFile("/proc/" + itoa(c.Pid) + "/status")
	if err != nil || !strings.Contains(string(status), "\nThreads:\t1\n") {
		t.Errorf("the launcher is no stand-in: %v\n%s", err, status)
	}
	c.Signal(unix.SIGTERM)
	if r := c.Wait(); r.Code != 7 || r.Stdout != "ready\nbye\n" {
		t.Errorf("after SIGTERM: %d %q", r.Code, r.Stdout)
	}
	if got := h.rl("rl-ps", "-aq").OK(t); got != "" {
		t.Errorf("listed after its end: %q", got)
	}
}

// A signal that comes before there is anybody to forward it waits for that, and is not lost.
// Signals that come before Go begins, if it does, are passed on as later ones are.
func TestEarlySignal(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	h.prime("--net=none", tree, "true")
	const script = `trap "echo got; exit 3" USR1 TERM INT HUP QUIT; echo ready; while :; do sleep 1000 & wait $!; done`
	for i := range trial.Mass(20) {
		s := []unix.Signal{unix.SIGUSR1, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT}[i%5]
		c := trial.Command{Args: []string{"--net=none", tree, "sh", "-c", script}, Env: h.env()}.Start(t)
		c.Stdout("ready\n")
		c.Signal(unix.SIGSTOP)
		c.Signal(s)
		c.Signal(unix.SIGCONT)
		if r := c.Wait(); r.Code != 3 || r.Stdout != "ready\ngot\n" {
			t.Fatalf("%s: %d %q %q", s, r.Code, r.Stdout, r.Stderr)
		}
	}
	// one that the caller ignores
	r := trial.Command{
		Path: "/bin/bash", Env: h.env(),
		Args: []string{"-c", `trap "" HUP; ` + trial.Bin(t, "rl-run") + ` --net=none ` + tree + ` sh -c "echo ready; sleep 0.03; exit 4" & kill -HUP $!; wait $!`},
	}.Run(t)
	if r.Code != 4 {
		t.Errorf("ignored: %+v", r)
	}
}

// Of the caller's environment a memo has PATH and the runtime directory. Others may change.
func TestNoSecretIsKept(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	t.Setenv("RLRUN_TEST_TOKEN", "tell-nobody-2718281")
	h.prime("--net=none", tree, "true")
	text, err := os.ReadFile(h.memos()[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"tell-nobody", "RLRUN_TEST_TOKEN", "XDG_RUNTIME_DIR"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("a memo contains %s", secret)
		}
	}
	if !bytes.Contains(text, []byte("--net=none")) {
		t.Error("what the test looks into is no memo")
	}
	h.recalls("--net=none", tree, "true").OK(t)
	t.Setenv("RLRUN_TEST_TOKEN", "another")
	t.Setenv("RLRUN_TEST_MORE", "x")
	h.recalls("--net=none", tree, "true").OK(t)
}

func TestMany(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	var wg sync.WaitGroup
	for i := range trial.Mass(100) {
		wg.Go(func() {
			if i%10 == 0 { // another call, of the same slot
				h.run("--net=none", tree, "-x").Fails(t, 127, "-x")
				h.run("--net=none", "--read-only", tree, "true").OK(t)
			}
			if got := h.run("--net=none", tree, "echo", itoa(i)).OK(t); got != itoa(i) {
				t.Errorf("%d: %q", i, got)
			}
		})
	}
	wg.Wait()
	if n := len(h.memos()); n < 1 || n > 2 {
		t.Errorf("%d memos", n)
	}
}

// What a process inherits of signals is the same by memo as without.
func TestInheritedSignals(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	const show = `until grep -q "^rl-init" /proc/1/cmdline; do :; done; grep -E "^Sig(Ign|Blk)" /proc/self/status; grep ^SigIgn /proc/1/status; exit 7`
	for _, how := range []string{"--ignore-signal=QUIT,TERM,PIPE,USR1,ALRM,SYS,TRAP,RTMAX", "--ignore-signal=HUP,INT", "--ignore-signal=CHLD", "--block-signal=QUIT,TERM,CHLD,USR1"} {
		run := func() trial.Result {
			return trial.Command{Path: trial.NeedTool(t, "env"), Args: []string{how, trial.Bin(t, "rl-run"), "--net=none", tree, "sh", "-c", show}, Env: h.env()}.Run(t)
		}
		for _, memo := range h.memos() {
			must(t, os.Remove(memo))
		}
		want := run()
		if len(h.memos()) == 0 {
			h.prime("--net=none", tree, "true")
		}
		if got := run(); got != want || got.Code != 7 {
			t.Errorf("%s: by memo %+v, else %+v", how, got, want)
		}
	}
}

// A memo counts only in directories that are the caller's alone.
func TestOthersDirectories(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	h.prime("--net=none", tree, "true")
	for _, dir := range []string{h.dir, h.dir + "/rl-run", h.dir + "/rl-run/starts"} {
		must(t, os.Chmod(dir, 0o777))
		h.compiles("--net=none", tree, "true").OK(t)
		must(t, os.Chmod(dir, 0o700))
		for _, memo := range h.memos() {
			must(t, os.Remove(memo))
		}
		h.prime("--net=none", tree, "true")
		h.recalls("--net=none", tree, "true").OK(t)
	}
	must(t, os.Rename(h.dir+"/rl-run/starts", h.dir+"/moved"))
	must(t, os.Symlink(h.dir+"/moved", h.dir+"/rl-run/starts"))
	h.compiles("--net=none", tree, "true").OK(t)
	must(t, os.Remove(h.dir+"/rl-run/starts"))
}
