package port

import (
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// A forwarder of ports that is killed, at any moment of a start or after it, is started again, and serves.
func TestKilledAtRandom(t *testing.T) {
	trial.Bin(t, "rl-netd") // which forwards
	leak.Watch(t)
	tree := trial.Tree(t, "busybox")
	const serve = `mkdir /www; echo served >/www/index.html; exec httpd -f -p 80 -h /www`
	args := []string{"-d", "--quiet", "--userns=single", "--net=none", "--name", "ported", "-p", "127.0.0.1:18090:80", tree, "sh", "-c", serve}
	window := leak.Slow(100 * time.Millisecond) // in which a start is done on an idle machine
	for i := range trial.Mass(30) {
		c := trial.Command{Args: args}.Start(t)
		time.Sleep(rand.N(window))
		killForwarder(t)
		c.Wait().OK(t)
		got := ""
		for end := time.Now().Add(trial.Timeout); got != "served\n" && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			got = page("127.0.0.1:18090")
		}
		if got != "served\n" {
			t.Fatalf("kill %d: it does not serve: %q", i, got)
		}
		trial.Command{Path: trial.Bin(t, "rl-rm"), Args: []string{"-f", "ported"}}.Run(t).OK(t)
		leak.Eventually(t, trial.Timeout, "the port is free", func() bool { return refused("127.0.0.1:18090") })
	}
}

// page is what a server has to say, or nothing.
func page(address string) string {
	c, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return ""
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := c.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return ""
	}
	b := make([]byte, 4096)
	text := ""
	for {
		n, err := c.Read(b)
		text += string(b[:n])
		if err != nil {
			_, body, _ := strings.Cut(text, "\r\n\r\n")
			return body
		}
	}
}

// killForwarder kills the process that forwards ports, as soon as there is one.
func killForwarder(t *testing.T) {
	t.Helper()
	leak.Eventually(t, trial.Timeout, "a forwarder is there", func() bool {
		pids := forwarders(t)
		return len(pids) > 0 && unix.Kill(pids[0], unix.SIGKILL) == nil
	})
}
