package container

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLastLines(t *testing.T) {
	for _, test := range []struct {
		text string
		n    int
		want string
	}{
		{"", 3, ""},
		{"a\nb\nc\n", 0, ""},
		{"a\nb\nc\n", 1, "c\n"},
		{"a\nb\nc\n", 2, "b\nc\n"},
		{"a\nb\nc\n", 9, "a\nb\nc\n"},
		{"a\nb", 1, "b"},
		{"a\nb", 2, "a\nb"},
		{"\n\n\n", 2, "\n\n"},
		{"a", 1, "a"},
		{"\n", 1, "\n"},
	} {
		if got := string(lastLines([]byte(test.text), test.n)); got != test.want {
			t.Errorf("%q, %d: %q, want %q", test.text, test.n, got, test.want)
		}
	}
}

func TestLog(t *testing.T) {
	s, dir := newStore(t)
	e := reserve(t, s, Request{Name: "db", Detached: true})
	c := dir + "/rl-run/c/db/"
	read := func(lines int) string {
		t.Helper()
		l, err := e.Log()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := l.Write(&b, lines, false); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if got := read(-1); got != "" {
		t.Errorf("%q", got)
	}
	put(t, c+"log", "3\n4\n")
	if got := read(-1); got != "3\n4\n" {
		t.Errorf("%q", got)
	}
	put(t, c+"log.1", "1\n2\n")
	if got := read(-1); got != "1\n2\n3\n4\n" {
		t.Errorf("%q", got)
	}
	if got := read(3); got != "2\n3\n4\n" {
		t.Errorf("%q", got)
	}
	if err := os.Remove(c + "log"); err != nil {
		t.Fatal(err)
	}
	if got := read(1); got != "2\n" { // between the rename and the next write
		t.Errorf("%q", got)
	}
	reserve(t, s, Request{Name: "front"})
	if l, err := is(t, s, "front", Created).Log(); err == nil {
		t.Errorf("%+v", l)
	}
}

// A reader that follows sees each line once, across files that are full.
func TestFollow(t *testing.T) {
	s, dir := newStore(t)
	e := reserve(t, s, Request{Name: "db", Detached: true})
	_, initRef := hold(t, unix.CLONE_NEWUSER|unix.CLONE_NEWPID)
	keeper, keeperRef := hold(t, 0)
	if err := e.WriteState(&State{Init: initRef, Keeper: keeperRef}); err != nil {
		t.Fatal(err)
	}
	c := dir + "/rl-run/c/db/"
	put(t, c+"log", "0\n")
	reader := is(t, s, "db", Running)
	l, err := reader.Log()
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	l.Lost = func() { lost++ }
	out, in := io.Pipe()
	go func() { _ = in.CloseWithError(l.Write(in, -1, true)) }()
	line := func(want int) {
		t.Helper()
		var got int
		if _, err := fmt.Fscanln(out, &got); err != nil || got != want {
			t.Fatalf("%d, %v, want %d", got, err, want)
		}
	}
	line(0)
	for i := 1; i <= 40; i++ {
		if i%4 == 0 {
			if err := os.Rename(c+"log", c+"log.1"); err != nil {
				t.Fatal(err)
			}
		}
		f, err := os.OpenFile(c+"log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(f, "%d\n", i); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		line(i)
	}
	p, err := is(t, s, "db", Running).Open() // of its own: the reader looks anew, meanwhile
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	kill(t, keeper)
	rest, err := io.ReadAll(out)
	if len(rest) > 0 || err != nil || lost != 0 {
		t.Errorf("%q, %v, lost %d times", rest, err, lost)
	}
}

// What is written while the log is read is no part of it, unless the reader follows.
func TestLogOfBusyContainer(t *testing.T) {
	s, dir := newStore(t)
	e := reserve(t, s, Request{Name: "db", Detached: true})
	c := dir + "/rl-run/c/db/"
	for lines, want := range map[int]string{-1: "1\n2\n3\n4\n", 3: "2\n3\n4\n"} {
		put(t, c+"log.1", "1\n2\n")
		put(t, c+"log", "3\n4\n")
		l, err := e.Log()
		if err != nil {
			t.Fatal(err)
		}
		b := busy{log: c + "log", left: 20}
		if err := l.Write(&b, lines, false); err != nil || b.String() != want {
			t.Errorf("%d lines: %q, %v, want %q", lines, b.String(), err, want)
		}
	}
}

// busy has the container write a line with each write of the reader.
type busy struct {
	bytes.Buffer
	log  string
	left int
}

func (b *busy) Write(p []byte) (int, error) {
	if b.left--; b.left >= 0 {
		f, err := os.OpenFile(b.log, os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			_, err = f.WriteString("more\n")
			_ = f.Close()
		}
		if err != nil {
			return 0, err
		}
	}
	return b.Buffer.Write(p)
}

// What was gone before it could be read is told.
func TestFollowLoses(t *testing.T) {
	s, dir := newStore(t)
	e := reserve(t, s, Request{Name: "db", Detached: true})
	c := dir + "/rl-run/c/db/"
	put(t, c+"log", "0\n")
	l, err := e.Log()
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	l.Lost = func() { lost++ }
	if _, err := l.begin(); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := os.Rename(c+"log", c+"log.1"); err != nil {
			t.Fatal(err)
		}
		put(t, c+"log", strings.Repeat(fmt.Sprintln(i+1), 2))
	}
	var b bytes.Buffer
	if err := l.drain(&b); err != nil || lost != 1 || b.String() != "0\n2\n2\n" {
		t.Errorf("%q, %v, lost %d times", b.String(), err, lost)
	}
	_ = l.file.Close()
}
