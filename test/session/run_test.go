package session

import (
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/net/usermode"
)

// rl calls a command by its name.
func rl(t *testing.T, name string, args ...string) trial.Result {
	t.Helper()
	return trial.Command{Path: trial.Bin(t, name), Args: args}.Run(t)
}

// tree runs rl-run with options, the busybox tree and a script.
func tree(t *testing.T, script string, options ...string) trial.Result {
	t.Helper()
	return rl(t, "rl-run", append(append(options, trial.Tree(t, "busybox")), "sh", "-c", script)...)
}

// serve starts a container that serves a page with its own name.
func serve(t *testing.T, name string, options ...string) {
	t.Helper()
	script := "mkdir /www && echo I am " + name + " >/www/index.html && exec httpd -f -p 80 -h /www"
	tree(t, script, append([]string{"-d", "--name", name}, options...)...).OK(t)
	t.Cleanup(func() {
		rl(t, "rl-stop", "-t", "0", name).OK(t)
		rl(t, "rl-rm", name).OK(t)
	})
}

// get fetches a page, and tries for a while: a server needs time to start.
const get = "for i in 1 2 3 4 5 6 7 8 9 10; do timeout 2 wget -qO- http://%/ && exit; sleep 0.2; done; exit 1"

func fetch(from string) string { return strings.ReplaceAll(get, "%", from) }

func address(t *testing.T, name string) netip.Prefix {
	t.Helper()
	var list []struct {
		Network struct{ Address netip.Prefix }
	}
	if err := json.Unmarshal([]byte(rl(t, "rl-inspect", name).OK(t)), &list); err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	return list[0].Network.Address
}

func TestRunOnNetwork(t *testing.T) {
	begin(t)
	rlnet(t, "create", "db").OK(t)
	rlnet(t, "create", "web").OK(t)
	rlnet(t, "create", "closed", "--internal").OK(t)
	serve(t, "pg", "--net=db", "-p", "127.0.0.1:0:80")
	if got := tree(t, fetch("pg"), "--net=db").OK(t); got != "I am pg" {
		t.Errorf("by its name: %q", got)
	}
	at := address(t, "pg")
	if got := tree(t, fetch(at.Addr().String()), "--net=db", "--cap-drop=ALL").OK(t); got != "I am pg" {
		t.Errorf("by its address: %q", got)
	}
	for _, other := range []string{"web", "closed"} {
		r := tree(t, "timeout 2 wget -qO- http://"+at.Addr().String()+"/", "--net="+other)
		if r.Code == 0 {
			t.Errorf("reached from network %s: %q", other, r.Stdout)
		}
	}
	if r := tree(t, "ip route", "--net=closed"); strings.Contains(r.OK(t), "default") {
		t.Errorf("an internal network leads out: %q", r.Stdout)
	}
	var list []struct{ Network struct{ Ports []string } }
	if err := json.Unmarshal([]byte(rl(t, "rl-inspect", "pg").OK(t)), &list); err != nil || len(list[0].Network.Ports) != 1 {
		t.Fatal(list, err)
	}
	published := strings.TrimSuffix(list[0].Network.Ports[0], ":80/tcp")
	if got := tree(t, fetch(published), "--net=host").OK(t); got != "I am pg" {
		t.Errorf("by its published port %s: %q", published, got)
	}
	rlnet(t, "rm", "db").Fails(t, 125, "container pg is on it")
	if got := rl(t, "rl-exec", "pg", "hostname").OK(t); got != "pg" {
		t.Errorf("rl-exec: %q", got)
	}
}

// A server that listens at its own name is reached by its neighbours.
func TestOwnName(t *testing.T) {
	begin(t)
	rlnet(t, "create", "db").OK(t)
	got := tree(t, "ping -4 -c 1 -w 5 web | grep -o 'web ([^)]*)'; ip -o -4 addr show eth0 | grep -o 'inet [^/]*'", "--net=db", "-h", "web", "--cap-add=NET_RAW").OK(t)
	if by, at, _ := strings.Cut(got, "\n"); by == "" || by != "web ("+strings.TrimPrefix(at, "inet ")+")" {
		t.Errorf("it is %q by its name, at %q", by, at)
	}
}

func TestRunOnNoSuchNetwork(t *testing.T) {
	begin(t)
	tree(t, "true", "--net=nothing").Fails(t, 125, "--net=nothing: there is no such network")
	rlnet(t, "create", "db").OK(t)
	tree(t, "true", "--net=nothing").Fails(t, 125, "--net=nothing: there is no such network")
	tree(t, "true", "--net=db", "--uidmap", "0:100:5").Fails(t, 125, "100")
	serve(t, "one", "--net=none")
	tree(t, "true", "--net=db", "--pid=container:one").Fails(t, 125, "--net=db: the container is in the user namespace of another")
}

// A network that is written down is there again after the session was killed. A socket of systemd's comes through that:
// the session's ids are mapped by programs that may not have it.
func TestRunHealsSession(t *testing.T) {
	begin(t)
	rlnet(t, "create", "db").OK(t)
	s, err := session.Open(dir(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.PidfdSendSignal(s.Pidfd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for start := time.Now(); time.Since(start) < 5*time.Second; time.Sleep(5 * time.Millisecond) {
		s, err := session.Open(dir(t))
		if errors.Is(err, session.ErrNone) {
			break
		}
		if err == nil {
			s.Close()
		}
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "ours"), os.NewFile(uintptr(ends[1]), "theirs")
	defer ours.Close()
	c := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh", trial.Bin(t, "rl-run"), "--listen-fd", "--net=db",
		trial.Tree(t, "busybox"), "sh", "-c", "ip addr show dev eth0 >&3")
	c.ExtraFiles, c.Stderr = []*os.File{theirs}, os.Stderr
	err = c.Run()
	_ = theirs.Close()
	if err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(ours); !strings.Contains(string(got), "inet 10.") {
		t.Errorf("the link: %q, %v", got, err)
	}
}

// While a session runs, containers nest in it: their maps are the same as without, and auto
// is its bridge, on which no container reaches another.
func TestRunInSession(t *testing.T) {
	begin(t)
	const maps = "cat /proc/self/uid_map /proc/self/gid_map | wc -l; id; touch /x; chown 7:7 /x; stat -c %u:%g /x"
	cold := tree(t, maps, "--net=none").OK(t)
	rlnet(t, "start").OK(t)
	if warm := tree(t, maps, "--net=none").OK(t); warm != cold {
		t.Errorf("inside a session: %q, else %q", warm, cold)
	}
	if got := tree(t, "ls /sys/class/net", "--net=none").OK(t); got != "lo" {
		t.Errorf("with --net=none: %q", got)
	}
	// a file that a nested container makes belongs to the same id on the host
	serve(t, "one")
	at := address(t, "one")
	if !netip.MustParsePrefix("10.0.0.0/8").Contains(at.Addr()) {
		t.Errorf("address %v", at)
	}
	if r := tree(t, "timeout 2 wget -qO- http://"+at.Addr().String()+"/"); r.Code == 0 {
		t.Errorf("a container reaches another: %q", r.Stdout)
	}
	rlnet(t, "stop").Fails(t, 125, "stop the session")
}

// The host has a name on the bridges, too, but for internal ones.
func TestRunReachesHost(t *testing.T) {
	begin(t)
	rlnet(t, "start").OK(t)
	rlnet(t, "create", "db").OK(t)
	rlnet(t, "create", "closed", "--internal").OK(t)
	s, err := session.Open(dir(t))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	host := usermode.Outward()
	if !host.IsValid() || s.Upstream == "" {
		trial.Skip(t, "the machine has no way out: address %v, %s", host, s.Problem)
	}
	_, port := server(t)
	for network, want := range map[string]string{session.Auto: "hello", "db": "hello", "closed": ""} {
		got := tree(t, "nc -w 5 host.rl-run.internal "+port+" </dev/null", "--net="+network)
		if strings.TrimSpace(got.Stdout) != want {
			t.Errorf("--net=%s: %q, want %q; %s", network, got.Stdout, want, got.Stderr)
		}
	}
}

// A session that nobody can find any more ends by itself.
func TestForgotten(t *testing.T) {
	begin(t)
	rlnet(t, "create", "db").OK(t)
	s, err := session.Open(dir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.RemoveAll(filepath.Dir(string(dir(t)))); err != nil {
		t.Fatal(err)
	}
	ended := []unix.PollFd{{Fd: int32(s.Pidfd), Events: unix.POLLIN}}
	for deadline := time.Now().Add(time.Minute); ; {
		n, err := unix.Poll(ended, 1000)
		if n == 1 {
			break
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the session goes on")
		}
	}
}
