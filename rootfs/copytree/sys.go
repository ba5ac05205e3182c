package copytree

import (
	"encoding/binary"
	"iter"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below take names as they lie in a directory's arena. The wrappers
// of package unix copy each name to end it with a NUL, several times an entry.
// They return an Errno, not an error: most results are compared, few reported.

const (
	// dirFlags open a directory by a single name.
	dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

	// fileFlags open what was a regular file when it was surveyed. O_NONBLOCK
	// keeps a FIFO that took its name from blocking the copy, O_NOCTTY a terminal
	// from becoming ours.
	fileFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_NOCTTY | unix.O_CLOEXEC

	// statxMask is what an entry is made of. The birth time cannot be copied.
	statxMask = unix.STATX_BASIC_STATS
)

var (
	dotName   = [...]byte{'.', 0}
	emptyName = [...]byte{0}
	dot       = &dotName[0]
	empty     = &emptyName[0]
)

// pathError is an *os.PathError that keeps errno an Errno until it is needed.
func pathError(op, path string, errno unix.Errno) error {
	return &os.PathError{Op: op, Path: path, Err: errno}
}

func openat(at int, name *byte, flags int, mode uint32) (int, unix.Errno) {
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(name)), uintptr(flags), uintptr(mode), 0, 0)
		if errno != unix.EINTR { // a slow network or FUSE filesystem
			return int(fd), errno
		}
	}
}

// openDir opens a directory of the source without a trace in its access time.
// O_NOATIME is EPERM unless the caller owns it, or has CAP_FOWNER and the owner
// is in the id map (open(2)): then it opens without, and says so. Where noatime
// is false it does not try.
func openDir(at int, name *byte, noatime bool) (fd int, foreign bool, errno unix.Errno) {
	if noatime {
		fd, errno = openat(at, name, dirFlags|unix.O_NOATIME, 0)
		if errno != unix.EPERM {
			return fd, false, errno
		}
	}
	fd, errno = openat(at, name, dirFlags, 0)
	return fd, noatime && errno == 0, errno
}

// closeFd has no error to report: a tmpfs writes nothing back, and what is read
// is read.
func closeFd(fd int) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

func statx(at int, name *byte, flags int, st *unix.Statx_t) unix.Errno {
	_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(at), uintptr(unsafe.Pointer(name)),
		uintptr(flags|unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT), statxMask, uintptr(unsafe.Pointer(st)), 0)
	return errno
}

func fstatfs(fd int, st *unix.Statfs_t) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_FSTATFS, uintptr(fd), uintptr(unsafe.Pointer(st)), 0)
	return errno
}

// sendfile copies at most n bytes from where in stands to where out stands.
func sendfile(out, in, n int) (int, unix.Errno) {
	m, _, errno := unix.Syscall6(unix.SYS_SENDFILE, uintptr(out), uintptr(in), 0, uintptr(n), 0, 0)
	return int(m), errno
}

func read(fd int, buf []byte) (int, unix.Errno) {
	n, _, errno := unix.Syscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
	return int(n), errno
}

func write(fd int, buf []byte) (int, unix.Errno) {
	n, _, errno := unix.Syscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
	return int(n), errno
}

func mkdirat(at int, name *byte, mode uint32) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_MKDIRAT, uintptr(at), uintptr(unsafe.Pointer(name)), uintptr(mode))
	return errno
}

func mknodat(at int, name *byte, mode uint32, dev uint64) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_MKNODAT, uintptr(at), uintptr(unsafe.Pointer(name)), uintptr(mode), uintptr(dev), 0, 0)
	return errno
}

func symlinkat(target *byte, at int, name *byte) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_SYMLINKAT, uintptr(unsafe.Pointer(target)), uintptr(at), uintptr(unsafe.Pointer(name)))
	return errno
}

func readlinkat(at int, name *byte, buf []byte) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(at), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	return int(n), errno
}

func linkat(oldAt int, oldName *byte, at int, name *byte) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_LINKAT, uintptr(oldAt), uintptr(unsafe.Pointer(oldName)),
		uintptr(at), uintptr(unsafe.Pointer(name)), 0, 0)
	return errno
}

// place is what an attribute is given to: a name in a directory, or the open
// file fd itself where name is nil.
type place struct {
	fd   int
	name *byte
}

// nowhere is no place.
var nowhere = place{fd: -1}

func (p place) chown(uid, gid uint32) unix.Errno {
	name, flags := p.name, unix.AT_SYMLINK_NOFOLLOW
	if name == nil {
		name, flags = empty, unix.AT_EMPTY_PATH
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_FCHOWNAT, uintptr(p.fd), uintptr(unsafe.Pointer(name)),
		uintptr(uid), uintptr(gid), uintptr(flags), 0)
	return errno
}

// chmod follows symbolic links, which have no mode to change.
func (p place) chmod(mode uint32) unix.Errno {
	var errno unix.Errno
	if p.name == nil {
		_, _, errno = unix.RawSyscall(unix.SYS_FCHMOD, uintptr(p.fd), uintptr(mode), 0)
	} else {
		_, _, errno = unix.RawSyscall(unix.SYS_FCHMODAT, uintptr(p.fd), uintptr(unsafe.Pointer(p.name)), uintptr(mode))
	}
	return errno
}

func (p place) utimes(times *[2]unix.Timespec) unix.Errno {
	flags := 0
	if p.name != nil {
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_UTIMENSAT, uintptr(p.fd), uintptr(unsafe.Pointer(p.name)),
		uintptr(unsafe.Pointer(times)), uintptr(flags), 0, 0)
	return errno
}

// direntNames yields the names in a buffer that getdents64(2) filled, but for
// "." and "..". They are only valid until the buffer is filled again.
func direntNames(buf []byte) iter.Seq[[]byte] {
	const reclen, name = 16, 19 // offsets in struct linux_dirent64
	return func(yield func([]byte) bool) {
		for len(buf) > name {
			n := int(binary.NativeEndian.Uint16(buf[reclen:]))
			if n <= name || n > len(buf) {
				return
			}
			s := buf[name:n]
			for i, c := range s {
				if c == 0 {
					s = s[:i]
					break
				}
			}
			if !isDots(s) && !yield(s) {
				return
			}
			buf = buf[n:]
		}
	}
}
