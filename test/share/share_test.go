package share

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// memoryEnv makes the test program, in a container, one that makes or finds a segment of System V shared memory.
const memoryEnv = "RLRUN_SHARE_MEMORY"

const (
	memoryKey  = 0x726c72
	memoryText = "written by another container"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(memoryEnv); role != "" {
		if err := memory(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(trial.Tests(m).Run())
}

func memory(role string) error {
	flags := 0
	if role == "make" {
		flags = unix.IPC_CREAT | 0o600
	}
	id, err := unix.SysvShmGet(memoryKey, 4096, flags)
	if err != nil {
		return os.NewSyscallError("shmget", err)
	}
	page, err := unix.SysvShmAttach(id, 0, 0)
	if err != nil {
		return os.NewSyscallError("shmat", err)
	}
	if role == "make" {
		copy(page, memoryText)
		return nil
	}
	fmt.Println(strings.TrimRight(string(page), "\x00"))
	return nil
}

// start starts a container with a script in the background, and removes it at the end of the test.
func start(t *testing.T, name, script string, options ...string) {
	t.Helper()
	args := append([]string{"-d", "--name", name}, options...)
	trial.Run(t, append(args, trial.Tree(t, "busybox"), "sh", "-c", script)...).OK(t)
	t.Cleanup(func() { rl(t, "rl-rm", "-f", name).OK(t) })
}

func rl(t *testing.T, name string, args ...string) trial.Result {
	t.Helper()
	return trial.Command{Path: trial.Bin(t, name), Args: args}.Run(t)
}

// run runs a script in a container in the foreground.
func run(t *testing.T, script string, options ...string) trial.Result {
	t.Helper()
	return trial.Run(t, append(options, trial.Tree(t, "busybox"), "sh", "-c", script)...)
}

const idle = "exec sleep 100000"

func TestPID(t *testing.T) {
	leak.Watch(t)
	start(t, "a", "exec sleep 11111", "--net=none")
	if out := run(t, "ps; echo $$; exit 7", "--net=none", "--pid=container:a"); out.Code != 7 ||
		!strings.Contains(out.Stdout, "sleep 11111") || strings.HasSuffix(out.Stdout, "\n1\n") {
		t.Errorf("%d: %s %s", out.Code, out.Stdout, out.Stderr)
	}
	start(t, "b", "exec sleep 22222", "--net=none", "--pid=container:a")
	if out := rl(t, "rl-exec", "a", "ps").OK(t); !strings.Contains(out, "sleep 22222") {
		t.Errorf("a does not see b: %s", out)
	}
	// What b leaves behind ends with it, though not with a pid namespace.
	run(t, "sleep 33333 & exit 0", "--net=none", "--pid=container:a").OK(t)
	if out := rl(t, "rl-exec", "a", "ps").OK(t); strings.Contains(out, "sleep 33333") {
		t.Errorf("it is left: %s", out)
	}
	// The end of a is that of b.
	rl(t, "rl-stop", "-t", "0", "a").OK(t)
	if out := rl(t, "rl-wait", "b").OK(t); out != "137" {
		t.Errorf("b ended with %s", out)
	}
}

// Whoever ends a container without a pid namespace of its own ends all of its processes: the kernel does not.
func TestEndWithoutOwnPID(t *testing.T) {
	for _, pid := range []string{"host", "container:a"} {
		for _, command := range []string{"rl-kill b", "rl-rm -f b", "rl-stop -t 0 b", "rl-stop -t 1 b"} {
			t.Run(pid+" "+command, func(t *testing.T) {
				leak.Watch(t)
				start(t, "a", idle, "--net=none")
				start(t, "b", "trap '' TERM; (setsid sleep 44441 &); sleep 44442 & wait", "--net=none", "--pid="+pid)
				rl(t, "rl-exec", "-d", "b", "sleep", "44443").OK(t)
				args := strings.Fields(command)
				rl(t, args[0], args[1:]...).OK(t)
				ps := trial.Command{Path: "/bin/ps", Args: []string{"-o", "args", "-U", fmt.Sprint(os.Getuid())}}
				if out := ps.Run(t).OK(t); strings.Contains(out, "sleep 4444") {
					t.Errorf("of b is left: %s", out)
				}
				if args[0] != "rl-rm" {
					if out := rl(t, "rl-wait", "b").OK(t); out != "137" {
						t.Errorf("b ended with %s", out)
					}
				}
			})
		}
	}
	start(t, "b", idle, "--net=none", "--pid=host")
	rl(t, "rl-kill", "-s", "RTMAX", "b").Fails(t, 125, "kill b: -s RTMAX: it would end all of the container's processes")
}

func TestNet(t *testing.T) {
	leak.Watch(t)
	start(t, "a", "mkdir -p /tmp/www; echo here is a >/tmp/www/index.html; exec httpd -f -p 127.0.0.1:8080 -h /tmp/www", "--net=none")
	get := "for n in 1 2 3 4 5 6 7 8 9; do wget -qO- http://127.0.0.1:8080/ 2>/dev/null && exit; sleep 0.1; done; exit 1"
	if out := run(t, get+"", "--net=container:a").OK(t); out != "here is a" {
		t.Errorf("%q", out)
	}
	if out := run(t, "ls /sys/class/net", "--net=container:a", "--pid=container:a").OK(t); out != "lo" {
		t.Errorf("/sys shows %q", out)
	}
	run(t, get, "--net=none").Fails(t, 1)
	// The namespace outlives a.
	start(t, "b", idle, "--network", "container:a")
	rl(t, "rl-rm", "-f", "a").OK(t)
	if out := rl(t, "rl-exec", "b", "cat", "/proc/net/dev").OK(t); !strings.Contains(out, "lo:") {
		t.Errorf("%s", out)
	}
}

// Who shares a net namespace has the name servers of its owner, and the names of its addresses.
func TestNetFiles(t *testing.T) {
	leak.Watch(t)
	start(t, "a", idle, "--net=none", "--dns", "192.0.2.7", "--dns-search", "example.org", "--add-host", "db:192.0.2.8")
	start(t, "b", idle, "--net=container:a")
	for _, owner := range []string{"a", "b"} {
		out := run(t, "cat /etc/resolv.conf /etc/hosts", "--net=container:"+owner, "--add-host", "own:192.0.2.9").OK(t)
		for _, want := range []string{"nameserver 192.0.2.7\nsearch example.org\n127.0.0.1\tlocalhost\n", "\n192.0.2.8\tdb\n", "\n192.0.2.9\town"} {
			if !strings.Contains(out, want) {
				t.Errorf("of %s: no %q in\n%s", owner, want, out)
			}
		}
	}
	if out := run(t, "cat /etc/resolv.conf", "--net=container:a", "--dns", "192.0.2.6").OK(t); out != "nameserver 192.0.2.6\nsearch example.org" {
		t.Errorf("with --dns: %q", out)
	}
}

func TestIPC(t *testing.T) {
	leak.Watch(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	volume := []string{"--net=none", "-v", self + ":/self:ro"}
	use := func(role string, options ...string) trial.Result {
		return trial.Run(t, slices.Concat(volume, []string{"-e", memoryEnv + "=" + role}, options, []string{trial.Tree(t, "busybox"), "/self"})...)
	}
	start(t, "a", idle, volume...)
	use("make", "--ipc=container:a").OK(t)
	if out := use("find", "--ipc=container:a").OK(t); out != memoryText {
		t.Errorf("%q", out)
	}
	use("find").Fails(t, 1, "shmget: no such file or directory")
	rl(t, "rl-exec", "a", "touch", "/dev/mqueue/queue").OK(t)
	if out := run(t, "ls /dev/mqueue", "--net=none", "--ipc=container:a").OK(t); out != "queue" {
		t.Errorf("message queues: %q", out)
	}
}

func TestUTS(t *testing.T) {
	leak.Watch(t)
	start(t, "a", idle, "--net=none", "--hostname", "one")
	if out := run(t, "hostname; cat /etc/hostname; echo $HOSTNAME", "--net=none", "--uts=container:a").OK(t); out != "one\none\none" {
		t.Errorf("%q", out)
	}
	run(t, "", "--uts=container:a", "--hostname=two").Fails(t, 125, "--hostname: with --uts=container:a the name is that container's")
}

// Who joins has the other one's user namespace, ids and bounding set.
func TestTrust(t *testing.T) {
	leak.Watch(t)
	look := "cat /proc/self/uid_map; readlink /proc/self/ns/user; grep CapBnd /proc/self/status"
	for i, options := range [][]string{{"--cap-drop=CHOWN"}, {"--userns=single"}, {"-u", "1000", "--cap-add=net_raw"}, {"--userns=keep-id"}} {
		name := fmt.Sprintf("a%d", i)
		start(t, name, idle, append(options, "--net=none")...)
		want := rl(t, "rl-exec", name, "sh", "-c", look).OK(t)
		for _, share := range []string{"--net=container:", "--pid=container:", "--userns=container:"} {
			cap := []string{"--net=none", share + name}
			if i == 2 {
				cap = append(cap, "--cap-add=net_raw")
			}
			if got := run(t, look, cap...).OK(t); got != want {
				t.Errorf("%q, %s: %q\nwant %q", options, share, got, want)
			}
		}
		run(t, "", "--net=container:"+name, "--cap-add=sys_admin").Fails(t, 125, "--cap-add sys_admin: container "+name+", whose namespaces are shared, does not have it")
		got := run(t, "grep -E 'CapBnd|CapEff' /proc/self/status", "--net=container:"+name, "--cap-add=ALL", "--cap-drop=KILL").OK(t)
		bounding := strings.Fields(want)
		if strings.Contains(got, bounding[len(bounding)-1]) {
			t.Errorf("--cap-drop KILL dropped nothing: %s", got)
		}
	}
}

func TestRefusals(t *testing.T) {
	leak.Watch(t)
	start(t, "a", idle, "--net=none")
	start(t, "b", idle, "--net=none")
	start(t, "gone", "exit 3", "--net=none")
	rl(t, "rl-wait", "gone").OK(t)
	for _, c := range []struct {
		options []string
		says    string
	}{
		{[]string{"--pid=container:a", "--net=container:b"}, "--net container:b: its user namespace is another one than that of --pid container:a"},
		{[]string{"--userns=container:b", "--ipc=container:a"}, "--ipc container:a: its user namespace is another one than that of --userns container:b"},
		{[]string{"--net=container:a", "--userns=keep-id"}, "--userns keep-id: a container that shares namespaces is in the user namespace of container a"},
		{[]string{"--net=container:a", "--uidmap=0:1:1"}, "--uidmap, --gidmap: a container that shares namespaces has the ids of container a"},
		{[]string{"--net=container:a", "--copy"}, "--copy: "},
		{[]string{"--net=container:a", "--name=a"}, "--name a: "},
		{[]string{"--net=container:c"}, "share namespaces of c: there is no such container"},
		{[]string{"--net=container:gone"}, "share namespaces of gone: it is not running\nrl-run: hint: "},
		{[]string{"--net=container:"}, `--net "container:": expected`},
		{[]string{"--pid=container:.."}, "--pid container:..: "},
		{[]string{"--pid=container:NAME"}, "share namespaces of NAME: there is no such container"},
		{[]string{"--uts=mine"}, `--uts "mine": expected private, host or container:NAME`},
	} {
		for _, detach := range []string{"-d", "-d=false"} {
			r := run(t, "exit 0", append(c.options, detach)...)
			r.Fails(t, 125, c.says)
			if lines := strings.Count(r.Stderr, "\n"); lines > 2 {
				t.Errorf("%q: %d lines", c.options, lines)
			}
		}
	}
	if out := rl(t, "rl-ps", "-aq").OK(t); len(strings.Fields(out)) != 3 {
		t.Errorf("rl-ps: %q", out)
	}
}

// rl-inspect and rl-ps tell who is where, by the numbers of /proc/PID/ns.
func TestShown(t *testing.T) {
	leak.Watch(t)
	start(t, "a", idle, "--net=none")
	start(t, "b", idle, "--net=container:a", "--pid=container:a")
	start(t, "c", idle, "--net=none", "--userns=container:b")
	var list []struct {
		Name       string
		Pid        int
		Share      map[string]string
		Namespaces map[string]struct {
			Inode      uint64
			SharedWith []string
		}
	}
	if err := json.Unmarshal([]byte(rl(t, "rl-inspect", "a", "b", "c").OK(t)), &list); err != nil || len(list) != 3 {
		t.Fatalf("%v: %+v", err, list)
	}
	for i, want := range []map[string]string{
		{"user": "b c", "net": "b", "pid": "b", "ipc": ""}, {"user": "a c", "net": "a", "pid": "a", "uts": ""}, {"user": "a b", "net": "", "pid": ""},
	} {
		for kind, with := range want {
			n := list[i].Namespaces[kind]
			if got := strings.Join(n.SharedWith, " "); got != with {
				t.Errorf("%s: its %s namespace is shared with %q, want %q", list[i].Name, kind, got, with)
			}
			link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", list[i].Pid, kind))
			if err != nil || link != fmt.Sprintf("%s:[%d]", kind, n.Inode) {
				t.Errorf("%s: %s is %d, /proc has %s, %v", list[i].Name, kind, n.Inode, link, err)
			}
		}
	}
	if got := list[1].Share; got["net"] != "container:a" || got["pid"] != "container:a" || got["user"] != "container:a" || len(got) != 3 {
		t.Errorf("Share: %v", got)
	}
	out := rl(t, "rl-ps", "--ns").OK(t)
	if !strings.Contains(strings.Join(strings.Fields(out), " "), fmt.Sprintf("b %d net %d a ", list[1].Pid, list[1].Namespaces["net"].Inode)) {
		t.Errorf("%s", out)
	}
}

// Where the other one has the host's, so has who joins.
func TestHostByWayOfAnother(t *testing.T) {
	leak.Watch(t)
	start(t, "a", idle, "--net=host", "--uts=host")
	host, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if out := run(t, "readlink /proc/self/ns/net", "--net=container:a", "--uts=container:a").OK(t); out != host {
		t.Errorf("%s, the host's is %s", out, host)
	}
}

// A container joins one in the foreground, with a terminal or without, and a further command joins it.
func TestForeground(t *testing.T) {
	leak.Watch(t)
	a := trial.Command{Args: []string{"--name", "a", "--net=none", trial.Tree(t, "busybox"), "sh", "-c", "echo ready; exec sleep 100000"}}.Start(t)
	a.Stdout("ready\n")
	for end := time.Now().Add(5 * time.Second); rl(t, "rl-exec", "a", "true").Code != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a is not listed")
		}
	}
	p := trial.OpenPTY(t)
	p.Start(trial.Command{Args: []string{"-t", "--name", "b", "--net=container:a", "--pid=container:a", trial.Tree(t, "busybox"), "sh", "-c", "tty; read x; exit $x"}})
	p.Expect("/dev/pts/0")
	if out := rl(t, "rl-exec", "b", "sh", "-c", "ps").OK(t); !strings.Contains(out, "sleep 100000") {
		t.Errorf("%s", out)
	}
	p.Send("9\r")
	if code := p.Wait(); code != 9 {
		t.Errorf("exit code %d", code)
	}
	a.Signal(unix.SIGTERM)
	a.Wait()
}
