package copytree

import (
	"bytes"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	xattrListMax = 64 << 10 // XATTR_LIST_MAX and XATTR_SIZE_MAX, xattr(7)
	xattrSizeMax = 64 << 10
)

// xattrs copies the extended attributes that mean something in a container. It
// uses the worker's buffer, so contents come first.
func (c *copier) xattrs(from, to place) unix.Errno {
	list, value := c.buf[:xattrListMax], c.buf[xattrListMax:]
	n, errno := from.listxattr(list)
	if errno != 0 {
		return 0 // a filesystem without: a list that cannot be had is none
	}
	for list = list[:n]; len(list) > 0; {
		attr := &list[0]
		name := goBytes(attr)
		list = list[len(name)+1:]
		if !wanted(name) {
			continue
		}
		n, errno := from.getxattr(attr, value)
		if errno == 0 {
			errno = to.setxattr(attr, value[:n])
		}
		switch errno {
		case 0, unix.ENODATA: // removed meanwhile
		case unix.EOPNOTSUPP, // user.* on a tmpfs before Linux 6.6
			unix.EINVAL,             // an ACL with ids outside the map
			unix.EOVERFLOW,          // a capability of another user namespace
			unix.EPERM, unix.EACCES, // not ours to read
			unix.E2BIG, unix.ERANGE: // too large for a tmpfs
			c.stats.XattrsDropped++
		default:
			return errno
		}
	}
	return 0
}

// wanted says which attributes are copied: those of users, ACLs and file
// capabilities. trusted.* belongs to the host's root, and labels of a security
// module to its policy.
func wanted(attr []byte) bool {
	switch string(attr) {
	case "security.capability", "system.posix_acl_access", "system.posix_acl_default":
		return true
	}
	return bytes.HasPrefix(attr, []byte("user."))
}

// procPath is the name of a place for calls that take no descriptor of a
// directory: listxattrat(2) and its kin are of Linux 6.13. Only what cannot be
// opened has need of it, and keeps no attributes where /proc is not mounted.
func (p place) procPath() *byte {
	return cstring("/proc/self/fd/" + strconv.Itoa(p.fd) + "/" + string(goBytes(p.name)))
}

func (p place) listxattr(buf []byte) (int, unix.Errno) {
	var n uintptr
	var errno unix.Errno
	if p.name == nil {
		n, _, errno = unix.Syscall(unix.SYS_FLISTXATTR, uintptr(p.fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	} else {
		n, _, errno = unix.Syscall(unix.SYS_LLISTXATTR, uintptr(unsafe.Pointer(p.procPath())),
			uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	}
	return int(n), errno
}

func (p place) getxattr(attr *byte, buf []byte) (int, unix.Errno) {
	var n uintptr
	var errno unix.Errno
	if p.name == nil {
		n, _, errno = unix.Syscall6(unix.SYS_FGETXATTR, uintptr(p.fd), uintptr(unsafe.Pointer(attr)),
			uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	} else {
		n, _, errno = unix.Syscall6(unix.SYS_LGETXATTR, uintptr(unsafe.Pointer(p.procPath())), uintptr(unsafe.Pointer(attr)),
			uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	}
	return int(n), errno
}

func (p place) setxattr(attr *byte, value []byte) unix.Errno {
	var errno unix.Errno
	data := unsafe.Pointer(unsafe.SliceData(value))
	if p.name == nil {
		_, _, errno = unix.RawSyscall6(unix.SYS_FSETXATTR, uintptr(p.fd), uintptr(unsafe.Pointer(attr)),
			uintptr(data), uintptr(len(value)), 0, 0)
	} else {
		_, _, errno = unix.RawSyscall6(unix.SYS_LSETXATTR, uintptr(unsafe.Pointer(p.procPath())), uintptr(unsafe.Pointer(attr)),
			uintptr(data), uintptr(len(value)), 0, 0)
	}
	return errno
}
