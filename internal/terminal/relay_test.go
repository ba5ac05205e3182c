package terminal

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stream is a run of bytes that repeats after a prime number of them, so that a
// lost, doubled or moved block shows.
type stream struct{ block []byte }

func newStream(seed byte) stream {
	block := make([]byte, 65521)
	x := uint32(seed) + 1
	for i := range block {
		x = x*1664525 + 1013904223
		block[i] = byte(x >> 24)
	}
	return stream{block}
}

func (s stream) send(fd, total int) error {
	for at := 0; at < total; {
		from := at % len(s.block)
		n, err := write(fd, s.block[from:min(len(s.block), from+total-at)])
		if err != nil {
			return fmt.Errorf("write after %d bytes: %w", at, err)
		}
		at += n
	}
	return nil
}

func (s stream) check(fd, total int) error {
	buf := make([]byte, 64<<10)
	for at := 0; at < total; {
		from := at % len(s.block)
		n, err := read(fd, buf[:min(len(buf), len(s.block)-from, total-at)])
		if err != nil || n == 0 {
			return fmt.Errorf("read after %d bytes: %d, %w", at, n, err)
		}
		if !bytes.Equal(buf[:n], s.block[from:from+n]) {
			return fmt.Errorf("other bytes within %d of %d", n, at)
		}
		at += n
	}
	return nil
}

func TestBothWaysAtOnce(t *testing.T) {
	total := 100 << 20
	if testing.Short() {
		total = 8 << 20
	}
	inner := openPTY(t)
	raw(t, inner.slave)
	userIn, feed := newPipe(t)
	sink, userOut := newPipe(t)
	s := open(t, fdOf(userIn), fdOf(userOut))
	done := relay(s, inner.master)

	down, up := newStream(1), newStream(2)
	errs := make(chan error, 4)
	start := time.Now()
	go func() { errs <- down.send(inner.slave, total) }()
	go func() { errs <- up.send(fdOf(feed), total) }()
	go func() { errs <- down.check(fdOf(sink), total) }()
	go func() { errs <- up.check(inner.slave, total) }()
	for range 4 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d MB/s each way", int(float64(total)/1e6/time.Since(start).Seconds()))
	s.End()
	if err := result(t, done); err != nil {
		t.Fatal(err)
	}
}

// The end of an input that is no terminal ends that direction alone.
func TestEndOfInput(t *testing.T) {
	inner := openPTY(t)
	raw(t, inner.slave)
	userIn, feed := newPipe(t)
	sink, userOut := newPipe(t)
	s := open(t, fdOf(userIn), fdOf(userOut))
	done := relay(s, inner.master)
	if _, err := feed.WriteString("last words"); err != nil {
		t.Fatal(err)
	}
	_ = feed.Close()
	if got := readFull(t, inner.slave, 10); string(got) != "last words" {
		t.Errorf("read %q", got)
	}
	time.Sleep(20 * time.Millisecond)
	if _, err := unix.Write(inner.slave, []byte("an answer")); err != nil {
		t.Fatal(err)
	}
	if got := readFull(t, fdOf(sink), 9); string(got) != "an answer" {
		t.Errorf("read %q", got)
	}
	s.End()
	if err := result(t, done); err != nil {
		t.Error(err)
	}
}

// The user's descriptors are shared: their flags stay as they are, and both
// kinds work.
func TestFlagsOfTheUserAreLeftAlone(t *testing.T) {
	for _, nonblock := range []bool{false, true} {
		inner := openPTY(t)
		raw(t, inner.slave)
		userIn, feed := newPipe(t)
		sink, userOut := newPipe(t)
		in, out := fdOf(userIn), fdOf(userOut)
		for _, fd := range []int{in, out} {
			if err := unix.SetNonblock(fd, nonblock); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, in, out)
		done := relay(s, inner.master)
		const total = 1 << 20
		down, up := newStream(3), newStream(4)
		errs := make(chan error, 4)
		go func() { errs <- down.send(inner.slave, total) }()
		go func() { errs <- up.send(fdOf(feed), total) }()
		go func() { errs <- up.check(inner.slave, total) }()
		time.Sleep(50 * time.Millisecond) // both the pipe and the pty are full by now
		go func() { errs <- down.check(fdOf(sink), total) }()
		for range 4 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		for _, fd := range []int{in, out} {
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			if err != nil || flags&unix.O_NONBLOCK != 0 != nonblock {
				t.Errorf("flags %#x, %v", flags, err)
			}
		}
		s.End()
		if err := result(t, done); err != nil {
			t.Error(err)
		}
	}
}

// The output is stuck, and still a key reaches the container.
func TestInputPassesBlockedOutput(t *testing.T) {
	inner := openPTY(t)
	raw(t, inner.slave)
	userIn, feed := newPipe(t)
	sink, userOut := newPipe(t)
	s := open(t, fdOf(userIn), fdOf(userOut))
	done := relay(s, inner.master)
	const total = 1 << 20
	down := newStream(5)
	sent := make(chan error, 1)
	go func() { sent <- down.send(inner.slave, total) }()
	time.Sleep(50 * time.Millisecond)
	if _, err := feed.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if got := readFull(t, inner.slave, 1); string(got) != "\x03" {
		t.Errorf("read %q", got)
	}
	if err := down.check(fdOf(sink), total); err != nil {
		t.Error(err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	s.End()
	if err := result(t, done); err != nil {
		t.Error(err)
	}
}

func BenchmarkOutput(b *testing.B) {
	inner, err := newPTY()
	if err != nil {
		b.Fatal(err)
	}
	defer inner.closeMaster()
	modes, err := unix.IoctlGetTermios(inner.slave, unix.TCGETS)
	if err != nil {
		b.Fatal(err)
	}
	modes.Oflag = 0
	if err := unix.IoctlSetTermios(inner.slave, unix.TCSETS, modes); err != nil {
		b.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	s, err := Open(-1, fdOf(null))
	if err != nil {
		b.Fatal(err)
	}
	done := relay(s, inner.master)
	const chunk = 64 << 10
	data := make([]byte, chunk)
	b.SetBytes(chunk)
	for b.Loop() {
		for at := 0; at < chunk; {
			n, err := write(inner.slave, data[at:])
			if err != nil {
				b.Fatal(err)
			}
			at += n
		}
	}
	inner.closeSlave()
	s.End()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	_ = s.Close()
}
