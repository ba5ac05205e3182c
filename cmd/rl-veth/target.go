package main

import "golang.org/x/sys/unix"

// ioctl_nsfs(2), linux/nsfs.h.
const (
	nsGetUserNS   = 0xb701
	nsGetParent   = 0xb702
	nsGetType     = 0xb703
	nsGetOwnerUID = 0xb704
)

// maxDepth is how deep the kernel lets user namespaces nest, user_namespaces(7).
const maxDepth = 32

// belongsTo tells whether a descriptor is a net namespace of which the caller could do
// everything without this program: it belongs to a user namespace whose ancestor right
// below our own was made by him. The kernel gives all capabilities in such a one, and in
// what lies below it, to its owner (user_namespaces(7)).
//
// Our own user namespace is never the answer, so root's and the host's net namespace are
// refused to root himself.
func belongsTo(fd int, uid uint32) bool {
	// An ioctl may mean anything to another kind of file, and would be done with our
	// privilege: first see that it is a namespace.
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.NSFS_MAGIC {
		return false
	}
	if kind, err := unix.IoctlRetInt(fd, nsGetType); err != nil || kind != unix.CLONE_NEWNET {
		return false
	}
	ns, err := unix.IoctlRetInt(fd, nsGetUserNS)
	if err != nil {
		return false
	}
	for range maxDepth + 1 {
		parent, err := unix.IoctlRetInt(ns, nsGetParent)
		if err != nil {
			// ns is our own user namespace, or it is none below ours.
			unix.Close(ns)
			return false
		}
		grandparent, err := unix.IoctlRetInt(parent, nsGetParent)
		if err == nil {
			unix.Close(grandparent)
			unix.Close(ns)
			ns = parent
			continue
		}
		unix.Close(parent)
		owner, ok := ownerOf(ns)
		unix.Close(ns)
		return ok && owner == uid
	}
	return false
}

// overflow is what the kernel shows for an id that is not mapped: no particular user.
const overflow = 65534

func ownerOf(ns int) (uint32, bool) {
	owner, err := unix.IoctlGetUint32(ns, nsGetOwnerUID)
	return owner, err == nil && owner != overflow
}
