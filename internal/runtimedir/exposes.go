package runtimedir

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

// Exposes reports whether a mount of src, a path of the host, would put the runtime directory within a container's
// reach: src is that directory, or lies in it, or is above it. Directories are compared by device and inode, so
// neither a symbolic link nor a bind mount of a directory above hides it. The directory need not be there yet: what
// is above its place counts all the same.
//
// Where the directory could come to be is for [Dir.Gives] to say. Exposes does not see the runtime directory through a
// mount further down in src that shows a place above it.
func (d *Dir) Exposes(src string) (bool, error) {
	var self unix.Stat_t
	if err := sys.Retry(func() error { return unix.Stat(src, &self) }); err != nil {
		return false, err
	}
	fd, _, err := d.Find()
	if err == nil {
		defer unix.Close(fd)
		var top unix.Stat_t
		if err := unix.Fstat(fd, &top); err != nil {
			return false, err
		}
		if inside, err := above(fd, &self); err != nil || inside {
			return inside, err
		}
		return below(src, &self, &top)
	}
	for _, p := range d.places {
		parent, err := sys.OpenAt(unix.AT_FDCWD, p.parent, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			continue
		}
		defer unix.Close(parent)
		return above(parent, &self)
	}
	return false, nil
}

// above reports whether st is the directory fd, or one of those above it.
func above(fd int, st *unix.Stat_t) (bool, error) {
	return climb(fd, func(_ int, at *unix.Stat_t) bool { return same(at, st) })
}

// below reports whether src lies in the directory top.
func below(src string, st, top *unix.Stat_t) (bool, error) {
	isTop := func(_ int, at *unix.Stat_t) bool { return same(at, top) }
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		inside, err := climbFrom(src, isTop)
		if !errors.Is(err, unix.EACCES) {
			return inside, err
		}
		// A container's user has closed it, and the caller may not enter it: what is above it has a path.
	}
	real, err := filepath.EvalSymlinks(src)
	if err != nil {
		return false, err
	}
	return climbFrom(filepath.Dir(real), isTop)
}

func climbFrom(dir string, is func(int, *unix.Stat_t) bool) (bool, error) {
	fd, err := sys.OpenAt(unix.AT_FDCWD, dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	return climb(fd, is)
}

// climb walks from a directory up to the root, until is is true. The error is EACCES where the directory itself may not be entered.
func climb(fd int, is func(int, *unix.Stat_t) bool) (bool, error) {
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer func() { _ = unix.Close(fd) }()
	var last unix.Stat_t
	for first := true; ; first = false {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return false, err
		}
		if is(fd, &st) {
			return true, nil
		}
		if !first && same(&st, &last) {
			return false, nil
		}
		last = st
		up, err := sys.OpenAt(fd, "..", unix.O_PATH|unix.O_DIRECTORY, 0)
		if errors.Is(err, unix.EACCES) && !first {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		_ = unix.Close(fd)
		fd = up
	}
}

func same(a, b *unix.Stat_t) bool { return a.Dev == b.Dev && a.Ino == b.Ino }
