package runtimedir

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

// Gives returns the path of a runtime directory that a container with a mount of src, a path of the host, could make:
// the one in use, by another target of a link on the way to it, or one that is looked for before. It is empty where
// there is none.
//
// Such a place need not be there, nor be fit for use: container root has the caller's own uid outside, so it makes
// directories and changes modes as the caller does, and what it left there would be believed from then on. Places
// after the one in use do not count.
func (d *Dir) Gives(src string) (path string, err error) {
	var self unix.Stat_t
	if err := sys.Retry(func() error { return unix.Stat(src, &self) }); err != nil {
		return "", err
	}
	for _, p := range d.places {
		fd, unfit := d.open(p, false)
		if unfit == nil {
			_ = unix.Close(fd)
		} else if top := (unix.Stat_t{}); unix.Lstat(p.path(), &top) == nil {
			if inside, err := below(src, &self, &top); err != nil || inside {
				return p.path(), err
			}
		}
		if taken, err := d.takes(p.parent, &self); err != nil || taken {
			return p.path(), err
		}
		of, ok := errors.AsType[*os.PathError](unfit)
		if unfit == nil || ok && errors.Is(unfit, unix.ENOENT) && of.Path == p.path() {
			break // it is this one, or will be
		}
	}
	return "", nil
}

// takes reports whether who has the directory st decides what a path of the host leads to: it is, or is above, the last
// directory on the way that is there, or one that holds a link on the way.
func (d *Dir) takes(path string, st *unix.Stat_t) (bool, error) {
	const flags, mostLinks = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW, 40
	at, err := sys.OpenAt(unix.AT_FDCWD, "/", flags, 0)
	if err != nil {
		return false, err
	}
	defer func() { _ = unix.Close(at) }()
	links := 0
	for rest := strings.Split(path, "/"); len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "" {
			continue
		}
		from := at
		if target, err := readLink(at, name); err == nil {
			if taken, err := d.holds(at, st, false); err != nil || taken {
				return taken, err
			}
			if links++; links > mostLinks {
				return false, nil
			}
			rest = append(strings.Split(target, "/"), rest...)
			if target[0] != '/' {
				continue
			}
			from, name = unix.AT_FDCWD, "/"
		}
		next, err := sys.OpenAt(from, name, flags, 0)
		if err != nil {
			break
		}
		if unix.Faccessat(next, ".", unix.X_OK, unix.AT_EACCESS) != nil {
			defer unix.Close(next)
			return d.shut(at, next, st)
		}
		_ = unix.Close(at)
		at = next
	}
	return d.holds(at, st, false)
}

// shut is takes for a way that ends at a directory which may not be entered, not even to go up from it.
func (d *Dir) shut(parent, fd int, st *unix.Stat_t) (bool, error) {
	var self unix.Stat_t
	if err := unix.Fstat(fd, &self); err != nil {
		return false, err
	}
	made := d.makes(fd, &self)
	if same(&self, st) {
		return made, nil
	}
	return d.holds(parent, st, made)
}

// readLink is the text of a link, which is not empty.
func readLink(at int, name string) (string, error) {
	var text [unix.PathMax]byte
	n, err := unix.Readlinkat(at, name, text[:])
	if err == nil && n == 0 {
		err = unix.ENOENT
	}
	return string(text[:max(n, 0)]), err
}

// holds reports whether st is the directory fd or above it, and made is true or one from fd up to st is of those in
// which a container can make something.
func (d *Dir) holds(fd int, st *unix.Stat_t, made bool) (bool, error) {
	inside, err := climb(fd, func(fd int, at *unix.Stat_t) bool {
		made = made || d.makes(fd, at)
		return same(at, st)
	})
	return inside && made, err
}

// makes reports whether a container of the caller's may make something in a directory, if need be after a change of
// its mode: it is writable, or belongs to the caller or to a uid that may be a subordinate one of his. Root's, and
// those of users who are not mapped here, are neither.
func (d *Dir) makes(fd int, st *unix.Stat_t) bool {
	const root, unmapped = 0, 65534
	if int(st.Uid) == d.uid || st.Uid != root && st.Uid != unmapped {
		return true
	}
	return unix.Faccessat(fd, ".", unix.W_OK, unix.AT_EACCESS) == nil
}
