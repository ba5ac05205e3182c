package terminal

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
)

// patience bounds every wait of these tests; it is long because machines are
// shared.
const patience = 20 * time.Second

// pty is a pair of ends, open until the test ends or closes them.
type pty struct{ master, slave int }

func openPTY(t *testing.T) *pty {
	t.Helper()
	p, err := newPTY()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.closeMaster()
		p.closeSlave()
	})
	return p
}

func newPTY() (*pty, error) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	p := &pty{master: master, slave: -1}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		p.closeMaster()
		return nil, os.NewSyscallError("unlock pty", err)
	}
	if err := p.openSlave(); err != nil {
		p.closeMaster()
		return nil, err
	}
	return p, nil
}

func (p *pty) openSlave() error {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(p.master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return os.NewSyscallError("open slave", errno)
	}
	p.slave = int(fd)
	return nil
}

func (p *pty) closeMaster() { closeOnce(&p.master) }
func (p *pty) closeSlave()  { closeOnce(&p.slave) }

func closeOnce(fd *int) {
	if *fd >= 0 {
		_ = unix.Close(*fd)
		*fd = -1
	}
}

// raw makes a terminal pass bytes through as they are.
func raw(t *testing.T, fd int) {
	t.Helper()
	modes := termios(t, fd)
	modes.Iflag, modes.Oflag, modes.Lflag = 0, 0, 0
	modes.Cc[unix.VMIN], modes.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &modes); err != nil {
		t.Fatal(err)
	}
}

func termios(t *testing.T, fd int) unix.Termios {
	t.Helper()
	modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *modes
}

func newPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	// Blocking, and without Go's poller, as descriptors from a shell are.
	r, w = os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
	t.Cleanup(func() {
		_ = r.Close()
		_ = w.Close()
	})
	return r, w
}

func fdOf(f *os.File) int { return int(f.Fd()) }

func open(t *testing.T, stdin, stdout int) *Session {
	t.Helper()
	s, err := Open(stdin, stdout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// relay runs Relay; the result comes out of the channel.
func relay(s *Session, master int) <-chan error {
	done := make(chan error, 1)
	go func() { done <- s.Relay(master) }()
	return done
}

// result waits for Relay to return.
func result(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatal("Relay does not return")
		return nil
	}
}

// readFull reads exactly n bytes from a blocking descriptor, or fails when they
// do not come.
func readFull(t *testing.T, fd, n int) []byte {
	t.Helper()
	data, err := tryRead(fd, n, patience)
	if err != nil {
		t.Fatalf("%d of %d bytes read: %v", len(data), n, err)
	}
	return data
}

var errNothing = errors.New("nothing to read")

func tryRead(fd, n int, wait time.Duration) (data []byte, err error) {
	deadline := time.Now().Add(wait)
	for len(data) < n {
		left := max(time.Until(deadline).Milliseconds(), 0)
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		ready, err := unix.Poll(fds, int(left))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || ready == 0 {
			return data, errors.Join(errNothing, err)
		}
		buf := make([]byte, n-len(data))
		m, err := read(fd, buf)
		if err != nil {
			return data, err
		}
		if m == 0 {
			return data, fmt.Errorf("end of file")
		}
		data = append(data, buf[:m]...)
	}
	return data, nil
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	leak.Eventually(t, patience, what, condition)
}
