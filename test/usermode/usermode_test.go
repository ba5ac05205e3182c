package usermode

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// fetch is two shell functions: what a server says, tried once, or for five seconds. Standard input does not end: pasta of
// 2023 repeats the answer for ever when the client has closed its side.
const fetch = `mkfifo /tmp/open; exec 3<>/tmp/open
	once() { nc -w 2 "$@" <&3 2>/dev/null; }
	fetch() { for i in 1 2 3 4 5 6 7 8 9 10; do once "$@" && return; sleep .5; done; echo nothing; }
`

// run runs a container, in the map that there is without subordinate ids.
func run(t *testing.T, args ...string) trial.Result {
	t.Helper()
	return trial.Run(t, append([]string{"--userns=single"}, args...)...)
}

func TestReaches(t *testing.T) {
	begin(t)
	beyond(t)
	resolver(t)
	loopback, loopback6, outward := listener(t, "127.0.0.1", "loopback"), listener(t, "::1", "loopback"), listener(t, host4, "outward")
	any := listener(t, "", "any")
	for _, kind := range append([]string{"auto"}, kinds...) {
		t.Run(kind, func(t *testing.T) {
			script := strings.NewReplacer("BEYOND4", beyond4, "BEYOND6", beyond6, "OUTWARD", outward, "ANY", any, "LOOPBACK6", loopback6, "LOOPBACK", loopback).Replace(`
				echo IPv4 $(fetch BEYOND4 80)
				echo IPv6 $(fetch BEYOND6 80)
				echo name $(fetch name 80)
				echo host $(fetch host.rl-run.internal OUTWARD) $(fetch host.rl-run.internal ANY) $(fetch gateway ANY)
				for to in 10.0.2.2 10.0.2.3 127.0.0.1; do once $to LOOPBACK; once $to ANY; done
				for to in fd00::2 fd00::3 fd72:6c2d:7275:6e00::2 fd72:6c2d:7275:6e00::3 ::1; do once $to LOOPBACK6; done
				(nc -l -p 79 <&3 >/dev/null & sleep .1; echo low | nc -w 1 127.0.0.1 79; echo port $?)
				cat /etc/resolv.conf`)
			r := run(t, "--net="+kind, "--add-host=gateway:host-gateway", trial.Tree(t, "busybox"), "sh", "-c", fetch+script)
			for _, line := range []string{
				"IPv4 served 192.0.2.1\n", "name served 192.0.2.1\n", "host outward any any\n", "port 0\n",
				"nameserver 10.0.2.3\n", "search example\n", "options ndots:1\n",
			} {
				if !strings.Contains(r.Stdout, line) {
					t.Errorf("no %q", line)
				}
			}
			if !strings.Contains(r.Stdout, "IPv6 served ") {
				t.Error("nothing over IPv6")
			}
			if strings.Contains(r.Stdout, "loopback") {
				t.Error("the host's loopback is reached")
			}
			if t.Failed() {
				t.Logf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
		})
	}
}

// echo is ping without NET_RAW, as iputils has it; busybox wants that.
const echo = `alarm 10; socket(S, AF_INET, SOCK_DGRAM, 1) or die "socket: $!\n";
	send(S, pack("CCnnn", 8, 0, 0, 0, 1) . "x" x 56, 0, pack_sockaddr_in(0, inet_aton($ARGV[0]))) or die "send: $!\n";
	recv(S, $b, 1500, 0); print "answer of type ", unpack("C", $b), "\n"`

func TestPing(t *testing.T) {
	begin(t)
	beyond(t)
	for _, kind := range kinds {
		r := run(t, "--net="+kind, trial.Tree(t, "debian"), "perl", "-MSocket", "-e", echo, beyond4)
		if r.Code != 0 || r.Stdout != "answer of type 0\n" {
			t.Errorf("%s: exit %d, %q, %q", kind, r.Code, r.Stdout, r.Stderr)
		}
	}
}

// The first thing that a command does finds the network.
func TestThereAtOnce(t *testing.T) {
	begin(t)
	beyond(t)
	for _, kind := range kinds {
		for range 5 {
			r := run(t, "--net="+kind, trial.Tree(t, "busybox"), "sh", "-c", fetch+"once "+beyond4+" 80")
			if r.Code != 0 || r.Stdout != "served 192.0.2.1\n" {
				t.Errorf("%s: exit %d, %q, %s", kind, r.Code, r.Stdout, r.Stderr)
			}
		}
	}
}

func TestStartedAgain(t *testing.T) {
	begin(t)
	beyond(t)
	for _, kind := range kinds {
		c := trial.Command{Args: []string{"--userns=single", "--net=" + kind, trial.Tree(t, "busybox"), "sh", "-c", fetch + fmt.Sprintf(`
			echo first $(fetch %s 80); sleep 1000`, beyond4)}}.Start(t)
		c.Stdout("first served 192.0.2.1\n")
		pids := drivers(t)
		if len(pids) != 1 {
			t.Fatalf("%s: drivers %v", kind, pids)
		}
		if err := unix.Kill(pids[0], unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		again := false
		for range 200 {
			if now := drivers(t); len(now) == 1 && now[0] != pids[0] {
				again = true
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if !again {
			t.Errorf("%s is not started again", kind)
		}
		c.Signal(unix.SIGTERM)
		c.Wait()
	}
}

// The host gets other name servers while the container runs. pasta reads them when it starts.
func TestOtherNameServers(t *testing.T) {
	begin(t)
	beyond(t)
	conf := resolver(t)
	nameServer(t, "127.0.0.54", "198.51.100.54")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range kinds {
		for _, before := range []string{"nameserver 127.0.0.53\n", "search nothing.example\n"} {
			write(before)
			c := trial.Command{Args: []string{"--userns=single", "--net=" + kind, trial.Tree(t, "busybox"), "sh", "-c", `
				case $1 in nameserver*) until nslookup one.example | grep 198.51.100.7; do sleep .2; done ;; *) echo none ;; esac
				until nslookup two.example | grep 198.51.100.54; do sleep .2; done`, "sh", before}}.Start(t)
			c.Stdout("\n")
			write("nameserver 127.0.0.54\n")
			if r := c.Wait(); r.Code != 0 {
				t.Errorf("%s, at first %q: exit %d, %s%s", kind, before, r.Code, r.Stdout, r.Stderr)
			}
		}
	}
}

// A new driver sets all up as the first had it.
func TestWorksAgain(t *testing.T) {
	begin(t)
	beyond(t)
	for _, kind := range kinds {
		c := trial.Command{Args: []string{"--userns=single", "--net=" + kind, trial.Tree(t, "busybox"), "sh", "-c", fetch + fmt.Sprintf(`
			ip -o addr show dev eth0 | grep -o 'inet [^ ]*'; ip route | sort
			n=$(cat /sys/class/net/eth0/ifindex); echo first $(fetch %s 80)
			until [ "$(cat /sys/class/net/eth0/ifindex 2>/dev/null || echo $n)" != $n ]; do sleep .01; done
			sleep .5; echo second $(fetch %[1]s 80); ip -o addr show dev eth0 | grep -o 'inet [^ ]*'; ip route | sort`, beyond4)}}.Start(t)
		c.Stdout("first served 192.0.2.1\n")
		for _, pid := range drivers(t) {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		r := c.Wait()
		before, after, _ := strings.Cut(r.Stdout, "first served 192.0.2.1\n")
		if after != "second served 192.0.2.1\n"+before || r.Code != 0 {
			t.Errorf("%s: exit %d\n%s%s", kind, r.Code, r.Stdout, r.Stderr)
		}
	}
}

// A driver ends with its container, however that ends. The leak oracle looks for what is left.
func TestEnds(t *testing.T) {
	begin(t)
	for _, kind := range kinds {
		for _, whom := range []string{"launcher", "command"} {
			c := trial.Command{Args: []string{"--userns=single", "--net=" + kind, trial.Tree(t, "busybox"), "sh", "-c", "echo started; sleep 1000"}}.Start(t)
			c.Stdout("started\n")
			if len(drivers(t)) != 1 {
				t.Errorf("%s: %d drivers", kind, len(drivers(t)))
			}
			sig := unix.SIGKILL
			if whom == "command" {
				sig = unix.SIGTERM // passed on
			}
			c.Signal(sig)
			c.Wait()
			for range 100 {
				if len(drivers(t)) == 0 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if left := drivers(t); len(left) != 0 {
				t.Errorf("%s, %s killed: drivers %v are left", kind, whom, left)
			}
		}
	}
}

// Without a default route the container starts, whatever it gets.
func TestOffline(t *testing.T) {
	begin(t)
	sh(t, "ip route del default; ip -6 route del default")
	t.Cleanup(func() { sh(t, addRoutes) })
	for _, kind := range []string{"auto", "slirp4netns"} {
		r := run(t, "--net="+kind, trial.Tree(t, "busybox"), "true")
		if r.Code != 0 || r.Stderr != "" {
			t.Errorf("%s: exit %d, %q", kind, r.Code, r.Stderr)
		}
	}
}

func TestWithoutTun(t *testing.T) {
	begin(t)
	sh(t, "mount -t tmpfs none /dev/net")
	t.Cleanup(func() { sh(t, "umount -l /dev/net") })
	tree := trial.Tree(t, "busybox")
	try := func(cause, hint string) {
		t.Helper()
		r := run(t, tree, "sh", "-c", "ls /sys/class/net")
		if r.Code != 0 || strings.TrimSpace(r.Stdout) != "lo" || !strings.HasPrefix(r.Stderr, "rl-run: note: no network: "+cause+"; ") {
			t.Errorf("auto: exit %d, %q, %q", r.Code, r.Stdout, r.Stderr)
		}
		for _, kind := range kinds {
			run(t, "--net="+kind, tree, "true").Fails(t, 125, cause+"\n", "rl-run: hint: "+hint)
		}
	}
	try("/dev/net/tun is missing", "on the host: sudo modprobe tun")
	sh(t, "install -m 0 /dev/null /dev/net/tun")
	switch f := sh(t, "cat /dev/net/tun 2>&1 || :"); {
	case f == "": // a capability opens it all the same
	case !strings.Contains(f, "ermission denied"):
		t.Errorf("an empty file that nobody may open: %q", f)
	default:
		try("/dev/net/tun: permission denied", "sudo chmod 0666 /dev/net/tun")
	}
	// A device of which the kernel has no part and a socket are the same to who opens them: ENXIO.
	sh(t, "rm /dev/net/tun")
	l, err := net.Listen("unix", "/dev/net/tun")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	try("/dev/net/tun: the kernel has no tun device", "sudo modprobe tun")
}

// Where a driver does not start, auto takes the next, and who asked for it is told.
func TestDriverThatEnds(t *testing.T) {
	begin(t)
	tree := trial.Tree(t, "busybox")
	dir := t.TempDir()
	for _, kind := range kinds {
		sh(t, "printf '#!/bin/sh\\necho reason >&2; exit 1\\n' >"+dir+"/"+kind+"; chmod 755 "+dir+"/"+kind)
	}
	env := []string{"PATH=" + dir + ":/usr/bin:/bin"}
	// The second try gets the port that the forwarder of the first had.
	r := trial.Command{Args: []string{"--userns=single", "-p", "127.0.0.1:18182:80", tree, "true"}, Env: env}.Run(t)
	if r.Code != 0 || !strings.Contains(r.Stderr, "rl-run: note: no network: ") {
		t.Errorf("auto: exit %d, %q", r.Code, r.Stderr)
	}
	for _, kind := range kinds {
		trial.Command{Args: []string{"--userns=single", "--net=" + kind, tree, "true"}, Env: env}.Run(t).Fails(t, 125, kind)
	}
}

// A network may not have what the host has a route to, which is named.
func TestNetworkOfHost(t *testing.T) {
	begin(t)
	r := trial.Command{Path: trial.Bin(t, "rl-net"), Args: []string{"create", "taken", "--subnet", "192.0.2.0/26"}}.Run(t)
	r.Fails(t, 125, "create network taken: subnet 192.0.2.0/26: overlaps 192.0.2.0/24 of the host's route to 192.0.2.0/24")
}
