package terminal

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRawAndRestore(t *testing.T) {
	user := openPTY(t)
	// Not the modes that a terminal begins with.
	modes := termios(t, user.slave)
	modes.Iflag |= unix.IXOFF
	modes.Lflag &^= unix.ECHOE
	modes.Cc[unix.VEOF], modes.Cc[unix.VMIN] = 7, 3
	if err := unix.IoctlSetTermios(user.slave, unix.TCSETS, &modes); err != nil {
		t.Fatal(err)
	}
	before := termios(t, user.slave)

	s := open(t, user.slave, user.slave)
	if termios(t, user.slave) != before {
		t.Fatal("Open changed the terminal")
	}
	for range 2 {
		if err := s.Raw(); err != nil {
			t.Fatal(err)
		}
		now := termios(t, user.slave)
		if now.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG|unix.IEXTEN) != 0 || now.Oflag&unix.OPOST != 0 ||
			now.Iflag&(unix.ICRNL|unix.IXON) != 0 || now.Cc[unix.VMIN] != 1 || now.Cc[unix.VTIME] != 0 {
			t.Fatalf("not raw: %+v", now)
		}
	}
	for range 2 {
		if err := s.Restore(); err != nil {
			t.Fatal(err)
		}
		if now := termios(t, user.slave); now != before {
			t.Fatalf("restored %+v; want %+v", now, before)
		}
	}

	// Once restored, it is left alone, whoever changes it.
	other := before
	other.Lflag ^= unix.ECHO
	if err := unix.IoctlSetTermios(user.slave, unix.TCSETS, &other); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if now := termios(t, user.slave); now != other {
		t.Fatalf("touched after the restore: %+v", now)
	}
	s.End() // must not write to a descriptor that is another's by now
}

func TestTypeAheadOutlivesTheModes(t *testing.T) {
	user := openPTY(t)
	s := open(t, user.slave, user.slave)
	if err := s.Raw(); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(user.master, []byte("ls\n")); err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(); err != nil {
		t.Fatal(err)
	}
	if got := readFull(t, user.slave, 3); string(got) != "ls\n" {
		t.Fatalf("read %q", got)
	}
}

func TestNoTerminal(t *testing.T) {
	r, w := newPipe(t)
	for _, in := range []int{-1, fdOf(r)} {
		s := open(t, in, fdOf(w))
		if err := s.Raw(); err != nil {
			t.Error(err)
		}
		if _, ok := s.Size(); ok {
			t.Error("a pipe has a size")
		}
		if err := s.Restore(); err != nil {
			t.Error(err)
		}
		if s.HandleSignal(unix.SIGTERM) || !s.HandleSignal(unix.SIGWINCH) {
			t.Error("wrong signals taken")
		}
	}
}

func TestSizeIsThatOfTheOutput(t *testing.T) {
	one, two := openPTY(t), openPTY(t)
	r, w := newPipe(t)
	sizes := map[int]unix.Winsize{
		one.slave: {Row: 10, Col: 20, Xpixel: 30, Ypixel: 40},
		two.slave: {Row: 50, Col: 60},
	}
	for fd, ws := range sizes {
		if err := SetSize(fd, ws); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ in, out, want int }{
		{one.slave, two.slave, two.slave},
		{one.slave, fdOf(w), one.slave},
		{fdOf(r), two.slave, two.slave},
		{-1, two.slave, two.slave},
	} {
		got, ok := open(t, c.in, c.out).Size()
		if !ok || got != sizes[c.want] {
			t.Errorf("%+v, %v; want %+v", got, ok, sizes[c.want])
		}
	}
}

func TestSetSizeOfNoTerminal(t *testing.T) {
	_, w := newPipe(t)
	err := SetSize(fdOf(w), unix.Winsize{Row: 1, Col: 1})
	if err == nil || err.Error() != "resize pty: inappropriate ioctl for device" {
		t.Errorf("%v", err)
	}
}

func TestIsTerminal(t *testing.T) {
	p := openPTY(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if !IsTerminal(p.slave) || !IsTerminal(p.master) || IsTerminal(fdOf(null)) || IsTerminal(-1) {
		t.Error("wrong")
	}
}

func TestResize(t *testing.T) {
	user, inner := openPTY(t), openPTY(t)
	first, second := unix.Winsize{Row: 24, Col: 80}, unix.Winsize{Row: 50, Col: 132, Ypixel: 7}
	if err := SetSize(user.slave, first); err != nil {
		t.Fatal(err)
	}
	s := open(t, user.slave, user.slave)
	s.HandleSignal(unix.SIGWINCH) // before there is a pty: nothing to do
	done := relay(s, inner.master)
	size := func() unix.Winsize {
		ws, err := unix.IoctlGetWinsize(inner.slave, unix.TIOCGWINSZ)
		if err != nil {
			t.Fatal(err)
		}
		return *ws
	}
	eventually(t, "the pty has the size of the terminal", func() bool { return size() == first })
	if err := SetSize(user.slave, second); err != nil {
		t.Fatal(err)
	}
	if !s.HandleSignal(unix.SIGWINCH) || size() != second {
		t.Errorf("size %+v; want %+v", size(), second)
	}
	if !s.HandleSignal(unix.SIGCONT) || size() != second {
		t.Errorf("size after a redraw %+v; want %+v", size(), second)
	}
	s.End()
	if err := result(t, done); err != nil {
		t.Error(err)
	}
}
