package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func socketPair(t *testing.T) (ours, theirs int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closeOnce(&fds[0])
		closeOnce(&fds[1])
	})
	return fds[0], fds[1]
}

func send(t *testing.T, sock int, data string, fds ...int) {
	t.Helper()
	var control []byte
	if len(fds) > 0 {
		control = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(sock, []byte(data), control, nil, 0); err != nil {
		t.Fatal(err)
	}
}

// openFDs lists the descriptors of this process with what they are.
func openFDs(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	fds := make(map[string]string)
	for _, name := range names {
		if to, err := os.Readlink(name); err == nil {
			fds[name] = to
		}
	}
	return fds
}

func TestReceiveMaster(t *testing.T) {
	p := openPTY(t)
	ours, theirs := socketPair(t)
	if err := unix.SetNonblock(ours, true); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	rights := unix.UnixRights(p.master)
	go func() {
		time.Sleep(10 * time.Millisecond) // the receiver is to wait
		sent <- unix.Sendmsg(theirs, []byte("pty"), rights, nil, 0)
	}()
	fd, err := ReceiveMaster(ours)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("not close-on-exec: %#x, %v", flags, err)
	}
	want, err := unix.IoctlGetInt(p.master, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unix.IoctlGetInt(fd, unix.TIOCGPTN); err != nil || got != want {
		t.Errorf("pty %d, %v; want %d", got, err, want)
	}
}

func TestReceiveRefuses(t *testing.T) {
	p := openPTY(t)
	pathFD := func(path string, flags int) int {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd
	}
	regular := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(regular, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, w := newPipe(t)
	for _, c := range []struct {
		what string
		fds  []int
		want error
	}{
		{"nothing", nil, errNotOne},
		{"two masters", []int{p.master, p.master}, errNotOne},
		{"many descriptors", []int{p.master, fdOf(r), fdOf(w), fdOf(r), fdOf(w)}, errNotOne},
		{"the slave", []int{p.slave}, errNotMaster},
		{"/dev/null", []int{pathFD("/dev/null", unix.O_RDWR)}, errNotMaster},
		{"/dev/ptmx by O_PATH", []int{pathFD("/dev/ptmx", unix.O_PATH)}, errNotMaster},
		{"/dev/ptmx read-only", []int{pathFD("/dev/ptmx", unix.O_RDONLY)}, errNotMaster},
		{"a pipe", []int{fdOf(r)}, errNotMaster},
		{"a file", []int{pathFD(regular, unix.O_RDWR)}, errNotMaster},
	} {
		t.Run(c.what, func(t *testing.T) {
			ours, theirs := socketPair(t)
			if len(c.fds) == 1 {
				if err := CheckMaster(c.fds[0]); err == nil || err.Error() != "check pty: "+c.want.Error() {
					t.Errorf("check: %v; want %v", err, c.want)
				}
			}
			send(t, theirs, "x", c.fds...)
			before := openFDs(t)
			fd, err := ReceiveMaster(ours)
			if fd != -1 || !errors.Is(err, c.want) || err.Error() != "receive pty: "+c.want.Error() {
				t.Errorf("%d, %v; want %v", fd, err, c.want)
			}
			if after := openFDs(t); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("descriptors before %v, after %v", before, after)
			}
		})
	}
}

func TestReceiveFromNobody(t *testing.T) {
	ours, theirs := socketPair(t)
	_ = unix.Shutdown(theirs, unix.SHUT_RDWR)
	if _, err := ReceiveMaster(ours); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
	if _, err := ReceiveMaster(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("%v", err)
	}
}
