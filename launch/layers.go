package launch

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs"
	"github.com/rl-run/rl-run/userns"
)

// A directory of layers holds upper, work and a text that says what they belong
// to; the text's file is the lock too.
const layersAbout = "rl-run.layers"

// prepareLayers returns the fd that holds the lock; it goes with the launcher's
// end, however that comes.
func prepareLayers(s plan.PrepareLayers) (lock int, err error) {
	err = os.Mkdir(s.Dir, 0o700)
	if err != nil && (s.About == "" || !errors.Is(err, fs.ErrExist)) {
		return -1, err
	}
	about := filepath.Join(s.Dir, layersAbout)
	fd, err := unix.Open(about, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: about, Err: err}
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = unix.Close(fd)
		return -1, &fs.PathError{Op: "lock", Path: s.Dir, Err: errors.New("in use by another container")}
	}
	if err := fillLayers(s, fd, about); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// fillLayers checks what the layers belong to, or writes it, and makes those
// that are missing.
func fillLayers(s plan.PrepareLayers, fd int, about string) error {
	buf := make([]byte, 4096)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return &fs.PathError{Op: "read", Path: about, Err: err}
	}
	switch {
	case n == 0:
		if entries, err := os.ReadDir(s.Dir); err != nil {
			return err
		} else if len(entries) > 1 {
			_ = os.Remove(about)
			return &fs.PathError{Op: "use", Path: s.Dir, Err: errors.New("the directory is not empty and holds no layer of rl-run")}
		}
		if _, err := unix.Write(fd, []byte(s.About)); err != nil {
			return &fs.PathError{Op: "write", Path: about, Err: err}
		}
	case !bytes.Equal(buf[:n], []byte(s.About)):
		return &fs.PathError{Op: "use", Path: s.Dir, Err: errors.New("its layer was made with another ROOTFS or other id maps")}
	}
	if err := makeLayer(s.Dir, "upper", s.Mode&0o777); err != nil {
		return err
	}
	return makeLayer(s.Dir, "work", 0o700)
}

// makeLayer makes one of the directories of layers, or takes it again. A container may have been given the directory that
// they are in, and may have put a link there, to what it was not given: a link is refused, and so is the work directory of another
// user, in whose layers there may be anything. (An upper directory belongs to whom the container has given its root.)
func makeLayer(in, name string, mode uint32) error {
	dir := filepath.Join(in, name)
	err := os.Mkdir(dir, 0o700)
	isNew := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	flags := unix.O_PATH
	if isNew {
		flags = unix.O_RDONLY // so that its mode can be changed
	}
	fd, err := unix.Open(dir, flags|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		err = hinted(errors.New("it is a link or a file, not the directory that rl-run has made"), "find out who has put it there, or use another directory")
	}
	if err != nil {
		return &fs.PathError{Op: "use", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	if isNew {
		if err := unix.Fchmod(fd, mode); err != nil {
			return &fs.PathError{Op: "chmod", Path: dir, Err: err}
		}
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	if name == "work" && int(st.Uid) != os.Geteuid() {
		return &fs.PathError{Op: "use", Path: dir, Err: fmt.Errorf("it belongs to uid %d, not to you", st.Uid)}
	}
	return nil
}

// shareTree returns the fd that holds the lock; -1 for a tree that cannot be
// read, in which there is nothing to make either.
func shareTree(s plan.ShareTree) (lock int, err error) {
	fd, err := unix.Open(s.Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EACCES) {
		return -1, nil
	}
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: s.Path, Err: err}
	}
	// A container that is just removing its mount points is soon done with it. Anybody who can read the tree may lock it,
	// another user or what runs in it, so nobody is waited for without end.
	for until := time.Now().Add(treeIsBusy); ; time.Sleep(treeIsBusy / 100) {
		err := unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB)
		if err == nil {
			return fd, nil
		}
		if errors.Is(err, unix.EAGAIN) && time.Now().Before(until) || errors.Is(err, unix.EINTR) {
			continue
		}
		_ = unix.Close(fd)
		if errors.Is(err, unix.EAGAIN) {
			err = hinted(errors.New("another program holds a lock of the directory"), "fuser -v "+s.Path+" names it; without --rw no lock is needed")
		}
		return -1, &fs.PathError{Op: "share", Path: s.Path, Err: err}
	}
}

// treeIsBusy is how long a tree may be locked by others before that is an error.
const treeIsBusy = time.Second

// removeMountPoint removes a mount point if it is empty; anything else in its
// place belongs to the user. While another container runs in the tree it stays:
// to remove a directory that is a mount point elsewhere unmounts it there
// (Linux 4.2, detach_mounts).
func (c *Container) removeMountPoint(s plan.RemoveMountPoint) error {
	for _, fd := range c.lock {
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return errors.New("left there: another container uses the tree")
		}
	}
	return rootfs.RemoveEmpty(s.Rootfs, s.Path, s.Dir)
}

// RemoveVerb is the name under which the launcher's binary removes a tree.
const RemoveVerb = "rl-run-remove"

// RemoveLayers deletes a directory of layers. Its files may belong to any id of the container's map, and so what the caller cannot
// delete is deleted in a user namespace with that map; but most containers have only written as their root, who is the caller, and
// to make a namespace takes two programs of the host and a start of this one. It is no error if it is gone. path is where the helpers
// that write maps are looked for.
func RemoveLayers(s plan.RemoveLayers, path string) error {
	if RemoveTree(s.Dir) == nil {
		return nil
	}
	return InMap(userns.Maps{UID: s.UID, GID: s.GID}, path, []string{"/proc/self/exe"}, []string{RemoveVerb, s.Dir})
}

// RemoveTree deletes a directory of layers with the caller's own privileges. It is no error if it is gone.
func RemoveTree(dir string) error {
	// An overlay leaves its work directory without permissions, and in it the mark of one that is volatile.
	for _, name := range [...]string{"/work/work", "/work/work/incompat"} {
		if err := os.Chmod(dir+name, 0o700); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// InMap runs a program of the host in a user namespace with the given maps, as
// its root, and waits for it. path is where the helpers that write maps are
// looked for.
func InMap(m userns.Maps, path string, paths, argv []string) error {
	caller, err := userns.Probe(userns.ModeAuto, path)
	if err != nil {
		return err
	}
	r, err := userns.Compile(userns.Request{UID: m.UID, GID: m.GID}, caller)
	if err != nil {
		return err
	}
	ws, err := RunInMap(r, caller, paths, argv, nil, -1)
	if err != nil {
		return err
	}
	if ws != 0 {
		return fmt.Errorf("%s ended with status %d", argv[0], ws.ExitStatus())
	}
	return nil
}
