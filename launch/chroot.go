package launch

import (
	"os"
	"runtime"
	"slices"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// In a chroot the kernel makes no user namespace (create_user_ns in kernel/user_namespace.c, current_chrooted): its owner
// would have the capability to leave it. Who has that capability already, as root of a chroot has, may give the tree
// a mount namespace of its own in which it is the root.

// place is a directory, and the mount in which it is.
type place struct {
	dev   [2]uint32
	ino   uint64
	mount uint64
}

func root() (place, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, "/", 0, unix.STATX_INO|unix.STATX_MNT_ID, &st); err != nil {
		return place{}, os.NewSyscallError("statx", err)
	}
	return place{[2]uint32{st.Dev_major, st.Dev_minor}, st.Ino, st.Mnt_id}, nil
}

// toNamespaceRoot brings the calling thread to the root of its mount namespace, or, with CLONE_NEWNS, of a copy of that. It takes
// CAP_SYS_CHROOT and CAP_SYS_ADMIN. inside is the root as it was, in the mount namespace as it is then.
func toNamespaceRoot(flags int) (inside int, err error) {
	if err := unix.Unshare(unix.CLONE_FS | flags); err != nil { // CLONE_FS: a root is not changed for other threads
		return -1, os.NewSyscallError("unshare", err)
	}
	if inside, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return -1, &os.PathError{Op: "open", Path: "/", Err: err}
	}
	const path = "/proc/thread-self/ns/mnt"
	ns, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		err = &os.PathError{Op: "open", Path: path, Err: err}
	} else {
		err = os.NewSyscallError("setns", unix.Setns(ns, unix.CLONE_NEWNS))
		_ = unix.Close(ns)
	}
	if err != nil {
		_ = unix.Close(inside)
		return -1, err
	}
	return inside, nil
}

// chroot looks whether this process is in a chroot, and whether it may leave it. One that is a mount point shows to
// those alone who may.
func chroot() (is, leavable bool) {
	type answer struct{ is, leavable bool }
	found := make(chan answer)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its other root
		here, err := root()
		if err != nil {
			found <- answer{}
			return
		}
		inside, err := toNamespaceRoot(0)
		if err != nil {
			found <- answer{}
			return
		}
		_ = unix.Close(inside)
		there, err := root()
		found <- answer{err == nil && here != there, true}
	}()
	if a := <-found; a.leavable {
		return a.is, a.is
	}
	mounts, err := mountinfo.GetMounts(nil)
	return err == nil && !slices.ContainsFunc(mounts, func(m *mountinfo.Info) bool { return m.Mountpoint == "/" }), false
}

// leaveChroot makes the root of a chroot that of a mount namespace, for the calling thread, which keeps it.
func leaveChroot() error {
	runtime.LockOSThread()
	tree, err := toNamespaceRoot(unix.CLONE_NEWNS)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil { // pivot_root(2) wants it
		return os.NewSyscallError("mount", err)
	}
	clone, err := unix.OpenTree(tree, "", unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE|unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(clone)
	if err := unix.MoveMount(clone, "", tree, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return os.NewSyscallError("move_mount", err)
	}
	if err := unix.Fchdir(clone); err != nil {
		return os.NewSyscallError("fchdir", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return os.NewSyscallError("pivot_root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return os.NewSyscallError("umount2", err)
	}
	return os.NewSyscallError("chdir", unix.Chdir("/"))
}
