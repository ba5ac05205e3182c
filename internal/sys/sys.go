// Package sys holds system calls that a signal may interrupt (EINTR), and what is read of the machine with them.
package sys

import (
	"bytes"
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

// Readable waits until a descriptor can be read, which of a pidfd means that its process has ended (pidfd_open(2)): for ms
// milliseconds at most, or for ever when that is negative. A signal ends the wait, too. Errors are *os.SyscallError.
func Readable(fd, ms int) (bool, error) {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, ms)
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return n > 0, os.NewSyscallError("poll", err)
}

// BootID returns which boot of the machine this is: 36 letters (proc_sys_kernel(5), random/boot_id). Errors are *os.PathError.
func BootID() (string, error) {
	const path = "/proc/sys/kernel/random/boot_id"
	fd, err := OpenAt(unix.AT_FDCWD, path, unix.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var text [64]byte
	n := 0
	if err := Retry(func() error { n, err = unix.Read(fd, text[:]); return err }); err != nil {
		return "", &os.PathError{Op: "read", Path: path, Err: err}
	}
	return string(bytes.TrimSpace(text[:n])), nil
}
