//go:build linux && (amd64 || arm64)

package static

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Seals are those of [MemFD]. They make the image immutable: who may trace the process, as container root may its
// process 1, can open its /proc/PID/exe.
const Seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// MemFD returns a new close-on-exec descriptor of a sealed memfd of that name that holds image, fit for execveat(2)
// with AT_EMPTY_PATH. It is the caller's to close. Errors are *os.SyscallError: EACCES from memfd_create means the
// sysctl vm.memfd_noexec is 2 (Linux 6.3), under which no memfd can be executed.
func MemFD(name string, image []byte) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	// MFD_EXEC says that the memfd is meant to be executed: with vm.memfd_noexec=1 it would otherwise not be.
	// Kernels before 6.3 do not know the flag, and need none.
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	if err := fill(fd, image); err != nil {
		unix.Close(fd)
		return -1, &fs.PathError{Op: "write", Path: "memfd:" + name, Err: err}
	}
	return fd, nil
}

// fill writes the image into fd and seals it.
func fill(fd int, image []byte) error {
	n, err := unix.Write(fd, image)
	if err == nil && n != len(image) {
		err = io.ErrShortWrite // less than a page: only RLIMIT_FSIZE cuts it off
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, Seals)
	}
	return err
}
