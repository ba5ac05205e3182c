package terminal

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The end of an input that is no terminal is the end of the file for who reads the pty by lines, once.
func TestEndOfInputByLines(t *testing.T) {
	for _, text := range []string{"", "a line\n", "carriage return\r", "two\nlines", "end\x04"} {
		inner := openPTY(t)
		userIn, feed := newPipe(t)
		_, userOut := newPipe(t)
		s := open(t, fdOf(userIn), fdOf(userOut))
		done := relay(s, inner.master)
		if _, err := feed.WriteString(text); err != nil {
			t.Fatal(err)
		}
		_ = feed.Close()
		var got string
		for {
			part, ended := readLine(t, inner.slave)
			if got += part; ended {
				break
			}
		}
		want := map[string]string{"carriage return\r": "carriage return\n", "end\x04": "end"}[text]
		if want == "" {
			want = text
		}
		if got != want {
			t.Errorf("%q: read %q", text, got)
		}
		if data, err := tryRead(inner.slave, 1, 50*time.Millisecond); !errors.Is(err, errNothing) {
			t.Errorf("%q: a second end, or %q: %v", text, data, err)
		}
		s.End()
		if err := result(t, done); err != nil {
			t.Error(err)
		}
	}
}

// readLine reads what there is, and reports whether that was the end.
func readLine(t *testing.T, fd int) (text string, ended bool) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, int(patience.Milliseconds())); err != nil || n == 0 {
		t.Fatalf("nothing to read: %v", os.NewSyscallError("poll", err))
	}
	buf := make([]byte, 100)
	n, err := unix.Read(fd, buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n]), n == 0
}

// Who reads bytes gets those of the input alone, and the end when lines are read again.
func TestEndOfInputByBytes(t *testing.T) {
	inner := openPTY(t)
	cooked := termios(t, inner.slave)
	raw(t, inner.slave)
	userIn, feed := newPipe(t)
	_, userOut := newPipe(t)
	s := open(t, fdOf(userIn), fdOf(userOut))
	done := relay(s, inner.master)
	if _, err := feed.WriteString("key"); err != nil {
		t.Fatal(err)
	}
	_ = feed.Close()
	if got := readFull(t, inner.slave, 3); string(got) != "key" {
		t.Errorf("read %q", got)
	}
	if data, err := tryRead(inner.slave, 1, 3*rawPause*time.Millisecond); !errors.Is(err, errNothing) {
		t.Errorf("then %q, %v", data, err)
	}
	if err := unix.IoctlSetTermios(inner.slave, unix.TCSETS, &cooked); err != nil {
		t.Fatal(err)
	}
	if text, ended := readLine(t, inner.slave); !ended {
		t.Errorf("read %q", text)
	}
	if data, err := tryRead(inner.slave, 1, 50*time.Millisecond); !errors.Is(err, errNothing) {
		t.Errorf("a second end, or %q: %v", data, err)
	}
	s.End()
	if err := result(t, done); err != nil {
		t.Error(err)
	}
}
