package session

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/session"
)

// What becomes of the way out is written down as it happens, and who starts a container is told: one that is missing, one that
// comes later, and one that ends for good.
func TestWayOutIsTold(t *testing.T) {
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		trial.Skip(t, "the test needs /dev/net/tun: %v", err)
	}
	program := trial.NeedTool(t, "slirp4netns")
	begin(t)
	path := t.TempDir()
	for _, name := range []string{"newuidmap", "newgidmap"} {
		if err := os.Symlink(trial.NeedTool(t, name), path+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	upstream := func(want bool) *session.Session {
		t.Helper()
		for until := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			s, err := session.Open(dir(t))
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
			if (s.Upstream != "") == want && (s.Problem == "") == want {
				return s
			}
			if time.Now().After(until) {
				t.Fatalf("upstream %q, problem %q", s.Upstream, s.Problem)
			}
		}
	}
	const note = "rl-run: note: network db has no way out: "
	told := func(r trial.Result, want bool) {
		t.Helper()
		if r.OK(t); strings.Contains(r.Stderr, note) != want {
			t.Errorf("%q", r.Stderr)
		}
	}
	told(trial.Command{Path: trial.Bin(t, "rl-net"), Args: []string{"create", "db"}, Env: []string{"PATH=" + path}}.Run(t), true)
	if r := rlnet(t, "create", "back", "--internal"); strings.Contains(r.Stderr, "note") {
		t.Errorf("an internal network: %q", r.Stderr)
	}
	told(rlnet(t, "ls"), true)
	told(tree(t, "true", "--net=db"), true)
	if got := tree(t, "ip -o -4 addr show eth0").OK(t); !strings.Contains(got, "inet ") || strings.Contains(got, "inet 10.231.") {
		t.Errorf("auto has no driver of its own: %q", got)
	}

	if err := os.Symlink(program, path+"/slirp4netns"); err != nil {
		t.Fatal(err)
	}
	upstream(true)
	told(rlnet(t, "ls"), false)
	told(tree(t, "true", "--net=db"), false)

	if err := os.Remove(path + "/slirp4netns"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(driver(t), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if s := upstream(false); !strings.Contains(s.Problem, "slirp4netns") {
		t.Errorf("problem %q", s.Problem)
	}
	time.Sleep(time.Second) // it stays so
	upstream(false)
	told(tree(t, "true", "--net=db"), true)
}

// Whoever makes a network as the last one is removed gets it in the next session, and a container that starts as the session ends
// starts without it.
func TestSessionEndsMeanwhile(t *testing.T) {
	begin(t)
	var both sync.WaitGroup
	for range 15 {
		rlnet(t, "create", "a").OK(t)
		both.Go(func() { rlnet(t, "rm", "a").OK(t) })
		rlnet(t, "create", "b").OK(t)
		both.Wait()
		rlnet(t, "rm", "b").OK(t)
	}
	stop := make(chan struct{})
	both.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			rlnet(t, "start").OK(t)
			rlnet(t, "stop") // refuses while a container lives in it
		}
	})
	for range 30 {
		tree(t, "true", "--net=none").OK(t)
		tree(t, "true").OK(t)
	}
	close(stop)
	both.Wait()
	rlnet(t, "start").OK(t) // which the end of the test stops
}
