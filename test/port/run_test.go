package port

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// published is a container of rl-run, with -p.
type published struct {
	place
	ports []string // as rl-inspect has them: where on the host, without the port inside
}

// rlRun starts a container that does nothing, and ends it with the test.
func rlRun(t *testing.T, options ...string) published {
	t.Helper()
	const name = "ported"
	args := append([]string{"-d", "--quiet", "--userns=single", "--name", name}, options...)
	trial.Run(t, append(args, trial.Tree(t, "busybox"), "sleep", "1000")...).OK(t)
	t.Cleanup(func() {
		trial.Command{Path: trial.Bin(t, "rl-rm"), Args: []string{"-f", name}}.Run(t).OK(t)
	})
	var list []struct {
		Pid     int
		Network struct{ Ports []string }
	}
	text := trial.Command{Path: trial.Bin(t, "rl-inspect"), Args: []string{name}}.Run(t).OK(t)
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	c := published{place: inside(t, list[0].Pid)}
	for _, p := range list[0].Network.Ports {
		c.ports = append(c.ports, p[:strings.LastIndexByte(p, ':')])
	}
	return c
}

// number is the port of HOSTIP:HOSTPORT, or of HOSTPORT alone.
func number(t *testing.T, at string) int {
	t.Helper()
	n, err := strconv.Atoi(at[strings.LastIndexByte(at, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRun(t *testing.T) {
	for _, tool := range []string{"curl", "nginx", "socat", "slirp4netns", "pasta"} {
		trial.NeedTool(t, tool)
	}
	host := place{t: t, enter: []string{"env"}}
	for _, mode := range []string{"slirp4netns", "pasta", "none"} {
		t.Run(mode, func(t *testing.T) {
			leak.Watch(t)
			host.t = t
			if mode == "pasta" { // that of before November 2024 wants to know a way out
				host.run("ip", "route", "add", "default", "via", "192.0.2.7")
				t.Cleanup(func() { host.run("ip", "route", "del", "default") })
			}
			c := rlRun(t, "--net="+mode, "-p", ":80", "-p", "[::1]:0:80", "-p", "127.0.0.1:0:53/udp", "-p", "[2001:db8::1]::53/udp")
			c.nginx("80", "[::]:80")
			c.await("tcp", 80)
			c.start(nil, "socat", "-T", "20", "UDP6-RECVFROM:53,ipv6only=0,fork", "EXEC:cat")
			c.await("udp", 53)
			stranger := beyond(t)
			all := strconv.Itoa(number(t, c.ports[0]))
			sees := func(from place, to string) string {
				t.Helper()
				return strings.Fields(from.run("curl", "-sS", "-m", "20", "http://"+to+"/who") + " - ")[0]
			}
			want := map[string]string{"192.0.2.1": "192.0.2.7"}
			if mode == "none" { // slirp4netns gives an IPv6 address when its router advertises
				want["[2001:db8::1]"] = "2001:db8::7"
			}
			for to, client := range want {
				if got := sees(stranger, to+":"+all); got != client {
					t.Errorf("to %s: the server sees %s, want %s", to, got, client)
				}
			}
			for _, to := range []string{"127.0.0.1:" + all, "[::1]:" + all, c.ports[1]} {
				if got := sees(host, to); net.ParseIP(got) == nil {
					t.Errorf("to %s: the server sees %q", to, got)
				}
			}
			for _, to := range []string{"UDP4:" + c.ports[2], "UDP6:" + c.ports[3]} {
				if got := host.run("sh", "-c", `echo hello | socat -t 20 - "$1,readbytes=6"`, "ask", to); got != "hello\n" {
					t.Errorf("to %s: %q", to, got)
				}
			}
			if to := "UDP6:" + c.ports[3]; stranger.run("sh", "-c", `echo hello | socat -t 20 - "$1,readbytes=6"`, "ask", to) != "hello\n" {
				t.Errorf("a stranger has no answer from %s", to)
			}
		})
	}
}

// A range is one port after the other, and all of it is free again when the container has ended.
func TestRunRange(t *testing.T) {
	leak.Watch(t)
	t.Run("container", func(t *testing.T) {
		c := rlRun(t, "--net=none", "-p", "127.0.0.1:18000-18002:80-82", "-p", "[::1]:18000:81")
		if want := []string{"127.0.0.1:18000", "127.0.0.1:18001", "127.0.0.1:18002", "[::1]:18000"}; !slices.Equal(c.ports, want) {
			t.Fatalf("ports %v, want %v", c.ports, want)
		}
		for p := 80; p <= 82; p++ {
			c.start(nil, "socat", fmt.Sprintf("TCP4-LISTEN:%d,fork,reuseaddr", p), fmt.Sprintf("SYSTEM:echo %d", p))
			c.await("tcp", p)
		}
		for at, want := range map[string]string{c.ports[0]: "80\n", c.ports[1]: "81\n", c.ports[2]: "82\n", c.ports[3]: "81\n"} {
			if got := string(readAll(t, dial(t, "tcp", at))); got != want {
				t.Errorf("%s: %q, want %q", at, got, want)
			}
		}
	})
	for _, at := range []string{"127.0.0.1:18000", "127.0.0.1:18002", "[::1]:18000"} { // rl-rm does not wait for the forwarder
		deadline := time.Now().Add(trial.Timeout)
		for !refused(at) && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		if !refused(at) {
			t.Errorf("%s is open still", at)
		}
	}
}

// When rl-run has returned, nothing has the ports any more; behind a command that took longer than 50 ms its stand-in does not wait for
// the forwarder, which ends then some ms later.
func TestRunGivesBack(t *testing.T) {
	leak.Watch(t)
	const at = "127.0.0.1:18180"
	late := 0
	for range 30 {
		trial.Run(t, "--userns=single", "--quiet", "--net=none", "-p", at+":80", trial.Tree(t, "busybox"), "true").OK(t)
		returned := time.Now()
		l, err := net.Listen("tcp", at)
		for err != nil && time.Since(returned) < leak.Patience {
			late++
			time.Sleep(20 * time.Millisecond)
			l, err = net.Listen("tcp", at)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
	if late > 10 {
		t.Errorf("the port was taken %d times behind 30 starts", late)
	}
	// A keeper does not wait for the forwarder; who wants the port next does.
	for range 10 {
		rlRunOnce(t, "--net=none", "-p", at+":80")
	}
}

// rlRunOnce starts a detached container and removes it.
func rlRunOnce(t *testing.T, options ...string) {
	t.Helper()
	args := append([]string{"-d", "--quiet", "--userns=single", "--name", "once"}, options...)
	trial.Run(t, append(args, trial.Tree(t, "busybox"), "sleep", "1000")...).OK(t)
	trial.Command{Path: trial.Bin(t, "rl-rm"), Args: []string{"-f", "once"}}.Run(t).OK(t)
}

// rl-ps shows the ports that a container has, with the numbers that it got.
func TestRunListed(t *testing.T) {
	leak.Watch(t)
	ps := func(options ...string) string {
		return trial.Command{Path: trial.Bin(t, "rl-ps"), Args: options}.Run(t).OK(t)
	}
	c := rlRun(t, "--net=none", "-p", "127.0.0.1:18400:80", "-p", "127.0.0.1:0:81")
	want := []string{"127.0.0.1:18400:80/tcp", c.ports[1] + ":81/tcp"}
	var list []struct{ Ports []string }
	if text := ps("--json"); json.Unmarshal([]byte(text), &list) != nil || len(list) != 1 || !slices.Equal(list[0].Ports, want) {
		t.Errorf("%s: want the ports %q", text, want)
	}
	if text := ps(); number(t, c.ports[1]) == 0 || !strings.Contains(text, strings.Join(want, ", ")) {
		t.Errorf("%s: want the ports %q", text, want)
	}
	trial.Command{Path: trial.Bin(t, "rl-stop"), Args: []string{"-t", "0", "ported"}}.Run(t).OK(t)
	if text := ps("-a", "--json"); json.Unmarshal([]byte(text), &list) != nil || len(list) != 1 || len(list[0].Ports) != 0 {
		t.Errorf("at its end: %s", text)
	}
}

func TestRunRefused(t *testing.T) {
	leak.Watch(t)
	l, err := net.Listen("tcp", "127.0.0.1:18080")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	tree := trial.Tree(t, "busybox")
	run := func(options ...string) trial.Result {
		t.Helper()
		return trial.Run(t, append(append([]string{"--userns=single", "--net=none"}, options...), tree, "echo", "started")...)
	}
	name, err := os.ReadFile("/proc/self/comm") // port.test, or the name that scripts/test has for it
	if err != nil {
		t.Fatal(err)
	}
	busy := fmt.Sprintf("18080/tcp: in use by %s (process %d)", strings.TrimSpace(string(name)), os.Getpid())
	for _, p := range []string{"18080:80", "127.0.0.1:18080:80", "127.0.0.1:18079-18081:79-81"} {
		r := run("-p", p)
		r.Fails(t, 125, busy, "rl-run: hint: -p ", "takes a free port")
		if strings.Contains(r.Stdout, "started") {
			t.Errorf("-p %s: the command was started", p)
		}
	}
	rlRun(t, "--net=none", "-p", "18082:80")
	run("-p", "18082:80").Fails(t, 125, "18082/tcp: in use by a container of yours, see rl-ps (step 1)", "takes a free port")
	run("-p", "192.0.2.77:0:80").Fails(t, 125, "192.0.2.77:0/tcp: not an address of this host", "rl-run: hint: ")
	run("-p", "80", "--net=host").Fails(t, 125, "-p")
	// Root of the namespaces may have low ports, unless it is less than that.
	program := trial.Bin(t, "rl-run")
	r := trial.Command{Path: trial.NeedTool(t, "setpriv"), Args: []string{
		"--bounding-set=-net_bind_service", "--inh-caps=-all", program,
		"--userns=single", "--net=none", "-p", "80:80", tree, "true",
	}}.Run(t)
	r.Fails(t, 125, "bind 0.0.0.0:80/tcp: ports below 1024 are the administrator's", "-p 8080:80", "net.ipv4.ip_unprivileged_port_start=80", "--listen-fd")
}

// A forwarder that dies is started again, with the same sockets.
func TestRunForwarderAgain(t *testing.T) {
	leak.Watch(t)
	c := rlRun(t, "--net=none", "-p", "127.0.0.1:0:80")
	c.nginx("80")
	c.await("tcp", 80)
	host := place{t: t, enter: []string{"env"}}
	url := "http://" + c.ports[0] + "/who"
	if got := host.run("curl", "-sS", "-m", "20", url); got == "" {
		t.Fatal("not served")
	}
	was := forwarder(t)
	if err := unix.Kill(was, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := host.run("curl", "-sS", "-m", "20", "--retry", "20", "--retry-all-errors", "--retry-delay", "1", url); got == "" {
		t.Error("not served by another")
	}
	if now := forwarder(t); now == was {
		t.Errorf("the forwarder is %d still", now)
	}
}

// forwarder is the process of this user that forwards ports.
func forwarder(t *testing.T) int {
	t.Helper()
	pids := forwarders(t)
	if len(pids) == 0 {
		t.Fatal("no forwarder runs")
	}
	return pids[0]
}

// forwarders are those in namespaces below this one.
func forwarders(t *testing.T) (pids []int) {
	t.Helper()
	all, err := leak.Processes()
	if err != nil {
		t.Fatal(err)
	}
	own, _ := os.Readlink("/proc/self/ns/user")
	for _, p := range all {
		path := "/proc/" + strconv.Itoa(p.PID)
		name, _ := os.ReadFile(path + "/comm") // it may be gone
		user, err := os.Readlink(path + "/ns/user")
		if err == nil && user != own && string(name) == "rl-netd\n" {
			pids = append(pids, p.PID)
		}
	}
	return pids
}
