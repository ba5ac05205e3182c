package run

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// activated starts rl-run as systemd starts a service with a socket: it is descriptor 3.
func activated(t *testing.T, l *os.File, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec "$@"`, "sh", trial.Bin(t, "rl-run")}, args...)...)
	c.ExtraFiles = []*os.File{l}
	c.Stderr = os.Stderr
	return c
}

// What a socket of the host accepts is answered in a container without a network.
func TestListenFD(t *testing.T) {
	begin(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c := activated(t, file, "--listen-fd", "--net=none", trial.Tree(t, "debian"), "perl", "-e",
		`open(S, "+<&=3") or die; accept(C, S) or die; print C "$ENV{LISTEN_PID} $$ $ENV{LISTEN_FDS} $ENV{LISTEN_FDNAMES}\n"; close C`)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || line != "2 2 1 web\n" {
		t.Errorf("%q, %v", line, err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// systemd's own tool starts rl-run at the first connection, which waits for it.
func TestListenFDOfSystemd(t *testing.T) {
	begin(t)
	activate := trial.NeedTool(t, "systemd-socket-activate")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String() // free again in a moment
	_ = l.Close()
	c := trial.Command{Path: activate, Args: []string{
		"--listen=" + at, trial.Bin(t, "rl-run"), "--quiet", "--listen-fd", "--net=none", trial.Tree(t, "debian"), "perl", "-e",
		`open(S, "+<&=3") or die; accept(C, S) or die; print C "served by $$ of $ENV{LISTEN_PID}\n"; close C`,
	}}.Start(t)
	c.Stderr("Listening on " + at)
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(trial.Timeout))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "served by 2 of 2\n" {
		t.Errorf("%q, %v", line, err)
	}
	if r := c.Wait(); r.Code != 0 {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
}

// passed has a container write to the socket that it is passed, which process has it and for which it is meant.
func passed(t *testing.T, env []string, options ...string) string {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "ours"), os.NewFile(uintptr(ends[1]), "theirs")
	defer ours.Close()
	c := activated(t, theirs, slices.Concat([]string{"--quiet", "--listen-fd"}, options,
		[]string{trial.Tree(t, "busybox"), "sh", "-c", `echo "process $$ for $LISTEN_PID" >&3`})...)
	c.Env = append(os.Environ(), env...)
	err = c.Run()
	_ = theirs.Close()
	if err != nil {
		t.Error(err)
	}
	text, err := io.ReadAll(ours)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// Without an init the command is process 1, as LISTEN_PID says.
func TestListenFDWithoutInit(t *testing.T) {
	begin(t)
	want(t, "said", passed(t, nil, "--net=none", "--init=false"), "process 1 for 1\n")
	want(t, "said", passed(t, nil, "--net=none"), "process 2 for 2\n")
}

// A start that is tried again passes the socket on, too: programs that wrote the id map of the first try must not have it,
// the command must.
func TestListenFDOfSecondTry(t *testing.T) {
	begin(t)
	dir := t.TempDir()
	for _, driver := range []string{"pasta", "slirp4netns"} {
		text := "#!/bin/sh\n[ \"$1\" != --help ] && echo reason >&2 && exit 1\nexec /usr/bin/" + driver + " --help\n"
		if err := os.WriteFile(dir+"/"+driver, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "said", passed(t, []string{"PATH=" + dir + ":" + os.Getenv("PATH")}), "process 2 for 2\n")
}

// Without the option a socket stays outside, like any descriptor.
func TestListenFDIsAskedFor(t *testing.T) {
	begin(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c := activated(t, null, "--net=none", trial.Tree(t, "busybox"), "sh", "-c", "ls /proc/self/fd; echo $LISTEN_FDS")
	out, err := c.Output()
	if got := strings.Fields(string(out)); err != nil || len(got) > 4 {
		t.Errorf("descriptors %q, %v", got, err)
	}
	c = activated(t, null, "--listen-fd", trial.Tree(t, "busybox"), "true")
	c.Stderr = nil
	_, err = c.Output()
	exit, ok := err.(*exec.ExitError) //nolint:errorlint // it is what Output returns
	if !ok || exit.ExitCode() != 125 || !strings.Contains(string(exit.Stderr), "--listen-fd: ") {
		t.Errorf("a descriptor that is no socket: %v: %s", err, exit.Stderr)
	}
}
