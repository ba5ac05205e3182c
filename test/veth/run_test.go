package veth

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/trial"
)

// rlRun is rl-run as alice calls it on the host, with rl-veth beside it and a tree of her own.
func rlRun(t *testing.T) (program, tree string) {
	t.Helper()
	must(t, "cp", trial.Bin(t, "rl-run"), "/mnt/rl-run")
	must(t, "chmod", "755", "/mnt/rl-run")
	tree = "/mnt/tree"
	must(t, "mkdir", "-p", tree)
	must(t, "sh", "-c", `cd "$0" && tar --exclude=./dev --exclude=./proc --exclude=./sys -cf - . | tar -C "$1" --no-same-owner -xf - && mkdir -p "$1/dev" "$1/proc" "$1/sys" && chown -R "$2:$2" "$1"`,
		trial.Tree(t, "busybox"), tree, strconv.Itoa(alice))
	return "/mnt/rl-run", tree
}

// run calls it as alice, and returns what it prints and how it ends.
func run(t *testing.T, program string, args ...string) (output string, code int) {
	t.Helper()
	dir := filepath.Join("/mnt", "run-"+strconv.Itoa(os.Getpid()))
	must(t, "mkdir", "-p", dir)
	must(t, "chown", strconv.Itoa(alice), dir)
	must(t, "chmod", "700", dir)
	c := exec.Command(program, args...)
	c.SysProcAttr = as(alice)
	c.Dir = "/"
	c.Env = []string{"PATH=/usr/bin:/bin", "XDG_RUNTIME_DIR=" + dir}
	out, err := c.CombinedOutput()
	if err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), c.ProcessState.ExitCode()
}

// waiting starts a container as alice that does something, says so by a line, and then lives until end is called.
func waiting(t *testing.T, script, program string, args ...string) (end func()) {
	t.Helper()
	c := exec.Command(program, append(args, "sh", "-c", script+"; echo up; read -r _")...)
	c.Stderr = os.Stderr
	c.SysProcAttr, c.Dir, c.Env = as(alice), "/", []string{"PATH=/usr/bin:/bin", "XDG_RUNTIME_DIR=/mnt/run-" + strconv.Itoa(os.Getpid())}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		_ = in.Close()
		_ = c.Wait()
	})
	t.Cleanup(end)
	if said, err := bufio.NewReader(out).ReadString('\n'); said != "up\n" {
		t.Fatalf("it says %q, %v", said, err)
	}
	return end
}

// The container reaches the host by the link that it asked for, and the host the container.
func TestRun(t *testing.T) {
	host(t, thePolicy)
	program, tree := rlRun(t)
	const options = "--quiet --userns=single --cap-add=NET_RAW --net=veth --veth-host 192.168.47.11/24 --veth-ip 192.168.47.12/24"
	out, code := run(t, program, append(strings.Fields(options), tree, "sh", "-c",
		"ip addr show dev eth0; ip route; ping -c 1 -W 5 192.168.47.11 && echo REACHED")...)
	for _, want := range []string{"inet 192.168.47.12/24", "default via 192.168.47.11", "REACHED"} {
		if !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q in %s", code, want, out)
		}
	}
	noLinks(t) // the address is taken for as long
	end := waiting(t, "true", program, append(strings.Fields(options), tree)...)
	must(t, "ping", "-c", "1", "-W", "5", "192.168.47.12")
	end()
}

// Without addresses the pool gives them, and what it does not hold is refused.
func TestRunPool(t *testing.T) {
	host(t, thePolicy)
	program, tree := rlRun(t)
	out, code := run(t, program, "--quiet", "--userns=single", "--net=veth", tree, "sh", "-c", "ip addr show dev eth0 | grep 'inet '")
	fields := strings.Fields(out)
	if code != 0 || len(fields) < 2 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	at, err := netip.ParsePrefix(fields[1])
	if err != nil || !netip.MustParsePrefix("192.168.47.0/24").Contains(at.Addr()) {
		t.Errorf("address %s", fields[1])
	}
	out, code = run(t, program, "--userns=single", "--net=veth", "--veth-ip", "10.0.0.7/24", tree, "true")
	if code != 125 || !strings.Contains(out, "rl-run: error: make veth pair: /etc/rl-run/usernet does not grant it") ||
		!strings.Contains(out, "rl-run: hint: links may have addresses of 192.168.47.0/24") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// A container may follow the one that had its address, and its place in the count, at once: the kernel keeps a link for
// some time after the end. One that lives on is told apart from that.
func TestRunOneAfterTheOther(t *testing.T) {
	host(t, "alice veth - 1\npool - 192.168.47.0/24\n")
	program, tree := rlRun(t)
	options := strings.Fields("--quiet --userns=single --net=veth --veth-host 192.168.47.11/24 --veth-ip 192.168.47.12/24")
	for i := range 10 {
		if out, code := run(t, program, append(options, tree, "true")...); code != 0 {
			t.Fatalf("start %d: exit code %d: %s", i, code, out)
		}
	}
	end := waiting(t, "true", program, append(options, tree)...)
	out, code := run(t, program, append(options, tree, "true")...)
	if code != 125 || !strings.Contains(out, "make veth pair: there are as many links as") {
		t.Errorf("beside one that lives: exit code %d: %s", code, out)
	}
	end()
}

// Ports are published to a container with such a link, too.
func TestRunPublished(t *testing.T) {
	host(t, thePolicy)
	program, tree := rlRun(t)
	must(t, "cp", trial.Bin(t, "rl-netd"), "/mnt/rl-netd")
	must(t, "chmod", "755", "/mnt/rl-netd")
	waiting(t, "mkdir /www; echo served >/www/index.html; httpd -p 80 -h /www", program,
		append(strings.Fields("--quiet --userns=single --net=veth -p 127.0.0.1:18090:80"), tree)...)
	conn, err := net.Dial("tcp", "127.0.0.1:18090")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(trial.Timeout))
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); !strings.HasSuffix(string(got), "\nserved\n") {
		t.Errorf("%q, %v", got, err)
	}
}
