// Package runtimedir finds and makes the directory in which rl-run keeps what is true only while the machine runs:
// the state of containers and of named networks.
//
// It is rl-run in $XDG_RUNTIME_DIR, else in /run/user/UID (which su - leaves out of the environment), else
// /tmp/rl-run-UID. /tmp belongs to everybody, so owner, type and mode are checked there through the file descriptor
// that is used afterwards, and in the other places in the same way. What is missing is made, and what of the caller's
// own is in the way is moved aside: the directory heals itself. Directories that have become empty are removed, so
// nothing of rl-run stays behind.
//
// Nobody else can write there, but container root has the caller's own uid outside: that the directory is not within
// a container's reach is for [Dir.Exposes] and [Dir.Gives] to see to.
package runtimedir

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

// Dir is the runtime directory of one user. It holds no file descriptor: each use finds the directory anew, for it
// may vanish at any time.
type Dir struct {
	uid    int
	places []place
}

// place is a directory that may serve, as a name in a parent that is there already.
type place struct {
	parent, name string
	private      bool // the parent must be the user's alone
}

// New returns the runtime directory of a user. xdg is the value of XDG_RUNTIME_DIR; empty or no absolute path, it
// does not count, as the XDG base directory specification has it.
func New(xdg string, uid int) *Dir {
	id := strconv.Itoa(uid)
	d := &Dir{uid: uid}
	if xdg != "" && xdg[0] == '/' {
		d.places = append(d.places, place{xdg, "rl-run", true})
	}
	d.places = append(d.places, place{"/run/user/" + id, "rl-run", true}, place{"/tmp", "rl-run-" + id, false})
	return d
}

// Open opens the directory, and makes it where it is missing. The file descriptor is close-on-exec. The error is an
// *[OwnerError] where somebody else has the last place's name, a *[ModeError], or an *os.PathError.
func (d *Dir) Open() (fd int, path string, err error) {
	for i, p := range d.places {
		fd, err = d.open(p, true)
		if err == nil {
			return fd, p.path(), nil
		}
		if i < len(d.places)-1 && !unusable(err) {
			break
		}
	}
	return -1, "", err
}

// Find is like Open, but makes nothing: the error is an *os.PathError of ENOENT where there is no directory.
func (d *Dir) Find() (fd int, path string, err error) {
	var vacant error // of a place in which it could be made
	for _, p := range d.places {
		fd, err = d.open(p, false)
		if err == nil {
			return fd, p.path(), nil
		}
		if foreign := (*OwnerError)(nil); errors.As(err, &foreign) && vacant != nil {
			return -1, "", vacant // anybody can take the name of a place that comes later
		}
		if !unusable(err) {
			return -1, "", err
		}
		if of, ok := errors.AsType[*os.PathError](err); ok && errors.Is(err, unix.ENOENT) && of.Path == p.path() {
			vacant = err
		}
	}
	return -1, "", err
}

// Sub opens a directory below, and with make makes it, and all above it, where it is missing.
func (d *Dir) Sub(name string, make bool) (fd int, path string, err error) {
	// Another process may remove the directory, empty as it is, between two of these steps.
	for range 100 {
		if fd, path, err = d.sub(name, make); !make || !errors.Is(err, unix.ENOENT) {
			break
		}
	}
	return fd, path, err
}

func (d *Dir) sub(name string, make bool) (fd int, path string, err error) {
	top, path, err := d.Find()
	if make && errors.Is(err, unix.ENOENT) {
		top, path, err = d.Open()
	}
	if err != nil {
		return -1, "", err
	}
	defer unix.Close(top)
	fd, err = d.openIn(top, path, name, make)
	return fd, path + "/" + name, err
}

// Tidy removes a directory below, if there is one, and the runtime directory itself, where they are empty.
func (d *Dir) Tidy(name string) {
	top, path, err := d.Find()
	if err != nil {
		return
	}
	defer unix.Close(top)
	if err := unix.Unlinkat(top, name, unix.AT_REMOVEDIR); err == nil || errors.Is(err, unix.ENOENT) {
		_ = unix.Rmdir(path)
	}
}

func (p place) path() string { return p.parent + "/" + p.name }

// unusable reports whether an error says that a place does not serve at all.
func unusable(err error) bool {
	var foreign *OwnerError
	switch {
	case errors.As(err, &foreign):
		return foreign.parent
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EACCES), errors.Is(err, unix.EROFS):
		return true
	}
	return false
}

// open opens a place's directory in a parent that is checked first.
func (d *Dir) open(p place, make bool) (int, error) {
	parent, err := sys.OpenAt(unix.AT_FDCWD, p.parent, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	if p.private {
		var st unix.Stat_t
		if err := unix.Fstat(parent, &st); err != nil {
			return -1, &os.PathError{Op: "stat", Path: p.parent, Err: err}
		}
		// Under sudo -E or su the variable still is that of another user.
		if int(st.Uid) != d.uid || st.Mode&0o022 != 0 {
			return -1, &OwnerError{Path: p.parent, UID: st.Uid, parent: true}
		}
	}
	return d.openIn(parent, p.parent, p.name, make)
}

// openIn opens a directory of the user's alone.
func (d *Dir) openIn(parent int, parentPath, name string, make bool) (int, error) {
	path := parentPath + "/" + name
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW
	for attempt := 0; ; attempt++ {
		fd, err := sys.OpenAt(parent, name, flags, 0)
		if err == nil {
			if err = d.check(fd, path); err != nil {
				_ = unix.Close(fd)
				return -1, err
			}
			return fd, nil
		}
		if attempt < 3 {
			switch {
			case errors.Is(err, unix.ENOENT) && make:
				if err := sys.Retry(func() error { return unix.Mkdirat(parent, name, 0o700) }); err != nil && !errors.Is(err, unix.EEXIST) {
					return -1, &os.PathError{Op: "mkdir", Path: path, Err: err}
				}
				continue
			case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.EACCES):
				healed, foreign := d.heal(parent, name, path)
				if foreign != nil {
					return -1, foreign
				}
				if healed {
					continue
				}
			}
		}
		if of, ok := errors.AsType[*os.PathError](err); ok {
			of.Path = path
		}
		return -1, err
	}
}

// check looks at owner and mode of the directory that was opened, not of its name.
func (d *Dir) check(fd int, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case int(st.Uid) != d.uid:
		return &OwnerError{Path: path, UID: st.Uid}
	case st.Mode&0o022 != 0:
		return &ModeError{Path: path, Mode: st.Mode & 0o777}
	case st.Mode&0o7777 != 0o700:
		if err := unix.Fchmod(fd, 0o700); err != nil {
			return &os.PathError{Op: "chmod", Path: path, Err: err}
		}
	}
	return nil
}

// heal moves what is no directory out of the way, and gives the owner back the right to enter one that is. It touches
// nothing that belongs to somebody else: foreign then is an *OwnerError.
func (d *Dir) heal(parent int, name, path string) (healed bool, foreign error) {
	var st unix.Stat_t
	if unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return false, nil
	}
	switch {
	case int(st.Uid) != d.uid:
		return false, &OwnerError{Path: path, UID: st.Uid, Link: st.Mode&unix.S_IFMT == unix.S_IFLNK}
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return unix.Renameat(parent, name, parent, name+".broken") == nil, nil
	case st.Mode&0o700 != 0o700:
		return unix.Fchmodat(parent, name, 0o700, 0) == nil, nil
	}
	return false, nil
}
