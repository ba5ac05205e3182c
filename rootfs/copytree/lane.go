package copytree

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// lane is one worker's way to the directories: descriptors of the few it used
// last. Any other is opened from the nearest of its ancestors that is among
// them, one name at a time, so that no path is built, its length has no limit,
// and a component that was swapped for a symbolic link leads nowhere.
type lane struct {
	root  opened
	used  []opened // most recently used first, never the root
	depth int      // of used, at least 2: a directory and its parent
	path  []*dir   // scratch: what lies between an ancestor and the goal
}

// opened is a directory of the source and, while copying, its copy.
type opened struct {
	d        *dir
	src, dst int // dst is -1 in the survey
}

// newLane returns a lane that keeps depth directories open at most.
func newLane(root opened, depth int) *lane {
	return &lane{root: root, depth: depth, used: make([]opened, 0, depth)}
}

// close closes what the lane has open. The root is the caller's.
func (l *lane) close() {
	for _, o := range l.used {
		closeOpened(o)
	}
	l.used = l.used[:0]
}

func closeOpened(o opened) {
	closeFd(o.src)
	if o.dst >= 0 {
		closeFd(o.dst)
	}
}

// enter returns d open. The descriptors are good until the next call. An errno
// comes from the source; in the copy, which nobody else changes, a directory
// that cannot be opened is an error to give up for.
func (l *lane) enter(d *dir) (opened, unix.Errno, error) {
	at := l.nearest(d)
	for _, d := range slices.Backward(l.path) {
		o, errno, err := l.step(at, d)
		if errno != 0 || err != nil {
			return opened{}, errno, err
		}
		at = o
	}
	return at, 0, nil
}

// nearest returns the deepest ancestor of d, or d itself, that is open, and
// leaves in l.path what lies below it, d first.
func (l *lane) nearest(d *dir) opened {
	l.path = l.path[:0]
	for ; d.parent != nil; d = d.parent {
		for i, o := range l.used {
			if o.d == d {
				copy(l.used[1:i+1], l.used[:i])
				l.used[0] = o
				return o
			}
		}
		l.path = append(l.path, d)
	}
	return l.root
}

// step opens d below its parent, which is open and the last used.
func (l *lane) step(at opened, d *dir) (opened, unix.Errno, error) {
	if n := len(l.used); n == l.depth {
		closeOpened(l.used[n-1])
		l.used = l.used[:n-1]
	}
	name := d.parent.cname(d.entry())
	src, foreign, errno := openDir(at.src, name, !d.foreign)
	if errno != 0 {
		return opened{}, errno, nil
	}
	dst := -1
	if at.dst >= 0 {
		if dst, errno = openat(at.dst, name, dirFlags, 0); errno != 0 {
			closeFd(src)
			return opened{}, 0, pathError("open", d.pathOf(nil), errno)
		}
	} else if foreign {
		// Only the first time it is opened, which is to walk it, was O_NOATIME
		// tried, and nobody else knows the directory yet.
		d.foreign = true
	}
	o := opened{d, src, dst}
	l.used = append(l.used, opened{})
	copy(l.used[1:], l.used)
	l.used[0] = o
	return o, 0, nil
}

// openCopy opens the copy of d alone, for what has no source to go with. The
// caller closes it.
func (l *lane) openCopy(d *dir) (int, error) {
	at := l.nearest(d)
	fd, errno := openat(at.dst, dot, dirFlags, 0)
	for _, d := range slices.Backward(l.path) {
		if errno != 0 {
			break
		}
		var next int
		next, errno = openat(fd, d.parent.cname(d.entry()), dirFlags, 0)
		closeFd(fd)
		fd = next
	}
	if errno != 0 {
		return -1, pathError("open", d.pathOf(nil), errno)
	}
	return fd, nil
}

const (
	maxDepth = 8 // directories a lane keeps open; more saves no call in usual trees
	minDepth = 2
	transit  = 2 // further descriptors of a worker: a file and its copy
)

// fdBudget fits the workers to the descriptors that RLIMIT_NOFILE leaves, and
// says how many directories each may keep open. Counting those that are taken
// needs /proc, so it tries: dup costs nothing next to a copy.
func fdBudget(fd, workers int) (n, depth int, errno unix.Errno) {
	// The Go runtime opens two descriptors when the first timer starts, which
	// would be ours (Progress) or its own, while memory is given back.
	time.AfterFunc(time.Hour, func() {}).Stop()
	const spare = 1 // for whoever else opens one
	want := workers*(2*maxDepth+transit) + spare
	probes := make([]int, 0, want)
	for len(probes) < want {
		p, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			break
		}
		probes = append(probes, p)
	}
	for _, p := range probes {
		closeFd(p)
	}
	for free := len(probes) - spare; workers > 0; workers-- {
		if depth = (free/workers - transit) / 2; depth >= minDepth {
			return workers, min(depth, maxDepth), 0
		}
	}
	return 0, 0, unix.EMFILE
}
