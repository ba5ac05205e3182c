package session

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/runtimedir"
	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/session"
)

// begin watches for what is left, and stops the session behind the test.
func begin(t *testing.T) {
	t.Helper()
	trial.NeedUser(t)
	trial.NeedTool(t, "newuidmap")
	trial.Bin(t, "rl-netd")
	leak.Watch(t)
	t.Cleanup(func() {
		networks, _ := dir(t).Networks()
		for _, n := range networks {
			rlnet(t, "rm", n.Name).OK(t)
		}
		rlnet(t, "stop").OK(t)
	})
}

func rlnet(t *testing.T, args ...string) trial.Result {
	t.Helper()
	return trial.Command{Path: trial.Bin(t, "rl-net"), Args: args}.Run(t)
}

// dir is the session's state directory, which may not be there.
func dir(t *testing.T) session.Dir {
	t.Helper()
	fd, path, err := runtimedir.New(os.Getenv("XDG_RUNTIME_DIR"), os.Geteuid()).Sub("net", false)
	if err != nil {
		return session.DirIn(os.Getenv("XDG_RUNTIME_DIR") + "/rl-run")
	}
	_ = unix.Close(fd)
	return session.Dir(path)
}

func TestNamesAndPings(t *testing.T) {
	begin(t)
	rlnet(t, "create", "db").OK(t)
	pg := join(t, "db", "pg", "postgres")
	web := join(t, "db", "web")
	if pg.port.Number == web.port.Number {
		t.Fatalf("both have port %d", pg.port.Number)
	}
	address, address6 := pg.port.Address.Addr().String(), pg.port.Address6.Addr().String()
	for _, name := range []string{"pg", "PG", "postgres", "pg.db"} {
		if got := web.dig(name); !slices.Equal(got, []string{address}) {
			t.Errorf("%s is %v, want %s", name, got, address)
		}
	}
	if got := web.dig("+tcp", "pg", "AAAA"); !slices.Equal(got, []string{address6}) {
		t.Errorf("pg is %v, want %s", got, address6)
	}
	if got := web.dig("-x", address); !slices.Equal(got, []string{"pg.", "postgres."}) {
		t.Errorf("%s is %v", address, got)
	}
	if got := web.dig("-x", address6); !slices.Equal(got, []string{"pg.", "postgres."}) {
		t.Errorf("%s is %v", address6, got)
	}
	for _, a := range []string{address, address6, web.port.DNS.String()} {
		if !web.pings(a) {
			t.Errorf("%s does not answer", a)
		}
	}
	// who comes later is known at once
	late := join(t, "db", "late")
	if got := web.dig("late"); len(got) != 1 || got[0] != late.port.Address.Addr().String() {
		t.Errorf("late is %v", got)
	}
	// and who goes is forgotten, and his address free
	pg.end()
	gone := func() bool {
		names, err := dir(t).Names("db")
		return err == nil && names[pg.port.Number] == nil
	}
	for start := time.Now(); !gone(); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			t.Fatal("the names of a node that has ended stay")
		}
	}
}

func TestMessages(t *testing.T) {
	begin(t)
	rlnet(t, "create").Fails(t, 125, "NAME is missing")
	rlnet(t, "create", "a/b").Fails(t, 125, `network name "a/b"`)
	rlnet(t, "create", "host").Fails(t, 125, "--net=host means something else")
	rlnet(t, "create", "a", "--subnet", "10.0.0.0/8").Fails(t, 125, "--subnet", "20 to 29")
	rlnet(t, "create", "a", "--subnet", "x").Fails(t, 125, `--subnet "x"`)
	rlnet(t, "crate").Fails(t, 125, "did you mean create?")
	rlnet(t, "rm", "nothing").Fails(t, 125, "remove network nothing: there is none of this name")
	if got := rlnet(t, "rm", "-f", "nothing").OK(t); got != "" {
		t.Errorf("rm -f: %q", got)
	}
	rlnet(t, "create", "a", "--subnet", "10.77.0.0/28").OK(t)
	rlnet(t, "create", "a").Fails(t, 125, "create network a: it exists")
	rlnet(t, "create", "b", "--subnet", "10.77.0.0/24").Fails(t, 125, "overlaps 10.77.0.0/28 of network a")
	rlnet(t, "rm", "aa").Fails(t, 125, "there is none")
	if out := rlnet(t, "ls").OK(t); !strings.Contains(out, "10.77.0.0/28") || strings.Contains(out, session.Auto) {
		t.Errorf("ls: %s", out)
	}
	if got := rlnet(t, "ls", "-q").OK(t); got != "a" {
		t.Errorf("ls -q: %q", got)
	}
	n := join(t, "a", "one")
	rlnet(t, "rm", "-f", "a").Fails(t, 125, "remove network a: container one is on it")
	rlnet(t, "stop").Fails(t, 125, "stop the session: container one is on network a")
	if out := rlnet(t, "inspect", "a").OK(t); !strings.Contains(out, `"one"`) || !strings.Contains(out, n.port.Address.Addr().String()) {
		t.Errorf("inspect: %s", out)
	}
}

func TestEndsWithItsLastNetwork(t *testing.T) {
	begin(t)
	alive := func() bool {
		s, err := session.Open(dir(t))
		if err == nil {
			s.Close()
		} else if !errors.Is(err, session.ErrNone) {
			t.Error(err)
		}
		return err == nil
	}
	rlnet(t, "create", "a").OK(t)
	rlnet(t, "create", "b").OK(t)
	rlnet(t, "rm", "a").OK(t)
	if !alive() {
		t.Error("the session ended with a network that was not the last")
	}
	rlnet(t, "rm", "b").OK(t)
	if alive() {
		t.Error("the session stays without a network")
	}
	rlnet(t, "start").OK(t)
	rlnet(t, "create", "a").OK(t)
	rlnet(t, "rm", "a").OK(t)
	if !alive() {
		t.Error("a session that was started ended with its last network")
	}
}

// What is killed is made anew, with its networks.
func TestHeals(t *testing.T) {
	begin(t)
	rlnet(t, "create", "a").OK(t)
	rlnet(t, "create", "b", "--internal").OK(t)
	old, err := session.Open(dir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	lost := join(t, "a", "lost")
	if err := unix.PidfdSendSignal(old.Pidfd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		s, err := session.Open(dir(t))
		if errors.Is(err, session.ErrNone) {
			break
		}
		if err == nil {
			s.Close()
		}
		if time.Since(start) > 5*time.Second {
			t.Fatalf("the session lives: %v", err)
		}
	}
	if out := rlnet(t, "ls").OK(t); strings.Count(out, "down") != 2 {
		t.Errorf("ls: %s", out)
	}
	lost.end()
	rlnet(t, "create", "c").OK(t)
	for i, name := range []string{"a", "b", "c"} {
		s, err := session.Open(dir(t))
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		n, ok := s.Network(name)
		if was, _ := old.Network(name); !ok || i < 2 && (n.Subnet != was.Subnet || n.Internal != was.Internal || n.Subnet6 != was.Subnet6) {
			t.Errorf("network %s is %+v", name, n)
		}
		x, y := join(t, name, "x"), join(t, name, "y")
		if got := y.dig("lost"); name == "a" && len(got) != 0 {
			t.Errorf("a node of the old session is known: %v", got)
		}
		if got := y.dig("x"); len(got) != 1 || !y.pings(got[0]) {
			t.Errorf("network %s: x is %v", name, got)
		}
		x.end()
		y.end()
	}
}

// A pid that means another process by now, another boot, text cut short: none of it
// is taken for a session.
func TestStateIsAHint(t *testing.T) {
	begin(t)
	rlnet(t, "create", "a").OK(t)
	d := dir(t)
	s, err := session.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, change := range map[string]func(*session.State){
		"boot":     func(s *session.State) { s.BootID = "x" },
		"start":    func(s *session.State) { s.StartTime++ },
		"pid":      func(s *session.State) { s.Pid = os.Getpid() },
		"none":     func(s *session.State) { s.Pid = 0 },
		"userns":   func(s *session.State) { s.UserNS++ },
		"impostor": func(s *session.State) { s.Pid = os.Getpid(); s.StartTime, _ = session.StartTime(s.Pid) },
	} {
		state := s.State
		change(&state)
		if err := d.WriteState(state); err != nil {
			t.Fatal(err)
		}
		if x, err := session.Open(d); err == nil {
			x.Close()
			t.Errorf("%s: it is taken for a session", name)
		}
	}
	if err := os.WriteFile(string(d)+"/session", []byte("pid "+strconv.Itoa(s.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := session.Open(d); !errors.Is(err, session.ErrNone) {
		t.Errorf("cut short: %v", err)
	}
	if err := d.WriteState(s.State); err != nil {
		t.Fatal(err)
	}
}

// Many at once begin their search at the same number.
func TestManyAtOnce(t *testing.T) {
	begin(t)
	rlnet(t, "create", "a", "--subnet", "10.78.0.0/28").OK(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[int]bool{}
	nodes := make([]*node, 12)
	for i := range nodes {
		wg.Go(func() {
			n, err := tryJoin(t, "a")
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			nodes[i] = n
			if seen[n.port.Number] {
				t.Errorf("port %d twice", n.port.Number)
			}
			seen[n.port.Number] = true
		})
	}
	wg.Wait()
	for _, n := range nodes {
		if n != nil {
			n.end()
		}
	}
}
