package terminal

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

// Sizes of the buffers, in bytes. A read of a pty returns at most 4095 bytes;
// several of them go out in one write. More than this would only be more to sit
// through after ^C on a slow line.
const (
	outputBuffer = 32 << 10
	inputBuffer  = 16 << 10
)

// drainLimit bounds, in bytes, what is copied after End. The kernel holds at
// most 640 KiB for a pty (TTYB_DEFAULT_MEM_LIMIT) and 4 KiB of line discipline:
// more is written by a process that End did not mean, as with --pid=host, and
// may never stop.
const drainLimit = 1 << 20

const (
	// hungUpPause is how often, in ms, a pty that nothing inside has open is
	// looked at again: poll(2) cannot wait for it, because it reports POLLHUP all
	// the time.
	hungUpPause = 100
	// backgroundPause is how often, in ms, a launcher in the background looks
	// whether the terminal is its own again: a shell that puts a running job in
	// the foreground sends it no signal.
	backgroundPause = 200
)

// inputGrace is how long Relay waits for the reader of the input to end. It is
// past poll(2), so it waits for nothing but a byte that someone else took from
// the same terminal in between.
const inputGrace = 100 * time.Millisecond

// Relay copies what the container writes to the user, and what the user types
// to the container, byte by byte the same, until [Session.End] has been called
// and all that the container wrote is copied. The master is set non-blocking
// and gets the size of the user's terminal; it stays the caller's to close,
// after Relay has returned.
//
// The end of an input that is no terminal ends that direction alone: as at a
// keyboard, the pty gets its end-of-file character, but not while it is read byte
// by byte, when that would be a byte like others. An error,
// an *os.PathError, means that the user is gone: the output cannot be written
// (EPIPE, EIO), or the terminal hung up (EIO). To close the master is then what
// a terminal does when it goes away: it sends SIGHUP inside.
func (s *Session) Relay(master int) error {
	if err := unix.SetNonblock(master, true); err != nil {
		return &os.PathError{Op: "relay", Path: "pty", Err: err}
	}
	s.mu.Lock()
	s.master = master
	s.resize()
	s.mu.Unlock()

	inputDone := make(chan struct{})
	go func() {
		defer close(inputDone)
		defer s.restoreOnPanic()()
		s.copyInput(master)
	}()
	defer s.restoreOnPanic()()
	err := s.copyOutput(master)

	s.mu.Lock()
	s.master = -1
	s.end()
	s.mu.Unlock()
	grace := time.NewTimer(inputGrace)
	defer grace.Stop()
	select {
	case <-inputDone:
	case <-grace.C:
	}
	return err
}

// copyOutput returns nil when the container has ended and the pty is empty.
func (s *Session) copyOutput(master int) error {
	buf := make([]byte, outputBuffer)
	left := drainLimit
	for {
		// Looked at before the read: only a pty that is empty after the end is
		// empty for good. A read finds all that was written before, because it
		// flushes the kernel's queue first (n_tty_read, since Linux 4.5).
		ended, hangup := s.state()
		if hangup != nil {
			return hangup
		}

		n, err := fill(master, buf)
		if n > 0 {
			if err := s.write(buf[:n]); err != nil {
				return err
			}
			if ended {
				left -= n
			}
		}
		switch {
		case ended && (err != nil || left <= 0):
			return nil
		case err == nil:
		case errors.Is(err, unix.EAGAIN):
			s.wakeOutput.wait(master, unix.POLLIN, -1)
		default: // EIO: nothing inside has the pty open, though something may open it again
			s.wakeOutput.wait(-1, 0, hungUpPause)
		}
	}
}

// fill reads until buf is full or a read fails.
func fill(fd int, buf []byte) (n int, err error) {
	for n < len(buf) {
		m, err := read(fd, buf[n:])
		if err == nil && m == 0 {
			err = unix.EIO
		}
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// write writes all of data to the user. It may block for as long as the user
// does not read: nothing is lost, and a ^C still goes the other way.
func (s *Session) write(data []byte) error {
	for len(data) > 0 {
		n, err := write(s.out, data)
		switch {
		case err == nil:
			data = data[n:]
		case errors.Is(err, unix.EAGAIN):
			// Someone else made the descriptor non-blocking.
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(s.out), Events: unix.POLLOUT}}, -1)
		default:
			return &os.PathError{Op: "write", Path: "output", Err: err}
		}
	}
	return nil
}

// copyInput returns at the end of the input or of the container.
func (s *Session) copyInput(master int) {
	if s.in < 0 {
		return
	}
	buf := make([]byte, inputBuffer)
	last := byte('\n')
	for {
		switch s.mayRead() {
		case readNever:
			return
		case readLater:
			s.wakeInput.wait(-1, 0, backgroundPause)
			continue
		case readNow:
		}
		events := s.wakeInput.wait(s.in, unix.POLLIN, -1)
		if events == 0 || s.mayRead() != readNow {
			continue
		}
		n, err := read(s.in, buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			continue
		case err != nil || n == 0:
			switch {
			case !s.inIsTTY:
				s.feedEnd(master, last)
			case err != nil || events&unix.POLLHUP != 0:
				s.hungUp()
			}
			return
		}
		if !s.feed(master, buf[:n]) {
			return
		}
		last = buf[n-1]
	}
}

// feed writes all of data to the pty. It is false when the pty takes no more.
func (s *Session) feed(master int, data []byte) bool {
	for len(data) > 0 {
		n, err := write(master, data)
		switch {
		case err == nil:
			data = data[n:]
			continue
		case !errors.Is(err, unix.EAGAIN):
			return false
		}
		if ended, _ := s.state(); ended {
			return false
		}
		events := s.wakeInput.wait(master, unix.POLLOUT, -1)
		if events&unix.POLLOUT == 0 && events&unix.POLLHUP != 0 {
			s.wakeInput.wait(-1, 0, hungUpPause)
		}
	}
	return true
}

// permission to read from the user
type permission int

const (
	readNow permission = iota
	readLater
	readNever
)

// mayRead tells whether a byte of the user would be the container's. In the
// background it is the shell's, and to read it would stop this process; when
// the terminal turns out to be ours again, it becomes raw first.
func (s *Session) mayRead() permission {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return readNever
	case !s.wantRaw || s.isRaw:
		return readNow
	}
	if err := s.enterRaw(); err != nil {
		s.hangUp()
		return readNever
	}
	if !s.isRaw {
		return readLater
	}
	s.redraw()
	return readNow
}

func (s *Session) state() (ended bool, hangup error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended, s.hangup
}

// hungUp makes Relay return because the user's terminal went away.
func (s *Session) hungUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangUp()
}

func (s *Session) hangUp() {
	s.hangup = &os.PathError{Op: "read", Path: "terminal", Err: unix.EIO}
	s.end()
}

// restoreOnPanic returns a function to defer: in a goroutine of this package a
// panic ends the process without the deferred calls of the caller.
func (s *Session) restoreOnPanic() func() {
	return func() {
		if v := recover(); v != nil {
			_ = s.Restore()
			panic(v)
		}
	}
}

func read(fd int, p []byte) (n int, err error) {
	err = sys.Retry(func() (err error) { n, err = unix.Read(fd, p); return })
	return max(n, 0), err
}

func write(fd int, p []byte) (n int, err error) {
	err = sys.Retry(func() (err error) { n, err = unix.Write(fd, p); return })
	return max(n, 0), err
}
