package copytree

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal returns both ends of a new pseudoterminal.
func terminal(t *testing.T, columns uint16) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { ours.Close() })
	fd := int(ours.Fd())
	must(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(t, err)
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { theirs.Close() })
	must(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
	return ours, theirs
}

// screen returns what a line of a terminal shows after all of s.
func screen(s string) string {
	line, at := []rune{}, 0
	for _, r := range s {
		if r == '\r' {
			at = 0
			continue
		}
		if at == len(line) {
			line = append(line, ' ')
		}
		line[at] = r
		at++
	}
	return strings.TrimRight(string(line), " ")
}

func TestMeter(t *testing.T) {
	ours, theirs := terminal(t, 40)
	buf := make([]byte, 4096)
	all := ""
	read := func() string {
		n, err := ours.Read(buf)
		must(t, err)
		all += string(buf[:n])
		return screen(all)
	}
	m := NewMeter(theirs, "copy ./débian")
	m.Progress(0, 591<<20)
	if got, want := read(), "copy ./débian: 0% of 591 MiB"; got != want {
		t.Errorf("shows %q, want %q", got, want)
	}
	m.Progress(250<<20, 591<<20)
	if got, want := read(), "copy ./débian: 42% of 591 MiB"; got != want {
		t.Errorf("shows %q, want %q", got, want)
	}
	must(t, unix.IoctlSetWinsize(int(ours.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 20}))
	m.Progress(591<<20, 591<<20)
	if got, want := read(), "ian: 100% of 591 MiB"[1:]; got != want {
		t.Errorf("shows %q, want %q", got, want)
	}
	m.Close()
	if got := read(); got != "" || strings.Contains(all, "\n") {
		t.Errorf("left %q on the screen by %q", got, all)
	}
	m.Close()
}

func TestMeterIsSilent(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	m := NewMeter(w, "copy")
	m.Progress(1, 2)
	m.Close()
	_, theirs := terminal(t, 80)
	quick := NewMeter(theirs, "copy")
	quick.Progress(5, 5) // over before it began
	if quick.shown != 0 {
		t.Error("the meter shows a copy that is over")
	}
	quick.Close()
	must(t, w.Close())
	if n, _ := r.Read(make([]byte, 1)); n != 0 {
		t.Error("the meter wrote to a pipe")
	}
}

func TestProgress(t *testing.T) {
	src, dst := tmpfs(t, ""), tmpfs(t, "")
	for i := range 50 {
		writeFile(t, fmt.Sprintf("%s/%d", src, i), strings.Repeat("x", 1<<20))
	}
	var calls atomic.Int32
	var last, total int64
	start := time.Now()
	_, err := copyDir(t, src, dst, Options{Workers: 1, Progress: func(d, n int64) {
		calls.Add(1)
		if d < last || d > n {
			t.Errorf("done %d of %d after %d", d, n, last)
		}
		last, total = d, n
	}})
	must(t, err)
	if last != 50<<20 || total != 50<<20 {
		t.Errorf("ended with %d of %d", last, total)
	}
	n := calls.Load()
	if most := int32(time.Since(start)/progressEvery) + 2; n > most {
		t.Errorf("%d calls, want at most %d", n, most)
	}
	time.Sleep(2 * progressEvery)
	if calls.Load() != n {
		t.Error("called after Copy had returned")
	}
}

func BenchmarkCopy(b *testing.B) {
	src := tmpfs(b, "")
	for i := range 2000 {
		writeFile(b, fmt.Sprintf("%s/%d/%d/%d", src, i%7, i%31, i), strings.Repeat("x", i*37%20000))
	}
	for b.Loop() {
		b.StopTimer()
		dst := b.TempDir()
		must(b, unix.Mount("test", dst, "tmpfs", 0, ""))
		b.StartTimer()
		st, err := copyDir(b, src, dst, Options{})
		must(b, err)
		b.StopTimer()
		b.SetBytes(st.Bytes)
		must(b, unix.Unmount(dst, unix.MNT_DETACH))
		b.StartTimer()
	}
}
