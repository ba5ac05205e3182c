package copytree

import (
	"os"

	"golang.org/x/sys/unix"
)

// file copies a regular file and reports whether it is the inode of g, if there
// is a g, so that further names can be linked to the copy.
func (c *copier) file(d *dir, e *entry, o opened, g *group) (bool, error) {
	name := d.cname(e)
	in, errno := openat(o.src, name, fileFlags|unix.O_NOATIME, 0)
	foreign := errno == unix.EPERM // as in openDir
	if foreign {
		in, errno = openat(o.src, name, fileFlags, 0)
	}
	if errno != 0 {
		return false, c.skipped(d, name, errno)
	}
	defer closeFd(in)
	// What is open may not be what was surveyed. It counts: contents, owner and
	// mode then belong to the same file.
	var st unix.Statx_t
	if errno := statx(in, empty, unix.AT_EMPTY_PATH, &st); errno != 0 {
		return false, pathError("stat", d.pathOf(name), errno)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		c.stats.Changed.add(d.pathOf(name))
		return false, nil
	}
	a := attrsOf(&st)
	out, errno := openat(o.dst, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, a.perm())
	if errno != 0 {
		return false, c.uncreated(d, name, errno)
	}
	defer closeFd(out)
	c.stats.Files++
	if err := c.contents(in, out, &st); err != nil {
		return false, &os.PathError{Op: "copy", Path: d.pathOf(name), Err: err}
	}
	if err := c.attributes(d, name, &a, foreign, place{fd: in}, place{fd: out}); err != nil {
		return false, err
	}
	// An inode number is free for another file once the last name is gone, so
	// one that has a single name by now may not be what the survey saw.
	return g != nil && st.Nlink > 1 && g.dev == devOf(&st) && g.ino == st.Ino, nil
}
