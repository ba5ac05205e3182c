// Package copytree copies a directory tree into an empty tmpfs, with owners,
// modes, times, extended attributes, hard links and holes.
//
// A copy has two passes. The survey walks the source, keeps what it saw of each
// entry, and adds up what a tmpfs will charge for it; a tree that does not fit
// is refused before anything was written. The second pass copies what the
// survey saw. Both passes share the work between a few workers, a directory (or
// a part of a large one) at a time, last found first, so that directories stay
// near those that are already open.
//
// The source may be hostile, and may change meanwhile. Nothing is ever found by
// a path of more than one name: each entry is opened below the descriptor of
// its directory, with O_NOFOLLOW, and regular files with O_NONBLOCK and checked
// again once open, so a name that turned into a symbolic link, a FIFO or a
// device leads nowhere and blocks nobody. The destination is taken to be nobody
// else's while the copy runs.
//
// The caller is expected to be root in the user namespace that owns the tmpfs:
// CAP_CHOWN, CAP_FOWNER, CAP_DAC_OVERRIDE, CAP_MKNOD and CAP_SETFCAP, which
// reach as far as the id map does (capabilities(7), user_namespaces(7)).
package copytree

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultWorkers is the number of workers where Options names none. It does not
// follow the number of processors: a third worker gains little, since copying
// into a tmpfs is bound by memory, and a container's helper should not take the
// machine.
const DefaultWorkers = 2

// Options says how to copy; the zero value is a plain copy without a report.
type Options struct {
	// Workers is the number of entries that are copied at the same time, at
	// least 1; 0 means DefaultWorkers. Where RLIMIT_NOFILE leaves no room for
	// that many, there are fewer.
	Workers int

	// Progress, if set, is called ten times a second while files are copied and
	// once at the end, never by two goroutines at once and never after Copy has
	// returned. done and total are bytes of file contents, without holes; done
	// is at most total.
	Progress func(done, total int64)
}

// progressEvery is the time between two calls of Options.Progress.
const progressEvery = 100 * time.Millisecond

// Tally counts entries that share a fate, and names one of them.
type Tally struct {
	N int64 // number of entries

	// First is the path of the one that sorts first, relative to the root of
	// the tree and quoted as in Go where a terminal would not show it as it is.
	// It is empty where N is 0.
	First string
}

// add counts path into t.
func (t *Tally) add(path string) {
	if t.N == 0 || path < t.First {
		t.First = path
	}
	t.N++
}

// merge counts all of o into t.
func (t *Tally) merge(o Tally) {
	if t.N == 0 || o.N > 0 && o.First < t.First {
		t.First = o.First
	}
	t.N += o.N
}

// Stats says what a copy did and what it left out.
type Stats struct {
	Files    int64 // regular files made, each hard link group once
	Dirs     int64 // directories made, the root of the tree included
	Symlinks int64 // symbolic links made
	Specials int64 // FIFOs, sockets and device nodes made
	Links    int64 // further names given to entries counted above
	Bytes    int64 // contents copied into files, without holes

	// Remapped counts entries whose owner or group is outside the id map, where
	// the kernel shows the overflow id, 65534. They belong to 0 in the copy.
	Remapped int64

	// XattrsDropped counts single attributes that the tmpfs did not take or that
	// could not be read: user.* before Linux 6.6, ACL entries for ids outside the
	// map, file capabilities that belong to another user namespace.
	XattrsDropped int64

	// Devices counts device nodes that were not made. mknod is EPERM in a user
	// namespace but for the whiteout, character device 0:0.
	Devices Tally

	// Pseudo counts mounts of proc, sysfs, cgroups and their like. They are made
	// as empty directories: their contents are the kernel's, not the tree's.
	Pseudo Tally

	// Changed counts entries that vanished or turned into another type while
	// the tree was copied. They are left out; a directory is made, but empty.
	Changed Tally

	// Unreadable counts entries that could not be read. They are left out; a
	// directory is made, but empty. See the error of the same name.
	Unreadable Tally
}

// merge adds what another worker did.
func (s *Stats) merge(o *Stats) {
	s.Files += o.Files
	s.Dirs += o.Dirs
	s.Symlinks += o.Symlinks
	s.Specials += o.Specials
	s.Links += o.Links
	s.Bytes += o.Bytes
	s.Remapped += o.Remapped
	s.XattrsDropped += o.XattrsDropped
	s.Devices.merge(o.Devices)
	s.Pseudo.merge(o.Pseudo)
	s.Changed.merge(o.Changed)
	s.Unreadable.merge(o.Unreadable)
}

// skip counts an entry that could not be opened, where that is no reason to
// give up. It reports whether it was one of those errors.
func (s *Stats) skip(errno unix.Errno, d *dir, name *byte) bool {
	switch errno {
	case unix.EACCES, unix.EPERM:
		s.Unreadable.add(d.pathOf(name))
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, // another type, or gone
		unix.ENXIO, unix.ENODEV, // a socket or a device without a driver
		unix.EISDIR, unix.ESTALE:
		s.Changed.add(d.pathOf(name))
	default:
		return false
	}
	return true
}

// Copy copies the tree below the directory src into the directory dst, the root
// of a just mounted, empty tmpfs, and gives that root the attributes of src.
// Both descriptors may be O_PATH; neither is closed. Mounts below src are part
// of the tree.
//
// Before anything is written, a tree that does not fit ends in *TooBig. Entries
// that may not be read are left out and end in *Unreadable once all others have
// been copied, so a caller may take that error for a warning. Every other error
// ends the copy where it stands, with what was copied so far left in dst; it is
// an *os.PathError whose path is relative to the tree. Stats tells in any case
// what was done.
//
// While Copy runs, the umask of the process is 0.
func Copy(src, dst int, o Options) (Stats, error) {
	if o.Workers <= 0 {
		o.Workers = DefaultWorkers
	}
	// The callers' descriptors may be O_PATH, which can neither be listed nor
	// given an owner.
	from, foreign, errno := openDir(src, dot, true)
	if errno != 0 {
		return Stats{}, &os.PathError{Op: "open", Path: ".", Err: errno}
	}
	defer closeFd(from)
	to, _, errno := openDir(dst, dot, true)
	if errno != 0 {
		return Stats{}, &os.PathError{Op: "open", Path: "destination", Err: errno}
	}
	defer closeFd(to)
	if err := checkEmpty(to); err != nil {
		return Stats{}, err
	}
	workers, depth, errno := fdBudget(from, o.Workers)
	if errno != 0 {
		return Stats{}, &os.PathError{Op: "open", Path: ".", Err: errno}
	}

	t, st, err := survey(from, foreign, workers, depth)
	if err != nil {
		return st, err
	}
	if err := t.fits(to); err != nil {
		return st, err
	}

	// With a umask of 0 nearly every entry is made with its final mode, which
	// spares a chmod each.
	defer unix.Umask(unix.Umask(0))
	done := reportProgress(t, o.Progress)
	copied, err := t.copyTo(from, to, workers, depth)
	done(err == nil)
	st.merge(&copied)
	if err == nil && st.Unreadable.N > 0 {
		err = &Unreadable{Count: st.Unreadable.N, Path: st.Unreadable.First}
	}
	return st, err
}

// checkEmpty returns an error unless the directory fd has no entry.
func checkEmpty(fd int) error {
	var buf [1024]byte
	for {
		n, err := unix.Getdents(fd, buf[:])
		if err != nil {
			return os.NewSyscallError("getdents64", err)
		}
		if n == 0 {
			return nil
		}
		for name := range direntNames(buf[:n]) {
			return &os.PathError{Op: "copy", Path: printable(string(name)), Err: unix.ENOTEMPTY}
		}
	}
}

// reportProgress calls f from a goroutine of its own until the returned
// function is called, which also makes the last call where the copy went well.
func reportProgress(t *tree, f func(done, total int64)) (stop func(ok bool)) {
	if f == nil {
		return func(bool) {}
	}
	total := t.data
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				// A file that grew since the survey may pass its share.
				f(min(t.done.Load(), total), total)
			case <-quit:
				return
			}
		}
	}()
	return func(ok bool) {
		close(quit)
		<-gone
		if ok {
			f(total, total)
		}
	}
}
