package sys

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRetry(t *testing.T) {
	for _, end := range []error{nil, unix.EIO} {
		calls := 0
		err := Retry(func() error {
			if calls++; calls < 3 {
				return unix.EINTR
			}
			return end
		})
		if calls != 3 || !errors.Is(err, end) {
			t.Errorf("%d calls, %v; want 3, %v", calls, err, end)
		}
	}
}

func TestOpenAt(t *testing.T) {
	fd, err := OpenAt(unix.AT_FDCWD, t.TempDir(), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags != unix.FD_CLOEXEC {
		t.Errorf("flags %#x, %v", flags, err)
	}
	var failed *fs.PathError
	none, err := OpenAt(fd, "none", unix.O_RDONLY, 0)
	if none != -1 || !errors.As(err, &failed) || failed.Path != "none" || !errors.Is(err, unix.ENOENT) {
		t.Errorf("%d, %v", none, err)
	}
}

func TestReadable(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	look := func(want bool) {
		t.Helper()
		if got, err := Readable(pipe[0], 0); got != want || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	}
	look(false)
	if _, err := unix.Write(pipe[1], []byte("x")); err != nil {
		t.Fatal(err)
	}
	look(true)
	_ = unix.Close(pipe[1])
	look(true)
}

func TestBootID(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	if id, err := BootID(); err != nil || id+"\n" != string(text) {
		t.Errorf("%q, %v; the file has %q", id, err, text)
	}
}
