package port

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestServersSeeTheClient(t *testing.T) {
	trial.NeedTool(t, "curl")
	leak.Watch(t)
	c := container(t)
	c.nginx("80", "[::]:80")
	c.await("tcp", 80)
	bound, _ := c.publish(":80")
	stranger := beyond(t)
	host := place{t: t, enter: []string{"env"}}
	for _, x := range []struct {
		from place
		to   string
		want string // the client and the server, as nginx sees them
	}{
		{stranger, "192.0.2.1", "192.0.2.7 10.0.2.100"},
		{stranger, "192.0.2.9", "192.0.2.7 10.0.2.100"},
		{stranger, "2001:db8::1", "2001:db8::7 fd00::100"},
		{host, "192.0.2.1", "192.0.2.1 10.0.2.100"},
		{host, "2001:db8::1", "2001:db8::1 fd00::100"},
		// Not 127.0.0.1: that would be a process of the container.
		{host, "127.0.0.1", "10.0.2.100 10.0.2.100"},
		{host, "::1", "fd00::100 fd00::100"},
	} {
		got := x.from.run("curl", "-sS", "-m", "10", "http://"+at(x.to, bound[0])+"/who")
		if got != x.want+"\n" {
			t.Errorf("to %s: the server sees %q, want %q", x.to, got, x.want)
		}
	}
	// A filter on the reverse path, as distributions set it, is no hindrance.
	c.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.lo.rp_filter=1", "net.ipv4.conf.eth0.rp_filter=1")
	if got := stranger.run("curl", "-sS", "-m", "10", "http://"+at("192.0.2.1", bound[0])+"/who"); got != "192.0.2.7 10.0.2.100\n" {
		t.Errorf("with rp_filter the server sees %q", got)
	}
}

func TestWithoutANetwork(t *testing.T) {
	leak.Watch(t)
	c := bare(t)
	c.nginx("80", "[::]:80")
	c.await("tcp", 80)
	bound, _ := c.publish(":80")
	for to, want := range map[string]string{
		"192.0.2.1":   "192.0.2.1 127.0.0.1",
		"2001:db8::1": "2001:db8::1 ::1",
		"127.0.0.1":   "127.0.0.1 127.0.0.1",
	} {
		host := place{t: t, enter: []string{"env"}}
		if got := host.run("curl", "-sS", "-m", "10", "http://"+at(to, bound[0])+"/who"); got != want+"\n" {
			t.Errorf("to %s: the server sees %q, want %q", to, got, want)
		}
	}
}

// TestWhereServersListen has servers that listen on one address alone.
func TestWhereServersListen(t *testing.T) {
	leak.Watch(t)
	c := container(t)
	listen := []string{"10.0.2.100", "[fd00::100]", "127.0.0.1", "[::1]", "0.0.0.0", "[::]"}
	var values, addresses []string
	for i, l := range listen {
		values = append(values, fmt.Sprintf(":%d", 81+i))
		addresses = append(addresses, fmt.Sprintf("%s:%d", l, 81+i))
	}
	c.nginx(addresses...)
	c.await("tcp", 86)
	bound, _ := c.publish(values...)
	stranger := beyond(t)
	for i, b := range bound {
		for _, to := range []string{"192.0.2.1", "2001:db8::1"} {
			got := stranger.run("curl", "-sS", "-m", "10", "http://"+at(to, b)+"/who")
			// The address is kept where the server listens in the family of the client.
			same := strings.Contains(listen[i], ":") == strings.Contains(to, ":")
			if seen := strings.Fields(got); len(seen) != 2 || same && !strings.HasSuffix(seen[0], "7") {
				t.Errorf("to %s, server at %s: sees %q", to, listen[i], got)
			}
		}
	}
}

func TestLargeFilesBothWays(t *testing.T) {
	trial.NeedTool(t, "curl")
	leak.Watch(t)
	c := container(t)
	dir := c.nginx("80")
	c.await("tcp", 80)
	bound, _ := c.publish("127.0.0.1::80")
	const size = 200 << 20
	sum := sha256.New()
	f, err := os.Create(dir + "/large")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.MultiWriter(sum, f), rand.NewChaCha8([32]byte{1}), size); err != nil {
		t.Fatal(err)
	}
	f.Close()
	url := "http://" + at("127.0.0.1", bound[0])
	host := place{t: t, enter: []string{"env"}}
	down := host.run("sh", "-c", `curl -sS "$1/large" | sha256sum | cut -d' ' -f1`, "down", url)
	if want := fmt.Sprintf("%x\n", sum.Sum(nil)); down != want {
		t.Errorf("down: %q, want %q", down, want)
	}
	// Up and down at once, through one connection, with the end of the one before the end
	// of the other: a server that hands back the sum of what it got, and all of it.
	trial.NeedTool(t, "socat")
	c.start(nil, "socat", "-t", "30", "TCP-LISTEN:90,reuseaddr", "EXEC:cat")
	c.await("tcp", 90)
	both, _ := c.publish("127.0.0.1::90")
	conn := dial(t, "tcp", at("127.0.0.1", both[0])).(*net.TCPConn)
	var sending sync.WaitGroup
	sending.Go(func() {
		from, err := os.Open(dir + "/large")
		if err != nil {
			t.Error(err)
			return
		}
		defer from.Close()
		if _, err := io.Copy(conn, from); err != nil {
			t.Error(err)
		}
		_ = conn.CloseWrite()
	})
	back := sha256.New()
	n, err := io.Copy(back, conn)
	sending.Wait()
	if err != nil || n != size || !bytes.Equal(back.Sum(nil), sum.Sum(nil)) {
		t.Errorf("%d bytes came back of %d, %v", n, size, err)
	}
}

func TestManyConnections(t *testing.T) {
	leak.Watch(t)
	c := container(t)
	c.nginx("80 reuseport")
	c.await("tcp", 80)
	bound, forwarder := c.publish("127.0.0.1::80")
	const clients = 1000
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && limit.Cur < 3*clients {
		trial.Skip(t, "the test needs %d open files and may have %d", 3*clients, limit.Cur)
	}
	conns := make([]net.Conn, clients)
	for i := range conns {
		conns[i] = dial(t, "tcp", at("127.0.0.1", bound[0]))
	}
	var served atomic.Int32
	var all sync.WaitGroup
	for _, c := range conns {
		all.Go(func() {
			fmt.Fprint(c, "GET /who HTTP/1.0\r\n\r\n")
			answer, _ := io.ReadAll(c)
			if bytes.Contains(answer, []byte("10.0.2.100 10.0.2.100")) {
				served.Add(1)
			}
		})
	}
	all.Wait()
	if served.Load() != clients {
		t.Errorf("%d of %d clients were served", served.Load(), clients)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", forwarder.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmHWM") || strings.HasPrefix(line, "Threads") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// TestFewOpenFiles has a forwarder that may open less than its clients need.
func TestFewOpenFiles(t *testing.T) {
	leak.Watch(t)
	c := container(t)
	c.nginx("80")
	c.await("tcp", 80)
	bound, _ := c.publishWith([]string{"prlimit", "--nofile=80:80", "--"}, "127.0.0.1::80", "127.0.0.1::80/udp")
	var idle []net.Conn
	for range 100 {
		idle = append(idle, dial(t, "tcp", at("127.0.0.1", bound[0])))
		udp := dial(t, "udp", at("127.0.0.1", bound[1]))
		_, _ = udp.Write([]byte("x"))
		_ = udp.Close()
	}
	for _, c := range idle {
		_ = c.Close()
	}
	host := place{t: t, enter: []string{"env"}}
	if got := host.run("curl", "-sS", "-m", "10", "http://"+at("127.0.0.1", bound[0])+"/who"); got == "" {
		t.Error("not served afterwards")
	}
}

func TestNothingListensInTheContainer(t *testing.T) {
	leak.Watch(t)
	bound, _ := container(t).publish(":80")
	stranger := beyond(t)
	for _, to := range []string{"127.0.0.1", "::1", "192.0.2.1", "2001:db8::1"} {
		// The reset may come before connect has returned.
		conn, err := net.DialTimeout("tcp", at(to, bound[0]), trial.Timeout)
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(trial.Timeout))
			_, err = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
		if !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("to %s: %v", to, err)
		}
	}
	// The resets of marked packets come back too: this waits for no timeout, curl's 28.
	ctx, cancel := context.WithTimeout(context.Background(), trial.Timeout)
	defer cancel()
	out, err := stranger.command(ctx, "curl", "-sS", "-m", "2", "http://"+at("192.0.2.1", bound[0])).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() == 28 {
		t.Errorf("curl: %v: %s", err, out)
	}
}
