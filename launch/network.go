package launch

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/guard"
	"github.com/rl-run/rl-run/internal/sys"
	"github.com/rl-run/rl-run/net/port"
	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/net/usermode"
	"github.com/rl-run/rl-run/net/usernet"
	"github.com/rl-run/rl-run/net/veth"
	"github.com/rl-run/rl-run/plan"
)

// connection is what the launcher holds for a container's network while it starts.
type connection struct {
	bound    []port.Bound
	ready    [2]int // pipe of the driver; -1 without
	messages int    // file for what the driver says; -1 without
	guard    int    // memfd; -1 without
	link     plan.Link
	made     bool // the link
}

func noConnection() connection { return connection{ready: [2]int{-1, -1}, messages: -1, guard: -1} }

// readyTime is how long a driver may take until the network is there. pasta takes
// 20 to 100 ms on an idle machine.
const readyTime = 20 * time.Second

// driverError is a driver that ended before the network was there.
type driverError struct {
	kind  usermode.Kind
	cause string
}

func (e *driverError) Error() string { return fmt.Sprintf("%s: %s", e.kind, e.cause) }

// bindPorts opens the published ports in the host's net namespace.
func (c *Container) bindPorts() (err error) {
	if c.connection.bound, err = port.Bind(c.spec.Publish); err != nil {
		if busy, is := errors.AsType[*port.BindError](err); is {
			return hinted(err, busy.Hint())
		}
		return err
	}
	for i := range c.connection.bound {
		b := &c.connection.bound[i]
		if b.FD, err = plan.Above(b.FD); err != nil {
			return err
		}
	}
	c.Ports = publishes(c.connection.bound)
	return nil
}

// openConnection makes what the helpers of the plan are started with.
func (c *Container) openConnection() (err error) {
	n := &c.connection
	drives, forwards := false, false
	for _, e := range c.Plan.Entries {
		drives, forwards = drives || e.Actor == plan.Driver, forwards || e.Actor == plan.Forwarder
	}
	if !drives && !forwards {
		return nil
	}
	if n.guard, err = guard.MemFD(); err != nil {
		return err
	}
	if n.guard, err = plan.Above(n.guard); err != nil {
		return err
	}
	if drives {
		if err := unix.Pipe2(n.ready[:], unix.O_CLOEXEC); err != nil {
			return os.NewSyscallError("pipe2", err)
		}
		if n.messages, err = messagesFile(); err != nil {
			return err
		}
		for _, fd := range []*int{&n.ready[0], &n.ready[1], &n.messages} {
			if *fd, err = plan.Above(*fd); err != nil {
				return err
			}
		}
	}
	c.opts.Network = plan.Network{Guard: n.guard, Ready: n.ready[1], Messages: n.messages, Forward: port.ForwardArgs(n.bound)}
	for _, b := range n.bound {
		c.opts.Network.Sockets = append(c.opts.Network.Sockets, b.FD)
	}
	return nil
}

// maxMessages is as much of what a driver says as is kept, in bytes.
const maxMessages = 4096

// messagesFile takes what a driver says, and no more than that in its whole life: the container may have it say much.
func messagesFile() (int, error) {
	fd, err := unix.MemfdCreate("messages", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	if err := unix.Ftruncate(fd, maxMessages); err != nil {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("ftruncate", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK); err != nil {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}

// startHelper starts a helper. The driver alone is to hold the pipe's end from then on.
func (c *Container) startHelper(s plan.StartHelper) error {
	spread()
	err := c.Child.StartHelper(s.Which)
	if s.Which == plan.Driver {
		closeFD(&c.connection.ready[1])
	}
	return err
}

// makeVeth has a helper program make the pair.
func (c *Container) makeVeth(s plan.MakeVeth) error {
	ns, err := c.Child.NetNS()
	if err != nil {
		return err
	}
	in := veth.Container{NetNS: ns}
	if s.LXC {
		if in.Pid, err = childOf(c.Child.PID); err != nil {
			return err
		}
	}
	request, err := usernet.ParseArgs(s.Args)
	if err != nil {
		return err
	}
	a, err := veth.Helper{Path: s.Helper, LXC: s.LXC}.Make(in, request)
	if err != nil {
		return hinted(err, vethHint(err, request))
	}
	c.connection.link = plan.Link{IP: a.IP, Gateway: a.Gateway, IP6: a.IP6, Gateway6: a.Gateway6}
	c.connection.made = true
	c.Network.Address = a.IP
	return nil
}

// childOf is the first child of init: the command, which has made the net namespace.
func childOf(pid int) (int, error) {
	path := fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	child, err := strconv.Atoi(first)
	if err != nil {
		return 0, fmt.Errorf("read %s: no process", path)
	}
	return child, nil
}

// vethHint is what helps the caller.
func vethHint(err error, r usernet.Request) string {
	groups, _ := os.Getgroups() // fewer groups: a hint that says less
	c := usernet.Caller{UID: uint32(os.Geteuid())}
	for _, g := range append(groups, os.Getegid()) {
		c.Groups = append(c.Groups, uint32(g))
	}
	c.Passwd, _ = small("/etc/passwd")
	c.Group, _ = small("/etc/group")
	name := fmt.Sprint(c.UID)
	for line := range strings.Lines(string(c.Passwd)) {
		if fields := strings.Split(line, ":"); len(fields) > 2 && fields[2] == name {
			name = fields[0]
			break
		}
	}
	return veth.Hint(err, c, name, r)
}

func (h *Host) findVeth(s *Spec, beside string) {
	if h.Veth, h.VethErr = veth.Find(beside); h.VethErr != nil {
		h.VethHint = vethHint(h.VethErr, s.Veth)
	}
}

// findNetd looks for rl-netd beside rl-run, and where it is installed.
func findNetd(beside string) string {
	for _, dir := range []string{beside, filepath.Join(beside, "../libexec/rl-run"), "/usr/local/libexec/rl-run", "/usr/libexec/rl-run"} {
		path := filepath.Join(dir, "rl-netd")
		if unix.Access(path, unix.X_OK) == nil {
			return path
		}
	}
	return ""
}

// awaitNetwork waits for helpers and driver, and tells the child what its link is.
func (c *Container) awaitNetwork() error {
	n := &c.connection
	if err := c.Child.AwaitHelpers(); err != nil {
		return err
	}
	port.CloseAll(n.bound)
	n.bound = nil
	if n.made {
		if err := c.Child.SetLink(inner, n.link); err != nil {
			return err
		}
	}
	if n.ready[0] < 0 {
		return nil
	}
	defer closeFD(&n.ready[0])
	kind, cause := c.driver.Kind, "it did not get ready in "+readyTime.String()
	var arrived []byte
	for end := time.Now().Add(readyTime); ; {
		got, err := pollIn(n.ready[0], time.Until(end))
		if err != nil {
			return err
		}
		if !got {
			break
		}
		b := make([]byte, 512)
		if k, _ := unix.Read(n.ready[0], b); k > 0 && len(arrived) < maxMessages {
			if arrived = append(arrived, b[:k]...); c.driver.IsReady(arrived) {
				return nil
			}
			continue
		}
		said := make([]byte, maxMessages)
		k, _ := unix.Pread(n.messages, said, 0)
		if cause = usermode.Cause(said[:max(k, 0)]); cause == "" {
			cause = "it ended at once"
		}
		break
	}
	return &driverError{kind, cause}
}

// pollIn waits until something can be read, or the other end is closed.
func pollIn(fd int, d time.Duration) (bool, error) {
	end := time.Now().Add(d)
	for {
		left := time.Until(end)
		if left <= 0 {
			return false, nil
		}
		if ready, err := sys.Readable(fd, int(left.Milliseconds())+1); err != nil || ready {
			return ready, err
		}
	}
}

func closeFD(fd *int) {
	if *fd >= 0 {
		_ = unix.Close(*fd)
		*fd = -1
	}
}

// close gives back what was for the start alone.
func (n *connection) close() {
	port.CloseAll(n.bound)
	n.bound = nil
	for _, fd := range []*int{&n.ready[0], &n.ready[1], &n.messages, &n.guard} {
		closeFD(fd)
	}
}

// goneTime is how long a link may stay behind its container: the kernel removes it some 40 ms after the end on an idle machine.
const goneTime = 2 * time.Second

// makePort has the linker make a link to a network of the session. Two starts may
// choose the same place: the kernel decides, and the other one takes the next.
func (c *Container) makePort(s plan.MakePort) error {
	n := c.nesting.network
	p, asked := session.Port{}, s.Address != ""
	if asked {
		a, err := netip.ParseAddr(s.Address)
		if err != nil {
			return err
		}
		p, _ = n.At(a)
	} else {
		var free bool
		if p, free = n.Free(c.sessionDir, os.Getpid()); !free {
			return fmt.Errorf("network %s: all its %d addresses are in use", n.Name, n.Ports())
		}
	}
	ns, err := c.Child.NetNS()
	if err != nil {
		return err
	}
	send := func() error { return c.Child.SendLink(n.LinkMessage(p, inner, session.ByFD, ns).Message) }
	err = send()
	if asked {
		for until := time.Now().Add(goneTime); errors.Is(err, unix.EEXIST) && time.Now().Before(until); err = send() {
			time.Sleep(5 * time.Millisecond)
		}
	} else {
		for i := 1; errors.Is(err, unix.EEXIST) && i < n.Ports(); i++ {
			p = n.Next(p)
			err = send()
		}
	}
	if errors.Is(err, unix.EEXIST) && asked {
		return fmt.Errorf("--ip %s: %s has this address", s.Address, whoHas(c.sessionDir, n.Name, p.Number))
	}
	if err != nil {
		return err
	}
	if err := n.Register(c.sessionDir, p, s.Names...); err != nil {
		return err
	}
	c.connection.link = linkTo(p)
	c.connection.made = true
	c.Network.Address = p.Address
	return nil
}

// whoHas names the container at a port of a network.
func whoHas(d session.Dir, network string, number int) string {
	if names, _ := d.Names(network); len(names[number]) > 0 {
		return "container " + names[number][0]
	}
	return "another container"
}
