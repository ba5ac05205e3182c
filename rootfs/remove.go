package rootfs

import (
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// RemoveEmpty removes a directory, or a regular file of no bytes, at a path of a
// tree. Anything else, and what others have removed or filled since, is left.
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
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	return &fs.PathError{Op: "remove", Path: path, Err: err}
}
