package run

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// listTree writes a line for each entry of a tree, with all that a container must not
// change: name, mode, owner, size, times to the nanosecond, extended attributes, contents.
func listTree(to io.Writer, root string) error {
	out := bufio.NewWriter(to)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return &os.PathError{Op: "lstat", Path: path, Err: err}
		}
		var contents string
		if d.Type() == 0 {
			contents, err = sum(path)
		} else if d.Type() == fs.ModeSymlink {
			contents, err = os.Readlink(path)
		}
		if err != nil {
			return err
		}
		names := make([]byte, 1<<16)
		n, err := unix.Llistxattr(path, names)
		if err != nil {
			return &os.PathError{Op: "llistxattr", Path: path, Err: err}
		}
		_, err = fmt.Fprintf(out, "%s %o %d:%d %d links %d dev %x m %d.%09d c %d.%09d %q %q\n", path[len(root):],
			st.Mode, st.Uid, st.Gid, st.Size, st.Nlink, st.Rdev,
			st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec, names[:n], contents)
		return err
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

func sum(path string) (string, error) {
	// O_NOATIME would need the file's owner; relatime leaves ctime alone.
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
