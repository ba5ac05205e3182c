package port

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/port"
)

// A place is where commands run: a process that holds the namespaces open.
type place struct {
	t     *testing.T
	enter []string
	pid   int
}

// hold starts a process that sets namespaces up and then waits for its standard input to end.
func hold(t *testing.T, unshare, setUp string) (pid int) {
	t.Helper()
	for _, tool := range []string{"unshare", "nsenter", "ip"} {
		trial.NeedTool(t, tool)
	}
	c := exec.Command("unshare", unshare, "sh", "-c", "set -e; ip link set lo up\n"+setUp+"\necho ready; exec cat")
	c.Stderr = os.Stderr
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
		in.Close()
		_ = c.Wait()
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("set up namespaces: %q", line)
	}
	return c.Process.Pid
}

// container is a net namespace below a user namespace, with a network whose other end answers
// nothing: what leaves by it is lost.
func container(t *testing.T) place {
	t.Helper()
	pid := hold(t, "-Urn", `
		ip link add eth0 type veth peer name uplink
		ip addr add 10.0.2.100/24 dev eth0
		ip addr add fd00::100/64 dev eth0 nodad
		ip link set uplink up
		ip link set eth0 up
		ip route add default via 10.0.2.2
		ip -6 route add default via fd00::2`)
	return inside(t, pid)
}

// bare is a container with --net=none.
func bare(t *testing.T) place {
	t.Helper()
	return inside(t, hold(t, "-Urn", ""))
}

func inside(t *testing.T, pid int) place {
	return place{t, []string{"nsenter", "-t", strconv.Itoa(pid), "-U", "-n", "--preserve-credentials", "--"}, pid}
}

// beyond is another machine on the host's network.
func beyond(t *testing.T) place {
	t.Helper()
	pid := hold(t, "-n", "")
	out, err := exec.Command("ip", "link", "set", "beyond0", "netns", strconv.Itoa(pid)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := place{t, []string{"nsenter", "-t", strconv.Itoa(pid), "-n", "--"}, pid}
	t.Cleanup(func() { p.run("ip", "link", "set", "beyond0", "netns", strconv.Itoa(os.Getpid())) })
	p.run("sh", "-ec", `ip addr add 192.0.2.7/24 dev beyond0; ip addr add 2001:db8::7/64 dev beyond0 nodad; ip link set beyond0 up`)
	return p
}

func (p place) command(ctx context.Context, words ...string) *exec.Cmd {
	all := append(p.enter[1:len(p.enter):len(p.enter)], words...)
	return exec.CommandContext(ctx, p.enter[0], all...)
}

// run runs a command to its end and returns what it prints.
func (p place) run(words ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), trial.Timeout)
	defer cancel()
	out, err := p.command(ctx, words...).Output()
	if err != nil {
		p.t.Errorf("%s: %v: %s", strings.Join(words, " "), err, out)
	}
	return string(out)
}

// start starts a command that ends with the test.
func (p place) start(files []*os.File, words ...string) *exec.Cmd {
	p.t.Helper()
	c := p.command(context.Background(), words...)
	c.ExtraFiles = files
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { end(c) })
	return c
}

func end(c *exec.Cmd) {
	_ = c.Process.Kill()
	_ = c.Wait()
}

// await waits until something listens on a port in the place.
func (p place) await(network string, number int) {
	p.t.Helper()
	flag := map[string]string{"tcp": "-Hltn", "udp": "-Hlun"}[network]
	for range 200 {
		out, err := p.command(context.Background(), "ss", flag, "sport = "+strconv.Itoa(number)).Output()
		if err == nil && len(out) > 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.t.Fatalf("nothing listens on port %d after 4 s", number)
}

// publish binds ports as -p has them and starts a forwarder in the place.
func (p place) publish(values ...string) (bound []port.Bound, forwarder *exec.Cmd) {
	p.t.Helper()
	return p.publishWith(nil, values...)
}

// publishWith has the forwarder started by another command.
func (p place) publishWith(wrapper []string, values ...string) (bound []port.Bound, forwarder *exec.Cmd) {
	p.t.Helper()
	list, err := port.Parse(values)
	if err != nil {
		p.t.Fatal(err)
	}
	bound, err = port.Bind(list)
	if err != nil {
		p.t.Fatal(err)
	}
	var files []*os.File
	inherited := make([]port.Bound, len(bound))
	for i, b := range bound {
		files = append(files, os.NewFile(uintptr(b.FD), "socket"))
		inherited[i] = b
		inherited[i].FD = 3 + i
	}
	words := append(append(wrapper, trial.Bin(p.t, "rl-netd"), "forward"), port.ForwardArgs(inherited)...)
	forwarder = p.start(files, words...)
	for _, f := range files {
		f.Close()
	}
	return bound, forwarder
}

func at(host string, b port.Bound) string {
	return net.JoinHostPort(host, strconv.Itoa(int(b.HostPort)))
}

// dial connects from the host.
func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(trial.Timeout))
	return c
}

// refused says whether nothing listens at an address of the host.
func refused(address string) bool {
	c, err := net.Dial("tcp", address)
	if err == nil {
		_ = c.Close()
	}
	return err != nil && strings.Contains(err.Error(), unix.ECONNREFUSED.Error())
}

// nginx serves a page that says whom it sees, and what the test puts in its directory.
func (p place) nginx(listen ...string) (dir string) {
	p.t.Helper()
	trial.NeedTool(p.t, "nginx")
	dir = p.t.TempDir()
	var lines strings.Builder
	for _, l := range listen {
		fmt.Fprintf(&lines, "listen %s backlog=1024;", l)
	}
	config := fmt.Sprintf(`daemon off; master_process off; user root; pid %[1]s/pid; error_log stderr crit;
		worker_rlimit_nofile 4096;
		events { worker_connections 2048; }
		http {
			access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s;
			uwsgi_temp_path %[1]s; scgi_temp_path %[1]s; client_max_body_size 0;
			server { %[2]s
				location / { root %[1]s; }
				location /who { return 200 "$remote_addr $server_addr\n"; }
				location /put/ { root %[1]s; dav_methods PUT; create_full_put_path on; }
			}
		}`, dir, lines.String())
	if err := os.WriteFile(dir+"/conf", []byte(config), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.start(nil, "nginx", "-e", "stderr", "-c", dir+"/conf")
	return dir
}

// readAll reads to the end, which may not be an error.
func readAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	all, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	return all
}
