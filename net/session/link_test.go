package session

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const inside = "RLRUN_SESSION_TEST_INSIDE"

// inNamespaces runs the test in a child that is root of new user and net
// namespaces, and reports whether this is that child.
func inNamespaces(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		runtime.LockOSThread()
		return true
	}
	c := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	c.Env = append(os.Environ(), inside+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// send sends one netlink message and reads its answer, as a launcher would.
func send(t *testing.T, message []byte) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		t.Fatal(err)
	}
	return Answer(answer[:n])
}

func TestLinkMessage(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	n := network(t)
	var e encoder
	e.bytes(make([]byte, unix.NLMSG_HDRLEN))
	e.link(unix.IFF_UP)
	e.text(unix.IFLA_IFNAME, n.Bridge)
	info := e.open(unix.IFLA_LINKINFO)
	e.text(unix.IFLA_INFO_KIND, "bridge")
	e.close(info)
	header := n.LinkMessage(n.Port(2), "x", ByFD, 0).Message[:unix.NLMSG_HDRLEN]
	copy(e, header)
	e[0], e[1] = byte(len(e)), byte(len(e)>>8)
	if err := send(t, e); err != nil {
		t.Fatalf("make a bridge: %v", err)
	}
	bridge, err := net.InterfaceByName(n.Bridge)
	if err != nil {
		t.Fatal(err)
	}
	n.IfIndex = bridge.Index

	// the container's net namespace
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = here.Close() }()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	there, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = there.Close() }()
	if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}

	p := n.Port(5)
	if err := send(t, n.LinkMessage(p, "eth0", ByFD, int(there.Fd())).Message); err != nil {
		t.Fatal(err)
	}
	outer, err := net.InterfaceByName(p.Name)
	if err != nil {
		t.Fatal(err)
	}
	if outer.MTU != MTU || outer.Flags&net.FlagUp == 0 {
		t.Errorf("outer end: %+v", outer)
	}
	master, err := os.Readlink("/proc/thread-self/root/sys/class/net/" + p.Name + "/master")
	if err == nil && !strings.HasSuffix(master, "/"+n.Bridge) {
		t.Errorf("master: %s", master)
	}
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	inner, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if inner.MTU != MTU || inner.Flags&net.FlagUp != 0 || inner.HardwareAddr.String() != fmt.Sprintf("%v", net.HardwareAddr(p.MAC[:])) {
		t.Errorf("inner end: %+v", inner)
	}
	if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}

	// taken; the late target, patched in; and a target that is none
	if err := send(t, n.LinkMessage(p, "eth1", ByFD, int(there.Fd())).Message); !errors.Is(err, unix.EEXIST) {
		t.Errorf("the same port again: %v", err)
	}
	late := n.LinkMessage(n.Next(p), "eth1", ByFD, -1)
	copy(late.Message[late.Target:], []byte{byte(there.Fd()), 0, 0, 0})
	if err := send(t, late.Message); err != nil {
		t.Errorf("with a target filled in: %v", err)
	}
	if err := send(t, n.LinkMessage(n.Port(9), "eth2", ByFD, 9999).Message); err == nil {
		t.Errorf("without a target: %v", err)
	}
	if _, err := net.InterfaceByName(n.Port(9).Name); err == nil {
		t.Error("a link is left of a message that failed")
	}
}
