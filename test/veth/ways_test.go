package veth

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// Without rl-veth rl-run takes lxc-user-nic, and without both it says which two ways there are.
func TestRunLXC(t *testing.T) {
	host(t, thePolicy)
	bridge(t)
	program, tree := rlRun(t)
	// A directory with no rl-veth beside it.
	must(t, "mkdir", "-p", "/mnt/alone")
	must(t, "cp", program, "/mnt/alone/rl-run")
	program = "/mnt/alone/rl-run"
	options := append(strings.Fields("--quiet --userns=single --net=veth --veth-bridge br0 --veth-ip 10.47.0.12/24"), tree)

	const installed = "/usr/libexec/lxc/lxc-user-nic"
	if _, err := os.Stat(installed); err != nil {
		trial.Skip(t, "lxc-user-nic is not where Debian has it: %v", err)
	}
	must(t, "cp", installed, "/mnt/lxc-user-nic")
	must(t, "mount", "-t", "tmpfs", "tmpfs", "/usr/libexec/lxc")
	unmounted := false
	t.Cleanup(func() {
		if !unmounted {
			must(t, "umount", "/usr/libexec/lxc")
		}
	})
	out, code := run(t, program, append(options, "true")...)
	if code != 125 || !strings.Contains(out, "rl-run: error: --net=veth: find rl-veth: neither it nor lxc-user-nic is installed") ||
		!strings.Contains(out, "rl-run: hint: run: sudo make install-veth; or install lxc and add a line to /etc/lxc/lxc-usernet: alice veth") {
		t.Errorf("without both: exit code %d: %s", code, out)
	}

	for _, line := range []string{
		"cp /mnt/lxc-user-nic " + installed, "chmod 4755 " + installed, "mkdir -p /etc/lxc",
		"mount -t tmpfs tmpfs /run", "mount -t sysfs sysfs /sys", // in which it looks whether br0 is a bridge
	} {
		words := strings.Fields(line)
		must(t, words[0], words[1:]...)
	}
	t.Cleanup(func() {
		must(t, "umount", "/run", "/sys", "/usr/libexec/lxc")
		unmounted = true
		must(t, "rm", "-r", "/etc/lxc", "/mnt/lxc-user-nic")
	})
	if err := os.WriteFile("/etc/lxc/lxc-usernet", []byte("alice veth br0 2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	end := waiting(t, "ip addr show dev eth0 | grep -q 10.47.0.12/24", program, options...)
	must(t, "ping", "-c", "1", "-W", "5", "10.47.0.12")
	end()
	noDevice(t, "veth")
	out, code = run(t, program, append(options, "ip", "route")...)
	if code != 0 || !strings.Contains(out, "default via 10.47.0.1 dev eth0") {
		t.Errorf("exit code %d: %s", code, out)
	}
	// It has no addresses to give.
	out, code = run(t, program, "--userns=single", "--net=veth", "--veth-bridge", "br0", tree, "true")
	if code != 125 || !strings.Contains(out, "lxc-user-nic gives no addresses: --veth-ip is needed") {
		t.Errorf("without an address: exit code %d: %s", code, out)
	}
	noDevice(t, "veth")
}

// noDevice waits until no link of the host has a name that begins so.
func noDevice(t *testing.T, prefix string) {
	t.Helper()
	for range 500 {
		if !strings.Contains(must(t, "ip", "-o", "link"), ": "+prefix) {
			return
		}
		must(t, "sleep", "0.02")
	}
	t.Errorf("links are left: %s", must(t, "ip", "-o", "link"))
}

// What "sudo make install-veth" leaves is enough for the tutorial's container, and grants 192.168.47.0/24 alone.
func TestInstalled(t *testing.T) {
	host(t, thePolicy)
	program, tree := rlRun(t)
	must(t, "mkdir", "-p", "/mnt/alone")
	must(t, "cp", program, "/mnt/alone/rl-run")
	must(t, "rm", "-r", "/etc/rl-run")
	must(t, "mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/usr/local")
	t.Cleanup(func() {
		must(t, "umount", "/usr/local")
		must(t, "mkdir", "-p", "-m", "755", "/etc/rl-run")
	})
	// The script installs what lies beside it.
	const source = "/mnt/source"
	must(t, "mkdir", "-p", source+"/scripts", source+"/bin", source+"/net/usernet")
	must(t, "cp", "../../scripts/install-veth", source+"/scripts/")
	must(t, "cp", rlVeth, source+"/bin/rl-veth")
	must(t, "cp", "../../net/usernet/usernet.example", source+"/net/usernet/")
	said := must(t, "env", "SUDO_USER=alice", source+"/scripts/install-veth", "install", "", "/usr/local")
	if !strings.Contains(said, "grants alice ten links") {
		t.Errorf("it says %q", said)
	}
	const installed = "/usr/local/libexec/rl-run/rl-veth"
	if caps := must(t, "getcap", installed); caps != installed+" cap_net_admin=ep\n" {
		t.Errorf("capabilities %q", caps)
	}
	out, code := run(t, "/mnt/alone/rl-run", "--quiet", "--userns=single", "--cap-add=NET_RAW", "--net=veth",
		"--veth-host", "192.168.47.11/24", "--veth-ip", "192.168.47.12/24", tree, "ping", "-c1", "192.168.47.11")
	if code != 0 || !strings.Contains(out, "1 packets received") {
		t.Errorf("exit code %d: %s", code, out)
	}
	out, code = run(t, "/mnt/alone/rl-run", "--userns=single", "--net=veth", "--veth-ip", "192.168.48.12/24", tree, "true")
	if code != 125 || !strings.Contains(out, "links may have addresses of 192.168.47.0/24") {
		t.Errorf("an address outside: exit code %d: %s", code, out)
	}
	must(t, source+"/scripts/install-veth", "uninstall", "", "/usr/local")
	if _, err := os.Stat(installed); err == nil {
		t.Error("it is installed still")
	}
	must(t, "rm", "-r", "/etc/rl-run")
}

// scripts/setup-veth shows what lets links reach beyond the host, and does that, and undoes it, when told so.
func TestSetUp(t *testing.T) {
	host(t, thePolicy)
	trial.NeedTool(t, "nft")
	program, tree := rlRun(t)
	beyond := newContainer(t, 0, 0)
	must(t, "ip", "link", "add", "out0", "type", "veth", "peer", "name", "out1", "netns", fmt.Sprint(beyond.pid))
	must(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "out0")
	must(t, "ip", "link", "set", "out0", "up")
	var l net.Listener
	beyond.enter(func() {
		must(t, "sh", "-ec", "ip link set lo up; ip addr add 192.0.2.7/24 dev out1; ip link set out1 up")
		var err error
		if l, err = net.Listen("tcp", "192.0.2.7:80"); err != nil {
			t.Error(err)
		}
	})
	if l == nil {
		t.FailNow()
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			client, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			fmt.Fprintln(c, "seen", client)
			_ = c.Close()
		}
	}()
	reaches := func() string {
		t.Helper()
		out, _ := run(t, program, "--quiet", "--userns=single", "--net=veth", tree, "nc", "-w", "2", "192.0.2.7", "80")
		noLinks(t)
		return out
	}
	script := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("../../scripts/setup-veth", args...).CombinedOutput()
		if err != nil {
			t.Errorf("setup-veth %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	shown := script()
	if !strings.Contains(shown, "+ sysctl -w net.ipv4.ip_forward=1") || !strings.Contains(shown, "ip saddr 192.168.47.0/24") || !strings.Contains(shown, "Nothing was changed") {
		t.Errorf("it shows %s", shown)
	}
	if tables := must(t, "nft", "list", "tables"); tables != "" {
		t.Errorf("it has made %s", tables)
	}
	if got := reaches(); strings.Contains(got, "seen") {
		t.Errorf("before: %q", got)
	}
	script("--apply")
	if got := reaches(); got != "seen 192.0.2.1\n" {
		t.Errorf("after: %q", got)
	}
	script("--undo", "--apply")
	if tables := must(t, "nft", "list", "tables"); tables != "" {
		t.Errorf("there is still %s", tables)
	}
	if got := reaches(); strings.Contains(got, "seen") {
		t.Errorf("undone: %q", got)
	}
}
