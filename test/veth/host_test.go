package veth

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/usernet"
	"github.com/rl-run/rl-run/net/veth/rtnl"
)

// The users of the test's own passwd. alice and carol are in the group staff.
const (
	alice = 1000
	bob   = 1001
	carol = 1002
	staff = 500
)

const passwd = `root:x:0:0::/:/bin/sh
alice:x:1000:1000::/:/bin/sh
bob:x:1001:1001::/:/bin/sh
carol:x:1002:1002::/:/bin/sh
`

const groups = "root:x:0:\nstaff:x:500:\nalice:x:1000:\nbob:x:1001:\ncarol:x:1002:\n"

// thePolicy is what the host grants where a test says nothing else.
const thePolicy = `# who   kind bridge count
alice   veth -   4
alice   veth br0 4
@staff  veth br0 2
bob     veth -   1

pool -   192.168.47.0/24
pool -   fd00:47::/64
pool br0 10.47.0.0/24
pool br0 fd00:48::/64
`

// veth is the path of rl-veth with its capability.
var veth = sync.OnceValues(func() (string, error) {
	steps := [][]string{
		{"mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/mnt"},
		{"cp", rlVeth, "/mnt/rl-veth"},
		{"chmod", "755", "/mnt/rl-veth"},
		{"setcap", "cap_net_admin=ep", "/mnt/rl-veth"},
		{"mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/etc"},
		{"mkdir", "-m", "755", usernet.Directory, "/etc/alternatives"},
		{"ln", "-s", "/usr/bin/mawk", "/etc/alternatives/awk"}, // as Debian has it
		{"ip", "link", "set", "lo", "up"},
	}
	for _, step := range steps {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %w: %s", step, err, out)
		}
	}
	for name, text := range map[string]string{"passwd": passwd, "group": groups} {
		if err := os.WriteFile("/etc/"+name, []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return "/mnt/rl-veth", nil
})

var rlVeth string // as it was built

// host prepares the host, with a policy, and looks behind the test that no link is left.
func host(t testing.TB, policy string) {
	t.Helper()
	for _, tool := range []string{"ip", "setcap", "unshare"} {
		trial.NeedTool(t, tool)
	}
	rlVeth = trial.Bin(t, "rl-veth")
	if _, err := veth(); err != nil {
		t.Fatal(err)
	}
	write(t, policy)
	t.Cleanup(func() { noLinks(t) })
}

func write(t testing.TB, policy string) {
	t.Helper()
	path := filepath.Join(usernet.Directory, usernet.File)
	_ = os.RemoveAll(path)
	if err := os.WriteFile(path, []byte(policy), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ours are the links on the host that rl-veth has made.
func ours(t testing.TB) (found []rtnl.Link) {
	t.Helper()
	s, err := rtnl.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	links, err := s.Links()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Kind == "veth" && strings.HasPrefix(l.Name, "rl") {
			found = append(found, l)
		}
	}
	return found
}

// noLinks waits for the end of links, which the kernel does not hurry to bring about.
func noLinks(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		left := ours(t)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("links are left: %+v", left)
		}
	}
}

// must runs a command that has to succeed, in the net namespace of the thread.
func must(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// bridge makes br0 with an address, and a veth pair lan0 lan1 of which lan0 is its port.
func bridge(t *testing.T) {
	t.Helper()
	for _, line := range []string{
		"link add br0 address 02:00:00:00:00:47 type bridge mcast_snooping 0",
		"addr add 10.47.0.1/24 dev br0",
		"addr add fd00:48::1/64 dev br0 nodad",
		"link set br0 up",
		"link add lan0 type veth peer name lan1",
		"link set lan0 master br0 up",
		"link set lan1 up",
	} {
		must(t, "ip", strings.Fields(line)...)
	}
	t.Cleanup(func() {
		must(t, "ip", "link", "del", "lan0")
		must(t, "ip", "link", "del", "br0")
	})
}

// container is a user and net namespace that a user has made, held by a process of his.
type container struct {
	t   testing.TB
	pid int
	net *os.File
	end func()
}

// newContainer makes one as the user; depth is how many user namespaces lie around it.
func newContainer(t testing.TB, uid uint32, depth int) container {
	t.Helper()
	line := "exec cat"
	for range depth {
		line = "exec unshare -Ur -- sh -c '" + strings.ReplaceAll(line, "'", `'\''`) + "'"
	}
	if depth > 0 {
		line = strings.Replace(line, "exec cat", "exec unshare -n sh -c \"echo; exec cat\"", 1)
	} else {
		line = "exec unshare -n sh -c \"echo; exec cat\""
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.SysProcAttr = as(uid)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatalf("make a container: %v", err)
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	c := container{t, cmd.Process.Pid, f, sync.OnceFunc(func() {
		f.Close()
		in.Close()
		_ = cmd.Wait()
	})}
	t.Cleanup(c.end)
	return c
}

// as makes a child of a user, with the group staff for alice and carol.
func as(uid uint32) *syscall.SysProcAttr {
	var groups []uint32
	if uid == alice || uid == carol {
		groups = []uint32{staff}
	}
	who := &syscall.Credential{Uid: uid, Gid: uid, Groups: groups} //nolint:forbidigo // a field of SysProcAttr
	return &syscall.SysProcAttr{Credential: who}
}

// call runs rl-veth as a user with descriptor 3.
func call(t testing.TB, uid uint32, fd *os.File, args ...string) (usernet.Answer, error) {
	t.Helper()
	path, err := veth()
	if err != nil {
		t.Fatal(err)
	}
	return callAs(t, as(uid), fd, append([]string{path}, args...))
}

func callAs(t testing.TB, who *syscall.SysProcAttr, fd *os.File, argv []string) (usernet.Answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = who
	if fd != nil {
		cmd.ExtraFiles = []*os.File{fd}
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	answer, parsed := usernet.ParseAnswer(out.String())
	if (err == nil) != (parsed == nil) {
		t.Errorf("%v ends with %v and says %q", argv, err, out.String())
	}
	return answer, parsed
}

// enter runs f on a thread of its own in the container's net namespace; so do the
// commands that f starts and the sockets that it opens.
func (c container) enter(f func()) {
	c.t.Helper()
	done := make(chan error)
	go func() {
		// The thread is not given back, and so ends with the goroutine.
		runtime.LockOSThread()
		if err := unix.Setns(int(c.net.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		defer close(done)
		f()
	}()
	if err := <-done; err != nil {
		c.t.Fatalf("enter the container's net namespace: %v", err)
	}
}

// configure does inside what the container's init does.
func (c container) configure(a usernet.Answer) {
	c.t.Helper()
	c.enter(func() {
		ip := func(line string) { must(c.t, "ip", strings.Fields(line)...) }
		ip("link set lo up")
		ip("addr add " + a.IP.String() + " dev " + a.Inner)
		if a.IP6.IsValid() {
			ip("addr add " + a.IP6.String() + " dev " + a.Inner + " nodad")
		}
		ip("link set " + a.Inner + " up")
		if a.Gateway.IsValid() {
			ip("route add default via " + a.Gateway.String())
		}
		if a.Gateway6.IsValid() {
			ip("route add default via " + a.Gateway6.String())
		}
	})
}
