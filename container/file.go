package container

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

// limit is the largest file that is read, in bytes: the environment and arguments of a command have 6 MiB at most
// (execve(2)).
const limit = 16 << 20

// readFile reads a regular file in a directory; a FIFO or device in its place is not waited for. The error is an
// *os.PathError.
func readFile(dir int, name string) ([]byte, error) {
	fd, err := sys.OpenAt(dir, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &os.PathError{Op: "read", Path: name, Err: errors.New("it is no regular file")}
	}
	// Files of /proc have no size.
	text := make([]byte, 0, max(512, min(st.Size, limit)+1))
	for {
		if len(text) == cap(text) {
			text = append(text, 0)[:len(text)]
		}
		var n int
		err := sys.Retry(func() (err error) { n, err = unix.Read(fd, text[len(text):cap(text)]); return err })
		switch {
		case err != nil:
			return nil, &os.PathError{Op: "read", Path: name, Err: err}
		case n == 0:
			return text, nil
		}
		if text = text[:len(text)+n]; len(text) > limit {
			return nil, &os.PathError{Op: "read", Path: name, Err: unix.EFBIG}
		}
	}
}

// replaceFile writes a file under its name with a ~, and renames it. Not synced: after a crash of the machine no
// container runs. The error is an *os.PathError.
func replaceFile(dir int, name string, text []byte) error {
	temp := name + "~"
	if err := writeFile(dir, temp, text); err != nil {
		_ = unix.Unlinkat(dir, temp, 0)
		return err
	}
	if err := sys.Retry(func() error { return unix.Renameat(dir, temp, dir, name) }); err != nil {
		_ = unix.Unlinkat(dir, temp, 0)
		return &os.PathError{Op: "rename", Path: temp, Err: err}
	}
	return nil
}

func writeFile(dir int, name string, text []byte) error {
	fd, err := sys.OpenAt(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = writeAll(fd, text)
	// some file systems tell of a full disk only now
	if closed := unix.Close(fd); err == nil && !errors.Is(closed, unix.EINTR) {
		err = closed
	}
	if err != nil {
		return &os.PathError{Op: "write", Path: name, Err: err}
	}
	return nil
}

func writeAll(fd int, text []byte) error {
	for len(text) > 0 {
		n, err := unix.Write(fd, text)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}
