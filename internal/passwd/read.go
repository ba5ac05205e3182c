package passwd

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

// Limit is the size in bytes up to which a passwd or group file is read. A file
// of a hundred thousand users is larger than that; one of ten thousand is not.
const Limit = 1 << 20

// page is what the kernel makes at most of a value in /proc/sys.
const page = 4096

var (
	// ErrNotRegular says that a passwd or group file is a FIFO, a device, a
	// directory or a socket.
	ErrNotRegular = errors.New("not a regular file")
	// ErrTooLarge says that a passwd or group file has more than Limit bytes.
	ErrTooLarge = errors.New("larger than 1 MiB")
)

// Read returns what fd holds from its current offset on. The name is for
// messages only. The caller opens fd inside the root, with O_NONBLOCK so that
// a FIFO cannot hold the open up, and closes it.
//
// The error is an *os.PathError around [ErrNotRegular], [ErrTooLarge] or an
// errno. The size is checked before the first read and again while reading,
// because a file may grow in between.
func Read(fd int, name string) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, &os.PathError{Op: "read", Path: name, Err: err}
	}
	var st unix.Stat_t
	if err := sys.Retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return fail(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fail(ErrNotRegular)
	}
	if st.Size > Limit {
		return fail(ErrTooLarge)
	}
	// One byte more than the size, so that the read that finds the end needs no
	// second buffer. Files of /proc have the size 0, and those of /proc/sys give
	// nothing but what the first read takes.
	room := st.Size + 1
	if st.Size == 0 {
		room = page
	}
	content := make([]byte, 0, room)
	for {
		if len(content) == cap(content) {
			content = append(content, 0)[:len(content)]
		}
		room := content[len(content):min(cap(content), Limit+1)]
		var n int
		err := sys.Retry(func() (err error) { n, err = unix.Read(fd, room); return })
		switch {
		case err != nil:
			return fail(err)
		case n == 0:
			return content, nil
		}
		if content = content[:len(content)+n]; len(content) > Limit {
			return fail(ErrTooLarge)
		}
	}
}
