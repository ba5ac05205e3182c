package terminal

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestOutputGone(t *testing.T) {
	inner := openPTY(t)
	sink, userOut := newPipe(t)
	s := open(t, -1, fdOf(userOut))
	done := relay(s, inner.master)
	_ = sink.Close()
	if _, err := unix.Write(inner.slave, []byte("to nobody")); err != nil {
		t.Fatal(err)
	}
	err := result(t, done)
	if !errors.Is(err, unix.EPIPE) || err.Error() != "write output: broken pipe" {
		t.Errorf("%v", err)
	}
}

func TestUserTerminalHangsUp(t *testing.T) {
	for _, writes := range []bool{false, true} {
		user, inner := openPTY(t), openPTY(t)
		s := open(t, user.slave, user.slave)
		if err := s.Raw(); err != nil {
			t.Fatal(err)
		}
		done := relay(s, inner.master)
		user.closeMaster()
		if writes {
			if _, err := unix.Write(inner.slave, []byte("to nobody")); err != nil {
				t.Fatal(err)
			}
		}
		if err := result(t, done); !errors.Is(err, unix.EIO) {
			t.Errorf("%v", err)
		}
		_ = s.Restore() // fails, and must not hang
	}
}

// A command may close all its descriptors of the pty and open it again.
func TestSlaveClosedAndOpenedAgain(t *testing.T) {
	inner := openPTY(t)
	raw(t, inner.slave)
	userIn, feed := newPipe(t)
	sink, userOut := newPipe(t)
	s := open(t, fdOf(userIn), fdOf(userOut))
	done := relay(s, inner.master)
	inner.closeSlave()
	before := cpuTime(t)
	time.Sleep(500 * time.Millisecond)
	if used := cpuTime(t) - before; used > 50*time.Millisecond {
		t.Errorf("%v of processor time while the slave was closed", used)
	}
	if err := inner.openSlave(); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(inner.slave, []byte("back")); err != nil {
		t.Fatal(err)
	}
	if got := readFull(t, fdOf(sink), 4); string(got) != "back" {
		t.Errorf("read %q", got)
	}
	if _, err := feed.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	if got := readFull(t, inner.slave, 5); string(got) != "hello" {
		t.Errorf("read %q", got)
	}
	s.End()
	if err := result(t, done); err != nil {
		t.Error(err)
	}
}

func TestIdleCostsNothing(t *testing.T) {
	user, inner := openPTY(t), openPTY(t)
	s := open(t, user.slave, user.slave)
	if err := s.Raw(); err != nil {
		t.Fatal(err)
	}
	done := relay(s, inner.master)
	time.Sleep(50 * time.Millisecond)
	before := cpuTime(t)
	time.Sleep(time.Second)
	if used := cpuTime(t) - before; used > 20*time.Millisecond {
		t.Errorf("%v of processor time in an idle second", used)
	}
	s.End()
	if err := result(t, done); err != nil {
		t.Error(err)
	}
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
