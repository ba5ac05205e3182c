package sys

import (
	"errors"
	"io/fs"
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
