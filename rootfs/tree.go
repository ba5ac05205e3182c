package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/passwd"
)

// Tree is what was seen of ROOTFS.
type Tree struct {
	Path     string // absolute, without symbolic links
	Dev, Ino uint64
	UID, GID uint32 // as the caller's user namespace shows them
	Mode     uint32 // permission bits of its root directory
	Empty    bool

	Passwd, Group []byte // of the tree; nil where it has none
	TermInfo      bool   // has an entry for the caller's TERM
	UTF8          bool   // has the locale C.UTF-8
}

// Target is a path of the container that something is to be mounted on.
type Target struct {
	Exists  bool
	Hidden  bool // from the caller, not from container root: it counts as one that exists, and may be missing
	Dir     bool
	Missing []string // directories to make first, absolute in the container, without links
	Place   string   // where the missing target itself is to be made
}

// Look opens a rootfs and reads what a plan needs of it. The fd is O_PATH and
// for Look's other methods; the caller closes it. Errors are *fs.PathError.
func Look(path, term string) (t Tree, fd int, err error) {
	fail := func(fd int, op string, err error) (Tree, int, error) {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		return Tree{}, -1, &fs.PathError{Op: op, Path: path, Err: err}
	}
	if t.Path, err = filepath.Abs(path); err != nil {
		return fail(-1, "open", errNoDir)
	}
	if t.Path, err = filepath.EvalSymlinks(t.Path); err != nil {
		errno, ok := errors.AsType[unix.Errno](err)
		if !ok {
			errno = unix.ELOOP // for which alone it has a text of its own
		}
		return fail(-1, "open", errno)
	}
	fd, err = unix.Open(t.Path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail(-1, "open", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fail(fd, "stat", err)
	}
	t.Dev, t.Ino = st.Dev, st.Ino
	t.UID, t.GID, t.Mode = st.Uid, st.Gid, st.Mode&0o7777
	if err := unix.Faccessat(fd, ".", unix.X_OK, 0); err != nil {
		return fail(fd, "open", err)
	}
	if t.Empty, err = isEmpty(t.Path); err != nil {
		return fail(fd, "read", err)
	}
	if t.Passwd, t.Group, err = Users(fd); err != nil {
		_ = unix.Close(fd)
		return Tree{}, -1, err
	}
	t.TermInfo = HasTermInfo(fd, term)
	t.UTF8 = has(fd, "/usr/lib/locale/C.utf8") || has(fd, "/usr/lib/locale/C.UTF-8")
	return t, fd, nil
}

// Users reads the passwd and the group file below a root; nil for one that is not
// there. The error is an *fs.PathError.
func Users(root int) (passwd, group []byte, err error) {
	if passwd, err = readIn(root, "/etc/passwd"); err == nil {
		group, err = readIn(root, "/etc/group")
	}
	return passwd, group, err
}

// HasTermInfo reports whether there is a description of a terminal below a root.
func HasTermInfo(root int, term string) bool {
	if term == "" || len(term) >= 64 || term[0] == '.' || strings.Contains(term, "/") {
		return false
	}
	for _, dir := range []string{"/lib/terminfo/", "/usr/share/terminfo/", "/etc/terminfo/"} {
		if has(root, dir+term[:1]+"/"+term) {
			return true
		}
	}
	return false
}

// isEmpty reads no more than the first names of the directory.
func isEmpty(path string) (bool, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EACCES) {
		return false, nil // it can be entered and mounted, not listed
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	var buf [512]byte
	n, err := unix.ReadDirent(fd, buf[:])
	if err != nil {
		return false, err
	}
	_, names, _ := unix.ParseDirent(buf[:n], 3, nil)
	return names == 0, nil
}

// openIn opens a path below root, which no link can lead out of.
func openIn(root int, path string, flags uint64) (fd int, err error) {
	how := unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	// EAGAIN: a rename somewhere made the kernel unsure where ".." had led. A file
	// under a lease gives it too (fcntl(2)), and may for long: not for ever, then.
	for range 10000 {
		if fd, err = unix.Openat2(root, path, &how); !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return fd, err
}

func has(root int, path string) bool {
	fd, err := openIn(root, path, unix.O_PATH)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

// readIn reads a small regular file of the tree; one that is missing or not
// readable by the caller is nil.
func readIn(root int, path string) ([]byte, error) {
	fd, err := openIn(root, path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil, nil
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		// a socket, or a device without a driver; let Read say what it is
		fd, err = openIn(root, path, unix.O_PATH)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: "rootfs " + path, Err: err}
	}
	defer unix.Close(fd)
	return passwd.Read(fd, "rootfs "+path)
}

// LookTarget finds out what is at a path of the tree, as far as the caller may
// see it. Links are followed inside the tree; the end of a dangling one is where
// the missing target is to be made.
func LookTarget(root int, tree, path string) (Target, error) {
	fd, err := openIn(root, path, unix.O_PATH)
	if err == nil {
		defer unix.Close(fd)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return Target{}, &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		return Target{Exists: true, Dir: st.Mode&unix.S_IFMT == unix.S_IFDIR, Place: path}, nil
	}
	if errors.Is(err, unix.EACCES) {
		t := Target{Exists: true, Hidden: true, Place: filepath.Clean(path)}
		for dir := filepath.Dir(t.Place); dir != "/" && !has(root, dir); dir = filepath.Dir(dir) {
			t.Missing = append([]string{dir}, t.Missing...)
		}
		return t, nil
	}
	if !errors.Is(err, unix.ENOENT) {
		return Target{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	full, err := securejoin.SecureJoin(tree, path)
	if err != nil {
		return Target{}, err
	}
	t := Target{Place: full[len(tree):]}
	for dir := filepath.Dir(t.Place); dir != "/"; dir = filepath.Dir(dir) {
		if fd, err := openIn(root, dir, unix.O_PATH|unix.O_DIRECTORY); err == nil {
			_ = unix.Close(fd)
			break
		} else if errors.Is(err, unix.ENOTDIR) {
			return Target{}, &fs.PathError{Op: "make", Path: path, Err: unix.ENOTDIR}
		}
		t.Missing = append([]string{dir}, t.Missing...)
	}
	return t, nil
}

// Source is a file or directory of the host that is to be mounted.
type Source struct {
	Path     string // absolute
	Dev, Ino uint64
	Dir      bool
	Device   bool // character or block device
}

// errNoDir is why a relative path leads nowhere.
var errNoDir = errors.New("the working directory has been removed")

// LookSource finds out what is at a path of the host.
func LookSource(path string) (Source, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return Source{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if !filepath.IsAbs(path) {
		wd, err := os.Getwd()
		if err != nil {
			return Source{}, &fs.PathError{Op: "stat", Path: path, Err: errNoDir}
		}
		path = wd + "/" + path // not cleaned: ".." behind a link means another place
	}
	kind := st.Mode & unix.S_IFMT
	return Source{
		Path: path, Dev: st.Dev, Ino: st.Ino, Dir: kind == unix.S_IFDIR,
		Device: kind == unix.S_IFCHR || kind == unix.S_IFBLK,
	}, nil
}
