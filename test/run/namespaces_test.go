package run

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/pid1"
	"github.com/rl-run/rl-run/internal/trial"
)

// kinds are the namespaces of a container, by their names in /proc/PID/ns.
var kinds = [...]string{"user", "mnt", "pid", "uts", "ipc", "net", "cgroup"}

// A namespace is known by its inode; Owner is that of the user namespace it belongs to.
type namespace struct{ Inode, Owner uint64 }

func inode(fd int) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	return st.Ino, nil
}

// lookNamespaces finds the namespaces of the calling process.
func lookNamespaces() (map[string]namespace, error) {
	found := map[string]namespace{}
	for _, kind := range kinds {
		fd, err := unix.Open("/proc/self/ns/"+kind, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: "/proc/self/ns/" + kind, Err: err}
		}
		defer unix.Close(fd)
		var n namespace
		if n.Inode, err = inode(fd); err != nil {
			return nil, err
		}
		// EPERM for a namespace whose owner is not visible: the caller's own user namespace.
		if owner, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS); err == nil {
			defer unix.Close(owner)
			if n.Owner, err = inode(owner); err != nil {
				return nil, err
			}
		}
		found[kind] = n
	}
	return found, nil
}

// initName has process 1 called rl-init for the moment, too, in which the kernel has given it its file's name and it has not
// yet taken its own.
func initName(output string) string { return strings.Replace(output, "memfd:"+pid1.Name, pid1.Name, 1) }

func TestFirstCommand(t *testing.T) {
	tree := begin(t)
	got := trial.Run(t, tree, "sh", "-c", "id -u; hostname; cat /proc/1/comm").OK(t)
	want(t, "output", initName(got), "0\nbusybox\nrl-init")
	// many times, for the command begins before process 1 has executed the static init
	for range 20 {
		got := trial.Run(t, "--quiet", "--net=none", tree, "cat", "/proc/1/comm").OK(t)
		want(t, "first look", initName(got), "rl-init")
	}
}

func TestNamespaces(t *testing.T) {
	begin(t)
	host, err := lookNamespaces()
	if err != nil {
		t.Fatal(err)
	}
	found := probed[map[string]namespace](t, "namespaces", nil)
	user := found["user"].Inode
	for _, kind := range kinds {
		switch {
		case found[kind].Inode == host[kind].Inode:
			t.Errorf("the container shares the %s namespace of the host", kind)
		case kind != "user" && found[kind].Owner != user:
			t.Errorf("the %s namespace belongs to user namespace %d, not to the container's, %d", kind, found[kind].Owner, user)
		}
	}
}

func TestSharedNamespaces(t *testing.T) {
	begin(t)
	host, err := lookNamespaces()
	if err != nil {
		t.Fatal(err)
	}
	for option, kind := range map[string]string{
		"--uts=host": "uts", "--ipc=host": "ipc", "--net=host": "net", "--network=host": "net",
		"--pid=host": "pid", "--cgroupns=host": "cgroup",
	} {
		found := probed[map[string]namespace](t, "namespaces", []string{option})
		for _, k := range kinds {
			if shared := found[k].Inode == host[k].Inode; shared != (k == kind) {
				t.Errorf("%s: the %s namespace is the host's: %t", option, k, shared)
			}
		}
	}
	all := []string{"--uts=host", "--ipc=host", "--net=host", "--pid=host", "--cgroupns=host"}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want(t, "host name with all shared", inside(t, "hostname", all...), name)
	pid := fmt.Sprint(os.Getpid())
	want(t, "name of this test's process with --pid=host",
		inside(t, "cat /proc/"+pid+"/comm", "--pid=host"), strings.TrimSpace(read(t, "/proc/self/comm")))
}

// listen opens a TCP socket on a loopback address. It goes without package net, which may
// pull in the C library: the probe has to run in any tree.
func listen(address unix.Sockaddr) (fd int, at unix.Sockaddr, err error) {
	family := unix.AF_INET
	if _, ok := address.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	if fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, nil, os.NewSyscallError("socket", err)
	}
	if err = unix.Bind(fd, address); err == nil {
		if err = unix.Listen(fd, 1); err == nil {
			at, err = unix.Getsockname(fd)
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, nil, os.NewSyscallError("listen", err)
	}
	return fd, at, nil
}

// lookLoopback tries whether lo can be used, in both families.
func lookLoopback() (connected int, err error) {
	for _, address := range []unix.Sockaddr{
		&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}},
		&unix.SockaddrInet6{Addr: [16]byte{15: 1}},
	} {
		server, at, err := listen(address)
		if err != nil {
			return connected, err
		}
		family := unix.AF_INET
		if _, ok := at.(*unix.SockaddrInet6); ok {
			family = unix.AF_INET6
		}
		client, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(client, at)
			_ = unix.Close(client)
		}
		_ = unix.Close(server)
		if err != nil {
			return connected, os.NewSyscallError("connect", err)
		}
		connected++
	}
	return connected, nil
}

func TestLoopback(t *testing.T) {
	begin(t)
	for _, option := range []string{"--net=none", "--network=none"} {
		want(t, "owner of lo's mtu", inside(t, "stat -c %u:%g /sys/class/net/lo/mtu", option), "0:0")
		want(t, "interfaces", inside(t, "ls /sys/class/net", option), "lo")
		if got := probed[int](t, "loopback", []string{option}); got != 2 {
			t.Errorf("%s: %d families connect over lo", option, got)
		}
	}
}

func TestNoOtherNetwork(t *testing.T) {
	begin(t)
	server, at, err := listen(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() { // hangs up on whoever comes, until the shutdown below
		defer close(answered)
		for {
			fd, _, err := unix.Accept(server)
			if err != nil {
				return
			}
			_ = unix.Close(fd)
		}
	}()
	t.Cleanup(func() {
		_ = unix.Shutdown(server, unix.SHUT_RDWR)
		<-answered
		_ = unix.Close(server)
	})
	port := at.(*unix.SockaddrInet4).Port
	text := fmt.Sprintf("nc -w 2 127.0.0.1 %d </dev/null && echo reached || echo refused", port)
	want(t, "the host's loopback", inside(t, text), "refused")
	want(t, "the host's loopback with --net=host", inside(t, text, "--net=host"), "reached")
}

func TestHostname(t *testing.T) {
	tree := begin(t)
	for _, c := range []struct{ options, name string }{
		{"--hostname=web.example", "web.example"},
		{"-h web", "web"},
		{"--name=db", "db"},
		{"--name=db --hostname=web", "web"},
	} {
		got := inside(t, "hostname; cat /etc/hostname; echo $HOSTNAME; grep -c $(hostname) /etc/hosts", strings.Fields(c.options)...)
		want(t, c.options, got, strings.Repeat(c.name+"\n", 3)+"1")
	}
	odd := t.TempDir() + "/-my_tree !"
	link(t, tree, odd)
	want(t, "host name of a tree behind a link", inside(t, "hostname"), trial.Run(t, odd, "hostname").OK(t))
	for _, name := range []string{"-x", "a_b", strings.Repeat("x", 64)} {
		trial.Run(t, "--hostname="+name, tree, "true").Fails(t, 125, "--hostname")
	}
}
