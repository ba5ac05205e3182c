package session

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/session"
)

// A session that is written down from before a reboot is none, whatever its process number means by now.
func TestHealsAfterReboot(t *testing.T) {
	begin(t)
	rlnet(t, "create", "db").OK(t)
	d := dir(t)
	s, err := session.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := unix.PidfdSendSignal(s.Pidfd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < trial.Timeout; time.Sleep(5 * time.Millisecond) {
		s, err := session.Open(d)
		if errors.Is(err, session.ErrNone) {
			break
		}
		if err == nil {
			s.Close()
		}
	}
	state := s.State
	state.BootID, state.Pid = "00000000-0000-0000-0000-000000000000", os.Getpid()
	if state.StartTime, err = session.StartTime(state.Pid); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteState(state); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, "ip addr show dev eth0", "--net=db").OK(t); !strings.Contains(got, "inet 10.") {
		t.Errorf("the link: %q", got)
	}
}

// Root of a container with every capability for its network is held to its own address on a named network, too.
func TestForgedByContainer(t *testing.T) {
	begin(t)
	rlnet(t, "create", "db").OK(t)
	serve(t, "pg", "--net=db")
	serve(t, "victim", "--net=db")
	pg, victim := address(t, "pg").Addr().String(), address(t, "victim").Addr().String()
	got := tree(t, `
		own=$(ip -o -4 addr show dev eth0 | grep -o 'inet [^/]*' | cut -c6-)
		ping -c 1 -W 5 -I $own `+pg+` >/dev/null && echo own passes
		ip addr add `+victim+`/32 dev eth0 && ping -c 1 -W 1 -I `+victim+" "+pg+` >/dev/null || echo another fails
		ip link set eth0 address 02:00:00:00:00:01 && ping -c 1 -W 1 -I $own `+pg+` >/dev/null || echo hardware fails`,
		"--net=db", "--cap-add=NET_RAW,NET_ADMIN").OK(t)
	if got != "own passes\nanother fails\nhardware fails" {
		t.Errorf("%q", got)
	}
	// Nobody was taken in.
	if got := tree(t, fetch("victim"), "--net=db").OK(t); got != "I am victim" {
		t.Errorf("%q", got)
	}
}

// rl-net stop names who is in the way, and leaves all as it is.
func TestStopRefused(t *testing.T) {
	begin(t)
	rlnet(t, "start").OK(t)
	rlnet(t, "create", "db").OK(t)
	serve(t, "pg", "--net=db")
	serve(t, "apart", "--net=none")
	rlnet(t, "stop").Fails(t, 125, "stop the session: container pg is on network db")
	if got := tree(t, fetch("pg"), "--net=db").OK(t); got != "I am pg" {
		t.Errorf("after the refusal: %q", got)
	}
	var list []struct{ State string }
	text := rl(t, "rl-inspect", "pg", "apart").OK(t)
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 2 || list[0].State != "running" || list[1].State != "running" {
		t.Errorf("%v: %s", err, text)
	}
}

// A session may be stopped as soon as its last container has ended, whose helpers are processes of it for some milliseconds more.
func TestStopsBehindContainers(t *testing.T) {
	begin(t)
	for range 5 {
		rlnet(t, "start").OK(t)
		tree(t, "exec sleep 1000", "-d", "--name=one", "--net=none", "-p", "127.0.0.1:0:80").OK(t)
		rl(t, "rl-rm", "-f", "one").OK(t)
		rlnet(t, "stop").OK(t)
		rlnet(t, "start").OK(t)
		tree(t, "true", "--net=slirp4netns").OK(t)
		rlnet(t, "stop").OK(t)
	}
	rlnet(t, "start").OK(t)
	tree(t, "exec sleep 1000", "-d", "--name=one", "--net=none").OK(t)
	rlnet(t, "stop").Fails(t, 125, "stop the session: 2 processes are in it")
	rl(t, "rl-rm", "-f", "one").OK(t)
}

// The session and its driver keep nothing open that its caller has, like the lock of a script.
func TestKeepsNothingOpen(t *testing.T) {
	begin(t)
	got := trial.Command{Path: "/bin/sh", Args: []string{
		"-c", `exec 9>"$1"; flock 9; "$2" create db && exec 9>&- && flock -n "$1" echo got`, "sh", t.TempDir() + "/lock", trial.Bin(t, "rl-net"),
	}}.Run(t).OK(t)
	if got != "db\ngot" {
		t.Errorf("%q", got)
	}
}
