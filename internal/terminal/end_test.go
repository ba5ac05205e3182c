package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the container wrote before its end comes out, whether it closed the pty
// or something else keeps it open.
func TestDrainAfterTheEnd(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("slave stays open %v", keep), func(t *testing.T) {
			for round := range 200 {
				inner := openPTY(t)
				raw(t, inner.slave)
				sink, userOut := newPipe(t)
				s := open(t, -1, fdOf(userOut))
				done := relay(s, inner.master)
				want := newStream(byte(round)).block[:1+round*19]
				if n, err := unix.Write(inner.slave, want); err != nil || n != len(want) {
					t.Fatal(n, err)
				}
				if !keep {
					inner.closeSlave()
				}
				s.End()
				if err := result(t, done); err != nil {
					t.Fatal(err)
				}
				if got := readFull(t, fdOf(sink), len(want)); !bytes.Equal(got, want) {
					t.Fatalf("%d other bytes", len(want))
				}
				_, _ = s.Close(), userOut.Close()
				inner.closeMaster()
				inner.closeSlave()
			}
		})
	}
}

// A process that stays and writes on, as one may with --pid=host, cannot hold
// the launcher up.
func TestEndWhileSomethingWritesOn(t *testing.T) {
	inner := openPTY(t)
	raw(t, inner.slave)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	s := open(t, -1, fdOf(null))
	done := relay(s, inner.master)
	written := make(chan struct{})
	go func() {
		defer close(written)
		for {
			if _, err := write(inner.slave, make([]byte, 4096)); err != nil {
				return
			}
		}
	}()
	time.Sleep(20 * time.Millisecond)
	s.End()
	if err := result(t, done); err != nil {
		t.Error(err)
	}
	inner.closeMaster() // ends the writer
	<-written
}

func TestEndBeforeRelay(t *testing.T) {
	inner := openPTY(t)
	user := openPTY(t)
	s := open(t, user.slave, user.slave)
	s.End()
	if err := result(t, relay(s, inner.master)); err != nil {
		t.Error(err)
	}
}

// A container that reads nothing has the input wait, and its end ends the wait.
func TestEndWhileTheInputIsStuck(t *testing.T) {
	inner := openPTY(t)
	raw(t, inner.slave)
	userIn, feed := newPipe(t)
	_, userOut := newPipe(t)
	s := open(t, fdOf(userIn), fdOf(userOut))
	done := relay(s, inner.master)
	sent := make(chan error, 1)
	go func() { sent <- newStream(6).send(fdOf(feed), 4<<20) }()
	time.Sleep(100 * time.Millisecond)
	s.End()
	if err := result(t, done); err != nil {
		t.Error(err)
	}
	_ = userIn.Close() // ends the sender
	if err := <-sent; !errors.Is(err, unix.EPIPE) {
		t.Errorf("%v", err)
	}
}

// What is typed after the end is the shell's.
func TestNoKeyIsTakenAfterTheEnd(t *testing.T) {
	for round := range 200 {
		user, inner := openPTY(t), openPTY(t)
		s := open(t, user.slave, user.slave)
		if err := s.Raw(); err != nil {
			t.Fatal(err)
		}
		done := relay(s, inner.master)
		if round%2 == 0 {
			// The reader of the input is past its wait, or not yet there.
			if _, err := unix.Write(user.master, []byte("k")); err != nil {
				t.Fatal(err)
			}
		}
		inner.closeSlave()
		s.End()
		if err := result(t, done); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(user.master, []byte("typed after")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		raw(t, user.slave) // the rest of a line is read without its end
		got, err := tryRead(user.slave, 11, patience)
		if err == nil && string(got) != "typed after" {
			// The key from before the end was not taken either.
			var more []byte
			more, err = tryRead(user.slave, 1, patience)
			got = append(got, more...)[1:]
		}
		if err != nil || string(got) != "typed after" {
			t.Fatalf("round %d: %q, %v", round, got, err)
		}
		user.closeMaster()
		user.closeSlave()
		inner.closeMaster()
	}
}
