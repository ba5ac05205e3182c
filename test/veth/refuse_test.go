package veth

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/usernet"
)

func wantRefusal(t *testing.T, err error, want string) {
	t.Helper()
	refusal, ok := errors.AsType[*usernet.Refusal](err)
	if !ok || refusal.Error() != want {
		t.Errorf("refused with %v, want %s", err, want)
	}
}

func command(who *syscall.SysProcAttr, fd *os.File, argv ...string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = who
	if fd != nil {
		cmd.ExtraFiles = []*os.File{fd}
	}
	return cmd
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Whose a net namespace is decides, and each wrong one looks the same from outside.
func TestForeignNamespaces(t *testing.T) {
	host(t, thePolicy)
	own := newContainer(t, alice, 1)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	listening, err := socket.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer listening.Close()
	netlink, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	for name, fd := range map[string]*os.File{
		"another user's":        newContainer(t, bob, 1).net,
		"another user's, below": newContainer(t, bob, 3).net,
		"root's":                newContainer(t, 0, 0).net,
		"the host's":            open(t, "/proc/self/ns/net"),
		"a user namespace":      open(t, "/proc/self/ns/user"),
		"a mount namespace":     open(t, "/proc/self/ns/mnt"),
		"a file":                open(t, "/etc/passwd"),
		"a directory":           open(t, "/"),
		"/dev/null":             open(t, "/dev/null"),
		"a socket":              listening,
		"a netlink socket":      os.NewFile(uintptr(netlink), "netlink"),
		"none":                  nil,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := call(t, alice, fd)
			wantRefusal(t, err, "namespace")
		})
	}
	t.Run("own, to root", func(t *testing.T) {
		_, err := call(t, 0, own.net)
		wantRefusal(t, err, "namespace")
	})
	if _, err := call(t, alice, own.net); err != nil {
		t.Errorf("own: %v", err)
	}
	if _, err := call(t, alice, newContainer(t, alice, 3).net); err != nil {
		t.Errorf("own, three deep: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	host(t, thePolicy)
	bridge(t)
	must(t, "ip", "link", "add", "lan2", "type", "veth", "peer", "name", "lan3")
	t.Cleanup(func() { must(t, "ip", "link", "del", "lan2") })
	must(t, "ip", "addr", "add", "192.168.47.200/32", "dev", "lo")
	t.Cleanup(func() { must(t, "ip", "addr", "del", "192.168.47.200/32", "dev", "lo") })
	own := newContainer(t, alice, 1)
	of := newContainer(t, bob, 1)

	for _, c := range []struct {
		name, args, want string
	}{
		{"an address outside", "ip=10.0.0.7/24", "forbidden"},
		{"a host's address outside", "host=192.168.48.1/24", "forbidden"},
		{"both outside", "host=8.8.8.8/24 ip=8.8.8.9/24", "forbidden"},
		{"one outside in a wide net", "host=192.168.46.1/16 ip=192.168.47.2/16", "forbidden"},
		{"the pool of a bridge", "ip=10.47.0.9/24", "forbidden"},
		{"a pool's own address", "ip=192.168.47.0/16", "forbidden"},
		{"a pool's broadcast address", "ip=192.168.47.255/16", "forbidden"},
		{"a bridge that is not there", "bridge=br1", "forbidden"},
		{"a link that is no bridge", "bridge=lan2", "forbidden"},
		{"the loopback", "bridge=lo", "forbidden"},
		{"more than the bridge's MTU", "bridge=br0 mtu=9000", "forbidden"},
		{"the host's own address", "ip=192.168.47.200/24", "taken"},
		{"the bridge's address", "bridge=br0 ip=10.47.0.1/24", "taken"},
		{"a network as host", "ip=192.168.47.0/24", "usage"},
		{"a host's end with a bridge", "bridge=br0 host=10.47.0.2/24", "usage"},
		{"twice the same", "host=192.168.47.2/24 ip=192.168.47.2/24", "usage"},
		{"two nets", "host=192.168.47.2/30 ip=192.168.47.9/30", "usage"},
		{"a forged name", "name=a;b", "usage"},
		{"a name in capitals", "name=Ab", "usage"},
		{"a name with a line", "name=a\nok", "usage"},
		{"a long name", "name=" + strings.Repeat("a", 65), "usage"},
		{"a bridge with a slash", "bridge=../x", "usage"},
		{"IPv6", "ip=fd00:47::7/64", "usage"},
		{"a zero", "ip=0192.168.047.7/24", "usage"},
		{"no length", "ip=192.168.47.7", "usage"},
		{"a small MTU", "mtu=68", "usage"},
		{"a large MTU", "mtu=65536", "usage"},
		{"a signed MTU", "mtu=+1500", "usage"},
		{"a key twice", "mtu=1500 mtu=1500", "usage"},
		{"a pid", "pid=1", "usage"},
		{"a path", "/proc/1/ns/net", "usage"},
		{"an option", "--delete", "usage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := strings.Split(c.args, " ")
			_, err := call(t, alice, own.net, args...)
			wantRefusal(t, err, c.want)
		})
	}
	t.Run("a bridge of others", func(t *testing.T) {
		_, err := call(t, bob, of.net, "bridge=br0")
		wantRefusal(t, err, "forbidden")
	})
	t.Run("a user without a line", func(t *testing.T) {
		_, err := call(t, carol, newContainer(t, carol, 1).net)
		wantRefusal(t, err, "forbidden")
	})
	t.Run("an interface of that name", func(t *testing.T) {
		c := newContainer(t, alice, 1)
		c.enter(func() { must(t, "ip", "link", "add", "rlv0", "type", "bridge") })
		_, err := call(t, alice, c.net)
		wantRefusal(t, err, "exists")
	})
	t.Run("another's address", func(t *testing.T) {
		a, err := call(t, bob, of.net)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"ip=", "host="} {
			_, err = call(t, alice, own.net, key+a.IP.Addr().String()+"/24")
			wantRefusal(t, err, "taken")
			_, err = call(t, alice, own.net, key+a.Gateway.String()+"/24")
			wantRefusal(t, err, "taken")
		}
	})
	if links := ours(t); len(links) != 1 {
		t.Errorf("refused, but there are links: %+v", links)
	}
}

// A route of the host that leads there is named.
func TestClash(t *testing.T) {
	host(t, thePolicy)
	must(t, "ip", "link", "add", "lan2", "type", "veth", "peer", "name", "lan3")
	t.Cleanup(func() { must(t, "ip", "link", "del", "lan2") })
	must(t, "ip", "link", "set", "lan2", "up")
	must(t, "ip", "link", "set", "lan3", "up")
	own := newContainer(t, alice, 1)
	for route, want := range map[string]string{
		"192.168.47.64/26":  "clash 192.168.47.64/26 lan2",
		"192.168.0.0/16":    "clash 192.168.0.0/16 lan2",
		"192.168.47.99/32":  "clash 192.168.47.99/32 lan2",
		"fd00:47:0:0::/80":  "",
		"fd00:40::/26":      "clash fd00:40::/26 lan2",
		"10.0.0.0/8":        "",
		"0.0.0.0/0":         "",
		"192.168.48.0/24":   "",
		"192.168.47.7/32 t": "",
	} {
		args := []string{"route", "add", strings.TrimSuffix(route, " t"), "dev", "lan2"}
		if route == "fd00:47:0:0::/80" {
			want = "clash fd00:47::/80 lan2"
		}
		if strings.HasSuffix(route, " t") {
			args, want = append(args, "table", "99"), "clash 192.168.47.7/32 lan2"
		}
		if strings.Contains(route, ":") {
			args = append([]string{"-6"}, args...)
		}
		outer := t
		t.Run(route, func(t *testing.T) {
			must(t, "ip", args...)
			_, err := call(t, alice, own.net, "host=192.168.47.11/24", "ip=192.168.47.12/24")
			if want != "" {
				wantRefusal(t, err, want)
			} else if err != nil {
				t.Error(err)
			} else {
				own.end()
				own = newContainer(outer, alice, 1)
				noLinks(t)
			}
			i := 1
			if args[0] == "-6" {
				i = 2
			}
			args[i] = "del"
			must(t, "ip", args...)
		})
	}
}

// A policy that someone else could have written is none, and neither is one with an error.
func TestUntrustedPolicy(t *testing.T) {
	host(t, thePolicy)
	c := newContainer(t, alice, 1)
	path := filepath.Join(usernet.Directory, usernet.File)
	refused := func(name string, change func(t *testing.T)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			write(t, thePolicy)
			change(t)
			_, err := call(t, alice, c.net)
			wantRefusal(t, err, "forbidden")
		})
	}
	ok := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	refused("another owner", func(t *testing.T) { ok(t, os.Chown(path, alice, 0)) })
	refused("a group that writes", func(t *testing.T) { ok(t, os.Chmod(path, 0o664)) })
	refused("all write", func(t *testing.T) { ok(t, os.Chmod(path, 0o646)) })
	refused("not to be read", func(t *testing.T) { ok(t, os.Chmod(path, 0o600)) })
	refused("missing", func(t *testing.T) { ok(t, os.Remove(path)) })
	refused("a link", func(t *testing.T) {
		ok(t, os.Rename(path, path+".real"))
		ok(t, os.Symlink(path+".real", path))
		t.Cleanup(func() { _ = os.Remove(path + ".real") })
	})
	refused("a fifo", func(t *testing.T) { ok(t, os.Remove(path)); ok(t, unix.Mkfifo(path, 0o644)) })
	refused("a directory", func(t *testing.T) { ok(t, os.Remove(path)); ok(t, os.Mkdir(path, 0o755)) })
	refused("too large", func(t *testing.T) { write(t, thePolicy+strings.Repeat("#\n", usernet.MaxSize/2)) })
	refused("an error", func(t *testing.T) { write(t, thePolicy+"alice veth\n") })
	refused("a directory that all write", func(t *testing.T) {
		ok(t, os.Chmod(usernet.Directory, 0o777))
		t.Cleanup(func() { ok(t, os.Chmod(usernet.Directory, 0o755)) })
	})
	refused("a directory of another", func(t *testing.T) {
		ok(t, os.Chown(usernet.Directory, alice, 0))
		t.Cleanup(func() { ok(t, os.Chown(usernet.Directory, 0, 0)) })
	})
	write(t, thePolicy)
	if _, err := call(t, alice, c.net); err != nil {
		t.Error(err)
	}
}

// Without the capability, as under no_new_privs, it says so.
func TestNoPrivilege(t *testing.T) {
	host(t, thePolicy)
	c := newContainer(t, alice, 1)
	path, err := veth()
	if err != nil {
		t.Fatal(err)
	}
	_, err = callAs(t, as(alice), c.net, []string{"setpriv", "--no-new-privs", path})
	wantRefusal(t, err, "privilege")
	// In a user namespace of the caller's own the file's capability counts for nothing,
	// and the caller's own all do not reach the host.
	_, err = callAs(t, as(alice), c.net, []string{"unshare", "-Ur", path})
	if err == nil {
		t.Error("made a link from within a user namespace")
	}
}

// Fifty calls at once get what the policy grants, and not one more.
func TestQuotaInParallel(t *testing.T) {
	host(t, "alice veth - 10\nbob veth - 3\npool - 192.168.47.0/24\n")
	var mu sync.Mutex
	made := map[uint32]int{}
	addresses := map[string]bool{}
	var all sync.WaitGroup
	for i := range 50 {
		uid := uint32(alice)
		if i%2 == 1 {
			uid = bob
		}
		c := newContainer(t, uid, 1)
		all.Go(func() {
			a, err := call(t, uid, c.net)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				wantRefusal(t, err, "quota")
				return
			}
			made[uid]++
			if addresses[a.IP.Addr().String()] || addresses[a.Gateway.String()] {
				t.Errorf("%v or %v was given twice", a.IP, a.Gateway)
			}
			addresses[a.IP.Addr().String()], addresses[a.Gateway.String()] = true, true
		})
	}
	all.Wait()
	if made[alice] != 10 || made[bob] != 3 {
		t.Errorf("made %v links, want 10 and 3", made)
	}
	if links := ours(t); len(links) != 13 {
		t.Errorf("there are %d links", len(links))
	}
}

// One address that all want goes to one of them.
func TestAddressInParallel(t *testing.T) {
	host(t, "alice veth - 50\npool - 192.168.47.0/24\n")
	var mu sync.Mutex
	var all sync.WaitGroup
	made := 0
	for range 20 {
		c := newContainer(t, alice, 1)
		all.Go(func() {
			_, err := call(t, alice, c.net, "ip=192.168.47.12/24")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
				return
			}
			wantRefusal(t, err, "taken")
		})
	}
	all.Wait()
	if made != 1 || len(ours(t)) != 1 {
		t.Errorf("%d calls got the address, and there are %d links", made, len(ours(t)))
	}
}
