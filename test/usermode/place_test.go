package usermode

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// kinds are the drivers. Each is tried by what it is called.
var kinds = []string{"pasta", "slirp4netns"}

// begin looks for what all tests need.
func begin(t *testing.T) {
	t.Helper()
	for _, tool := range append([]string{"ip", "mount", "umount", "nsenter", "unshare", "socat"}, kinds...) {
		trial.NeedTool(t, tool)
	}
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		trial.Skip(t, "the drivers need /dev/net/tun: %v", err)
	}
	_ = f.Close()
	leak.Watch(t)
}

// sh runs commands on the host.
func sh(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// beyond is another machine: whoever connects to its port 80 is told its address.
func beyond(t *testing.T) {
	t.Helper()
	c := exec.Command("unshare", "-n", "sh", "-ec", "ip link set lo up; echo ready; exec cat")
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
	t.Cleanup(func() {
		_ = in.Close()
		_ = c.Wait()
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("set up another machine: %q", line)
	}
	pid := strconv.Itoa(c.Process.Pid)
	sh(t, "ip link set beyond0 netns "+pid)
	enter := []string{"-t", pid, "-n", "--"}
	t.Cleanup(func() {
		out, err := exec.Command("nsenter", append(enter, "ip", "link", "set", "beyond0", "netns", strconv.Itoa(os.Getpid()))...).CombinedOutput()
		if err != nil {
			t.Errorf("take beyond0 back: %v: %s", err, out)
		}
		sh(t, "ip link set beyond0 up; "+addRoutes)
	})
	set, err := exec.Command("nsenter", append(enter, "sh", "-ec", `
		ip addr add 192.0.2.7/24 dev beyond0; ip addr add 2001:db8::7/64 dev beyond0 nodad
		ip addr add 198.51.100.7/32 dev lo; ip addr add 2001:db8:1::7/128 dev lo nodad
		ip link set beyond0 up`)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, set)
	}
	sh(t, addRoutes)
	for _, listen := range []string{"TCP4-LISTEN:80", "TCP6-LISTEN:80,ipv6only=1"} {
		server(t, append(append([]string{"nsenter"}, enter...), "socat", listen+",fork,reuseaddr,backlog=64", "SYSTEM:echo served $SOCAT_PEERADDR")...)
	}
}

// server runs a server that ends with the test.
func server(t *testing.T, words ...string) {
	t.Helper()
	c := exec.Command(words[0], words[1:]...)
	c.Stderr = io.Discard
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
}

// listener answers each connection on the host with a word.
func listener(t *testing.T, address, word string) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, word+"\n")
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// resolver serves names on the host's loopback, where systemd-resolved has its stub, and makes resolv.conf name it.
// Each name has the same address.
func resolver(t *testing.T) (conf string) {
	t.Helper()
	nameServer(t, "127.0.0.53", beyond4)
	return resolvConf(t, "nameserver 127.0.0.53\nsearch example\noptions ndots:1\n")
}

// nameServer serves names at an address of the loopback.
func nameServer(t *testing.T, at, address string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", at+":53")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if answer := resolve(b[:n], address); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
}

// resolvConf lays a file over /etc/resolv.conf, and returns its path.
func resolvConf(t *testing.T, text string) (file string) {
	t.Helper()
	file = t.TempDir() + "/resolv.conf"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	sh(t, "mount --bind "+file+" /etc/resolv.conf")
	t.Cleanup(func() { sh(t, "umount -l /etc/resolv.conf") })
	return file
}

func resolve(query []byte, address string) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		var a [4]byte
		copy(a[:], net.ParseIP(address).To4())
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: a},
		}}
	}
	answer, err := m.Pack()
	if err != nil {
		return nil
	}
	return answer
}

// drivers are the processes on this host that have the name of a driver.
func drivers(t *testing.T) []int {
	t.Helper()
	return append(named(t, "pasta"), named(t, "slirp4netns")...)
}

// named are the processes on this host, which is a net namespace, that have a name.
func named(t *testing.T, name string) (pids []int) {
	t.Helper()
	all, err := leak.Processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		path := "/proc/" + strconv.Itoa(p.PID)
		comm, _ := os.ReadFile(path + "/comm") // it may be gone
		ns, err := os.Readlink(path + "/ns/net")
		own, _ := os.Readlink("/proc/self/ns/net")
		// pasta goes by the name of the processor that it was built for, too.
		if is, _, _ := strings.Cut(strings.TrimSpace(string(comm)), "."); err == nil && ns == own && (is == name || name == "pasta" && is == "passt") {
			pids = append(pids, p.PID)
		}
	}
	return pids
}
