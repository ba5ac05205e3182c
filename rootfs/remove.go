package rootfs

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// RemoveEmpty removes a directory, or a regular file of no bytes, at a path of a
// tree. Anything else, and what others have removed or filled since, is left.
// Errors are *fs.PathError.
func RemoveEmpty(tree, path string, dir bool) error {
	root, err := unix.Open(tree, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: tree, Err: err}
	}
	defer unix.Close(root)
	parent, err := openIn(root, filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil
	}
	defer unix.Close(parent)
	name, flags := filepath.Base(path), unix.AT_REMOVEDIR
	if !dir {
		flags = 0
		var st unix.Stat_t
		if err := unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil ||
			st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != 0 {
			return nil
		}
	}
	err = unix.Unlinkat(parent, name, flags)
	if errors.Is(err, unix.EACCES) {
		err = unlinkInShut(parent, name, flags)
	}
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	return &fs.PathError{Op: "remove", Path: path, Err: err}
}

// unlinkInShut removes from a directory of the caller's that he may not write, but the container's root, who is the
// same to the kernel, could. Its mode is the same afterwards.
func unlinkInShut(parent int, name string, flags int) error {
	var st unix.Stat_t
	if err := unix.Fstat(parent, &st); err != nil {
		return err
	}
	if int(st.Uid) != unix.Geteuid() {
		return unix.EACCES
	}
	path := "/proc/self/fd/" + strconv.Itoa(parent) // of an O_PATH fd, which fchmod(2) does not take
	if err := unix.Chmod(path, st.Mode&0o7777|0o300); err != nil {
		return err
	}
	defer func() { _ = unix.Chmod(path, st.Mode&0o7777) }()
	return unix.Unlinkat(parent, name, flags)
}
