package session

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/plan"
)

// order is what a joiner is told.
type order struct {
	Network session.Network
	Port    session.Port
	Maps    [2][]plan.Extent // as they are written in the session
}

// node is a process in namespaces like those of a container.
type node struct {
	t     *testing.T
	pid   int
	port  session.Port
	stdin io.Closer
	cmd   *exec.Cmd
}

// join starts a node on a network of the session that runs, under these names.
func join(t *testing.T, network string, names ...string) *node {
	t.Helper()
	n, err := tryJoin(t, network, names...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.end)
	return n
}

func tryJoin(t *testing.T, network string, names ...string) (*node, error) {
	d := dir(t)
	s, err := session.Open(d)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	wanted, ok := s.Network(network)
	if !ok {
		return nil, fmt.Errorf("the session has no network %s", network)
	}
	uids, err := session.NestedMaps(s.UIDMap, s.UIDMap)
	if err != nil {
		return nil, err
	}
	gids, err := session.NestedMaps(s.GIDMap, s.GIDMap)
	if err != nil {
		return nil, err
	}
	p, ok := wanted.Free(d, os.Getpid())
	if !ok {
		return nil, errors.New("no port is free")
	}
	text, err := json.Marshal(order{Network: wanted, Port: p, Maps: [2][]plan.Extent{uids, gids}})
	if err != nil {
		return nil, err
	}
	// nsenter has one thread, and so can join a user namespace; in it uid 0 gets all
	// capabilities at exec.
	c := exec.Command("nsenter", "-U", "-n", "-t", strconv.Itoa(s.Pid), "--", link(t, "joiner"), string(text))
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	n := &node{t: t, stdin: stdin, cmd: c}
	// It has chosen another port where this one was taken by then.
	said, err := bufio.NewReader(stdout).ReadString('\n')
	var number int
	if _, wrong := fmt.Sscanf(said, "%d %d\n", &n.pid, &number); wrong != nil {
		n.end()
		return nil, fmt.Errorf("joiner: %q, %w", said, err)
	}
	n.port = wanted.Port(number)
	if err := wanted.Register(d, n.port, names...); err != nil {
		n.end()
		return nil, err
	}
	return n, nil
}

// end ends the node: its standard input is its life.
func (n *node) end() {
	_ = n.stdin.Close()
	_ = n.cmd.Wait()
}

// run runs a command in the node's namespaces.
func (n *node) run(args ...string) trial.Result {
	n.t.Helper()
	return n.start(args...).Wait()
}

func (n *node) start(args ...string) *trial.Running {
	n.t.Helper()
	all := append([]string{"-U", "-n", "-t", strconv.Itoa(n.pid), "--"}, args...)
	return trial.Command{Path: trial.NeedTool(n.t, "nsenter"), Args: all}.Start(n.t)
}

// pings tells whether an address answers within half a second.
func (n *node) pings(address string) bool {
	n.t.Helper()
	return n.run(trial.NeedTool(n.t, "ping"), "-n", "-c", "1", "-W", "0.5", address).Code == 0
}

// dig asks the network's name server.
func (n *node) dig(args ...string) []string {
	n.t.Helper()
	all := append([]string{trial.NeedTool(n.t, "dig"), "+short", "+time=2", "+tries=2", "@" + n.port.DNS.String()}, args...)
	return strings.Fields(n.run(all...).OK(n.t))
}

// link gives the test program another name.
func link(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// joiner does what a launcher's first child does: it is in the session's user and
// net namespaces, and starts a process in new ones, with a link.
func joiner(args []string) error {
	var o order
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	ready, readyWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	c := exec.Command("/proc/self/exe")
	c.Args = []string{"container"}
	c.Stdin, c.Stderr, c.ExtraFiles = os.Stdin, os.Stderr, []*os.File{read, readyWrite}
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:                 unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		GidMappingsEnableSetgroups: true,
		Pdeathsig:                  unix.SIGKILL,
	}
	for _, e := range o.Maps[0] {
		c.SysProcAttr.UidMappings = append(c.SysProcAttr.UidMappings,
			syscall.SysProcIDMap{ContainerID: int(e.Inside), HostID: int(e.Outside), Size: int(e.Count)})
	}
	for _, e := range o.Maps[1] {
		c.SysProcAttr.GidMappings = append(c.SysProcAttr.GidMappings,
			syscall.SysProcIDMap{ContainerID: int(e.Inside), HostID: int(e.Outside), Size: int(e.Count)})
	}
	if err := c.Start(); err != nil {
		return err
	}
	_, _ = read.Close(), readyWrite.Close()
	p := o.Port
	for {
		err := sendLink(o.Network.LinkMessage(p, "eth0", session.ByPid, c.Process.Pid))
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EEXIST) {
			return err
		}
		p = o.Network.Next(p)
	}
	if err := json.NewEncoder(write).Encode(p); err != nil {
		return err
	}
	_ = write.Close()
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		return fmt.Errorf("wait for the link to be configured: %w", err)
	}
	// Here is the caller's pid namespace: the pid means the same outside.
	fmt.Println(c.Process.Pid, p.Number)
	return c.Wait()
}

func sendLink(l session.Link) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Sendto(fd, l.Message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 8192)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	return session.Answer(answer[:n])
}

// container configures its link from inside, and lives as long as its standard input.
func container([]string) error {
	var p session.Port
	if err := json.NewDecoder(os.NewFile(3, "port")).Decode(&p); err != nil {
		return err
	}
	for _, name := range []string{"lo", "eth0"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return err
		}
		if name == "lo" {
			continue
		}
		for _, a := range []netip.Prefix{p.Address, p.Address6} {
			if !a.IsValid() {
				continue
			}
			address := &netlink.Addr{IPNet: &net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen())}}
			if a.Addr().Is6() {
				address.Flags = unix.IFA_F_NODAD
			}
			if err := netlink.AddrAdd(l, address); err != nil {
				return err
			}
		}
		for _, gateway := range []netip.Addr{p.Gateway, p.Gateway6} {
			if !gateway.IsValid() {
				continue
			}
			if err := netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: gateway.AsSlice()}); err != nil {
				return err
			}
		}
	}
	if _, err := os.NewFile(4, "ready").Write([]byte{0}); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}
