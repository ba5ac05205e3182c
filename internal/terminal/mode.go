package terminal

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

// stopPause is how long, in ms, Raw waits for a stop to take effect.
const stopPause = 20

// Raw hands every key to the container: no echo, no line editing, no signal
// from ^C, ^Z or ^\, no change to the output (cfmakeraw, termios(3)). Without a
// terminal for input it does nothing.
//
// In the background the process group is stopped first, as the kernel does to
// any program that sets modes there (SIGTTOU, POSIX 11.1.4). When it is
// continued and still in the background, or cannot be stopped, Raw returns all
// the same, and the terminal becomes raw once it is ours: so a stopped
// launcher that is told to end does so, without being brought to the foreground.
func (s *Session) Raw() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inIsTTY || s.wantRaw {
		return nil
	}
	s.wantRaw = true
	if !s.inForeground() {
		// The whole group, or a shell does not see the job as stopped. Another
		// thread may take the signal, so the stop comes a little later; nothing
		// depends on its coming at all, the pause only keeps output back. To
		// signal this thread as well could stop it again right after fg.
		_ = unix.Kill(0, unix.SIGTTOU)
		_, _ = unix.Poll(nil, stopPause)
	}
	return s.enterRaw()
}

// Restore gives the user's terminal its modes back. It does nothing when they
// were not changed, so it may be called again, and on every way out; nor in the
// background, where they are the shell's again already, and setting them would
// stop a process that is about to end.
func (s *Session) Restore() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wantRaw = false
	return s.leaveRaw()
}

// enterRaw makes the terminal raw, unless it is another's at the moment.
func (s *Session) enterRaw() error {
	if !s.inForeground() {
		return nil
	}
	raw := s.saved
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag &^= unix.CSIZE | unix.PARENB
	raw.Cflag |= unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := s.setModes(&raw); err != nil {
		return err
	}
	s.isRaw = true
	return nil
}

func (s *Session) leaveRaw() error {
	if !s.isRaw {
		return nil
	}
	s.isRaw = false
	if !s.inForeground() {
		return nil
	}
	return s.setModes(&s.saved)
}

// setModes takes effect at once (TCSANOW). To wait for the output (TCSADRAIN)
// could hang a launcher that is about to end, and gains nothing, because output
// modes are applied when a byte is written; to drop the input (TCSAFLUSH) would
// lose what was typed ahead.
func (s *Session) setModes(t *unix.Termios) error {
	err := sys.Retry(func() error { return unix.IoctlSetTermios(s.in, unix.TCSETS, t) })
	if err != nil {
		return &os.PathError{Op: "set modes of", Path: "terminal", Err: err}
	}
	return nil
}

// inForeground tells whether the terminal listens to our process group. One
// that is not our controlling terminal (ENOTTY) knows no job control.
func (s *Session) inForeground() bool {
	group, err := unix.IoctlGetInt(s.in, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// stopSelf stops the process before the call returns, which a signal to the
// process as a whole would not: another thread might take it, and this one run
// on for a moment.
func stopSelf() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGSTOP)
}
