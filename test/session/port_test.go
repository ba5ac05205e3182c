package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/session"
)

// published is where on the host port 80 of a container is.
func published(t *testing.T, name string) string {
	t.Helper()
	var list []struct{ Network struct{ Ports []string } }
	if err := json.Unmarshal([]byte(rl(t, "rl-inspect", name).OK(t)), &list); err != nil || len(list) != 1 || len(list[0].Network.Ports) != 1 {
		t.Fatal(list, err)
	}
	return strings.TrimSuffix(list[0].Network.Ports[0], ":80/tcp")
}

// says waits for the page of a server.
func says(t *testing.T, at, want string) {
	t.Helper()
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	got := ""
	for end := time.Now().Add(trial.Timeout); got != want && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		r, err := client.Get("http://" + at + "/")
		if err != nil {
			got = err.Error()
			continue
		}
		b, _ := io.ReadAll(r.Body) // what is cut short is not what is wanted
		_ = r.Body.Close()
		got = strings.TrimSpace(string(b))
	}
	if got != want {
		t.Errorf("at %s: %q, want %q", at, got, want)
	}
}

// Each container of a session has ports of its own, on whatever network it is, and keeps them when the session is killed; those of
// the session that heals have theirs beside them.
func TestPortsOfMany(t *testing.T) {
	begin(t)
	rlnet(t, "create", "db").OK(t)
	rlnet(t, "create", "closed", "--internal").OK(t)
	ports := map[string]string{}
	add := func(name, network string) {
		serve(t, name, "--net="+network, "-p", "127.0.0.1:0:80")
		ports[name] = published(t, name)
	}
	all := func(when string) {
		t.Helper()
		seen := map[string]bool{}
		for name, at := range ports {
			if seen[at] {
				t.Errorf("%s: two have %s", when, at)
			}
			seen[at] = true
			says(t, at, "I am "+name)
		}
	}
	for i := range 3 {
		add(fmt.Sprintf("db%d", i), "db")
	}
	add("inner", "closed")
	add("other", "auto")
	all("in one session")

	s, err := session.Open(dir(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.PidfdSendSignal(s.Pidfd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	s.Close()
	leak.Eventually(t, trial.Timeout, "the session has ended", func() bool {
		s, err := session.Open(dir(t))
		if err == nil {
			s.Close()
		}
		return errors.Is(err, session.ErrNone)
	})
	all("when the session was killed")
	add("late", "db") // which heals it
	add("later", "closed")
	all("in the session that was made anew")
	r := rl(t, "rl-run", "--net=db", "-p", ports["late"]+":80", trial.Tree(t, "busybox"), "true")
	r.Fails(t, 125, ports["late"]+"/tcp: in use by a container of yours")
}
