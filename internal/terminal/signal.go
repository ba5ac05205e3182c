package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// HandleSignal acts on a signal that this process received, and tells whether
// it did, so that it is not passed on to the container:
//
//   - SIGWINCH: the pty gets the size of the user's terminal.
//   - SIGTSTP, which comes from outside, since ^Z goes to the container: the
//     terminal gets its modes back and this process stops, until SIGCONT.
//   - SIGCONT: the terminal becomes raw again, and what runs inside is told to
//     redraw. After bg that happens when the terminal is ours again.
func (s *Session) HandleSignal(sig os.Signal) bool {
	switch sig {
	case unix.SIGWINCH:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.resize()
	case unix.SIGTSTP:
		s.suspend()
	case unix.SIGCONT:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.resume()
	default:
		return false
	}
	return true
}

// suspend stops this process by SIGSTOP: SIGTSTP itself is caught, and would
// come back. The container runs on until its pty is full.
func (s *Session) suspend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.leaveRaw()
	stopSelf()
	s.resume()
}

// resume takes the terminal back after a stop. The modes are set even if they
// were before: a shell sets its own when a job stops, by SIGSTOP too, which no
// program sees coming. In the background they are left for the goroutine that
// reads the input, which looks for the foreground until it finds it.
func (s *Session) resume() {
	if s.wantRaw {
		s.isRaw = false
		_ = s.enterRaw()
	}
	s.redraw()
	if !s.isClosed {
		s.wakeInput.signal()
	}
}

// resize gives the pty the size of the user's terminal. It cannot fail in a way
// that matters: a pty that is gone needs no size.
func (s *Session) resize() {
	if s.master < 0 {
		return
	}
	// A terminal that does not know its size leaves the pty the one it has.
	if ws, ok := s.Size(); ok && ws.Row != 0 && ws.Col != 0 {
		_ = SetSize(s.master, ws)
	}
}

// redraw makes the kernel send SIGWINCH inside although the size is the same:
// it does so for a change of the pixels alone, by which no program takes rows
// or columns to be others for a moment. TIOCSIG, which would be shorter, takes
// only SIGINT, SIGQUIT and SIGTSTP (pty_signal).
func (s *Session) redraw() {
	if s.master < 0 {
		return
	}
	if ws, ok := s.Size(); ok && ws.Row != 0 && ws.Col != 0 {
		other := ws
		other.Ypixel ^= 1
		_ = SetSize(s.master, other)
		_ = SetSize(s.master, ws)
	}
}
