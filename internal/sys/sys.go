// Package sys holds system calls that are made again when a signal has interrupted them (EINTR).
package sys

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Retry makes a call until it ends otherwise than by a signal, and returns its error.
func Retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// OpenAt opens a file close-on-exec (openat(2)). Errors are *os.PathError with the name as it was given.
func OpenAt(dir int, name string, flags int, mode uint32) (fd int, err error) {
	err = Retry(func() error {
		fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		return err
	})
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}
