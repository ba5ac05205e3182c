package terminal

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Session is the user's side of a container with a pty. Its methods may be
// called from several goroutines.
type Session struct {
	in, out int
	inIsTTY bool // in is a terminal, so there are modes to change
	sizeOf  int  // the terminal whose size counts, or -1

	wakeInput, wakeOutput wake

	mu       sync.Mutex
	saved    unix.Termios // of in, if it is a terminal
	wantRaw  bool         // Raw was called, and Restore not since
	isRaw    bool         // the terminal is raw, by us
	master   int          // what Relay copies to and from, or -1
	ended    bool
	hangup   error // the user's terminal went away
	isClosed bool
}

// Open begins a session with the user's input and output, and keeps the modes
// of the terminal that stdin is, if it is one. Nothing is changed yet. stdin is
// -1 if the container gets no input; the descriptors stay the caller's.
func Open(stdin, stdout int) (*Session, error) {
	s := &Session{in: stdin, out: stdout, sizeOf: -1, master: -1}
	if stdin >= 0 {
		if t, err := unix.IoctlGetTermios(stdin, unix.TCGETS); err == nil {
			s.inIsTTY, s.saved, s.sizeOf = true, *t, stdin
		}
	}
	if IsTerminal(stdout) {
		s.sizeOf = stdout
	}
	var err error
	if s.wakeInput, err = newWake(); err != nil {
		return nil, err
	}
	if s.wakeOutput, err = newWake(); err != nil {
		s.wakeInput.close()
		return nil, err
	}
	return s, nil
}

// Close restores the terminal and frees what the session holds. It is called
// after Relay has returned, and may be called twice.
func (s *Session) Close() error {
	err := s.Restore()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isClosed {
		s.isClosed = true
		s.wakeInput.close()
		s.wakeOutput.close()
	}
	return err
}

// End says that the container is gone: nothing more is read from the user, and
// Relay returns when it has copied what the pty still holds. It may be called
// before Relay, and more than once.
func (s *Session) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}

func (s *Session) end() {
	s.ended = true
	if !s.isClosed {
		s.wakeInput.signal()
		s.wakeOutput.signal()
	}
}

// IsTerminal tells whether fd is a terminal.
func IsTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// Size returns the size of the user's terminal: that of stdout, else of stdin.
// It is false where neither is a terminal. A terminal that does not know its
// size has 0 rows and columns.
func (s *Session) Size() (unix.Winsize, bool) {
	if s.sizeOf < 0 {
		return unix.Winsize{}, false
	}
	ws, err := unix.IoctlGetWinsize(s.sizeOf, unix.TIOCGWINSZ)
	if err != nil {
		return unix.Winsize{}, false
	}
	return *ws, true
}

// SetSize gives a pty its size. The kernel sends SIGWINCH to the foreground
// group inside if it differs from the one before.
func SetSize(master int, ws unix.Winsize) error {
	if err := unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &ws); err != nil {
		return &os.PathError{Op: "resize", Path: "pty", Err: err}
	}
	return nil
}
