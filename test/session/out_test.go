package session

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/session"
)

// dial prints what a server says.
func dial(args []string) error {
	c, err := net.DialTimeout("tcp", args[0], 2*time.Second)
	if err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, c)
	return err
}

// server greets at an address of the machine that is not its loopback: containers
// reach it by way of the driver, and no packet leaves the machine.
func server(t *testing.T) (address, loopback string) {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.To4() != nil && !n.IP.IsLoopback()
	})
	if i < 0 {
		trial.Skip(t, "the machine has no IPv4 address but its loopback's")
	}
	l, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "hello\n")
			_ = c.Close()
		}
	}()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	return net.JoinHostPort(all[i].(*net.IPNet).IP.String(), port), port
}

// driver finds the process that is the session's way out.
func driver(t *testing.T) (pid int) {
	t.Helper()
	start := time.Now()
	s, err := session.Open(dir(t))
	// One that has just been started again is written down when it is ready, which is behind its first packets.
	for ; err == nil && s.Upstream == "" && time.Since(start) < 10*time.Second; time.Sleep(20 * time.Millisecond) {
		s.Close()
		s, err = session.Open(dir(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if s.Upstream == "" {
		t.Fatalf("no way out: %s", s.Problem)
	}
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(20 * time.Millisecond) {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", s.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", s.Pid, task.Name()))
			if err != nil {
				continue
			}
			for child := range strings.FieldsSeq(string(text)) {
				name, err := os.ReadFile("/proc/" + child + "/comm")
				state, _ := os.ReadFile("/proc/" + child + "/stat")
				if err == nil && strings.HasPrefix(string(name), s.Upstream[:5]) && !bytes.Contains(state, []byte(") Z ")) {
					pid, _ := strconv.Atoi(child)
					return pid
				}
			}
		}
	}
	t.Fatal("no driver runs")
	return 0
}

// Containers get out by the session's driver, which is started again when it dies, and
// do not get to the machine's loopback by it.
func TestOut(t *testing.T) {
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		trial.Skip(t, "the test needs /dev/net/tun: %v", err)
	}
	begin(t)
	address, port := server(t)
	rlnet(t, "create", "a").OK(t)
	rlnet(t, "create", "in", "--internal").OK(t)
	a, in, dialer := join(t, "a"), join(t, "in"), link(t, "dial")
	if got := a.run(dialer, address).OK(t); got != "hello" {
		t.Errorf("the server says %q", got)
	}
	if in.run(dialer, address).Code == 0 {
		t.Error("an internal network reaches the machine")
	}
	s, err := session.Open(dir(t))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	// Where the driver's own gateway stands, pasta and slirp4netns map the machine's
	// loopback unless told otherwise.
	way := (&node{t: t, pid: s.Pid}).run("ip", "-4", "route", "show", "default").OK(t)
	gateway := strings.Fields(way)[2]
	for _, host := range []string{gateway, "127.0.0.1"} {
		if a.run(dialer, net.JoinHostPort(host, port)).Code == 0 {
			t.Errorf("the machine's loopback is reached by %s", host)
		}
	}

	was := driver(t)
	if err := unix.Kill(was, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if a.run(dialer, address).Stdout == "hello\n" {
			break
		}
		if time.Since(start) > 10*time.Second {
			t.Fatal("there is no way out any more")
		}
	}
	if now := driver(t); now == was {
		t.Errorf("the driver is %d still", now)
	}
}
