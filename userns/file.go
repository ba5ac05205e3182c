package userns

import (
	"bytes"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// maxFile bounds what is read of a file below /etc. A host of a hundred thousand
// accounts keeps them in a directory service, not in a text file.
const maxFile = 1 << 20

var (
	errNotRegular = errors.New("not a regular file")
	errTooLarge   = errors.New("larger than 1 MiB")
	errNotProcfs  = errors.New("not on procfs")
)

// readRegular reads a whole file of at most 1 MiB. It does not block where the
// name is a FIFO or a device, and goes past package os, whose files cost three
// more system calls each to find out that epoll does not take them.
// Errors are *os.PathError.
func readRegular(path string) ([]byte, error) {
	fd, err := openFile(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &os.PathError{Op: "read", Path: path, Err: errNotRegular}
	}
	if st.Size > maxFile {
		return nil, &os.PathError{Op: "read", Path: path, Err: errTooLarge}
	}
	// One byte more than the size lets the read that fills it find the end too.
	return readAll(fd, path, make([]byte, 0, st.Size+1))
}

// readProc reads a file of procfs, whose size is not known beforehand, and
// refuses one that some other file system was mounted over.
func readProc(path string) ([]byte, error) {
	fd, err := openProc(path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return readAll(fd, path, make([]byte, 0, 512))
}

func readAll(fd int, path string, buf []byte) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			if len(buf) > maxFile {
				return nil, &os.PathError{Op: "read", Path: path, Err: errTooLarge}
			}
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return buf, nil
		}
		buf = buf[:len(buf)+n]
	}
}

// writeProc writes text by a single write, as id maps demand.
func writeProc(path string, text []byte) error {
	fd, err := openProc(path, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	n, err := unix.Write(fd, text)
	switch {
	case err != nil:
		return &os.PathError{Op: "write", Path: path, Err: err}
	case n != len(text):
		return &os.PathError{Op: "write", Path: path, Err: unix.EIO}
	}
	return nil
}

func openProc(path string, flags int) (int, error) {
	fd, err := openFile(path, flags)
	if err != nil {
		return -1, err
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		unix.Close(fd)
		return -1, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	if fs.Type != unix.PROC_SUPER_MAGIC {
		unix.Close(fd)
		return -1, &os.PathError{Op: "open", Path: path, Err: errNotProcfs}
	}
	return fd, nil
}

func openFile(path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return fd, nil
	}
}

// cutLine takes the first line off text, without its newline.
func cutLine(text []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(text, []byte{'\n'})
	return line, rest
}
