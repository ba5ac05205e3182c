package copytree

import (
	"iter"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// overflowID is what the kernel shows for an id that has no place in the id
	// map (user_namespaces(7)). The sysctl that could change it exists for
	// filesystems with 16-bit ids and is left alone everywhere.
	overflowID = 65534

	// direntBuf takes some 800 names at once.
	direntBuf = 32 << 10

	// shortLink is the longest target, in bytes, that a tmpfs keeps beside the
	// inode. A longer one takes a page (SHORT_SYMLINK_LEN in mm/shmem.c).
	shortLink = 127

	// statBlock is the unit of st_blocks, whatever the filesystem.
	statBlock = 512
)

// survey walks the tree below src and returns what it saw.
func survey(src int, foreign bool, workers, depth int) (*tree, Stats, error) {
	root := &dir{foreign: foreign}
	t := &tree{root: root}
	var self unix.Statx_t
	if errno := statx(src, empty, unix.AT_EMPTY_PATH, &self); errno != 0 {
		return t, Stats{}, pathError("stat", ".", errno)
	}
	t.self = attrsOf(&self)
	p := newPool(workers, root)
	links := &linkTable{seen: map[inode]int32{}}
	walkers := make([]*walker, workers)
	do := make([]func(*dir) error, workers)
	for i := range walkers {
		walkers[i] = &walker{
			pool:  p,
			links: links,
			lane:  newLane(opened{root, src, -1}, depth),
			buf:   make([]byte, direntBuf),
		}
		do[i] = walkers[i].walk
	}
	err := p.run(do)
	var st Stats
	for _, w := range walkers {
		w.lane.close()
		st.merge(&w.stats)
		t.pages += w.pages
		t.inodes += w.inodes
		t.data += w.data
	}
	t.groups = make([]group, len(links.list))
	for i, ino := range links.list {
		t.groups[i].dev, t.groups[i].ino = ino.dev, ino.ino
	}
	return t, st, err
}

// walker is a worker of the survey.
type walker struct {
	pool  *pool[*dir]
	links *linkTable
	lane  *lane
	buf   []byte
	stats Stats

	pages, inodes, data int64
}

// walk surveys the directory d and leaves those below it to the pool.
func (w *walker) walk(d *dir) error {
	o, errno, err := w.lane.enter(d)
	if err != nil {
		return err
	}
	if errno != 0 {
		d.hollow = true
		if !w.stats.skip(errno, d, nil) {
			return pathError("open", d.pathOf(nil), errno)
		}
		// Root in the namespace may open any directory of an owner in the map.
		d.foreign = errno == unix.EACCES
		return nil
	}
	if d.mount && isPseudo(o.src) {
		d.hollow = true
		w.stats.Pseudo.add(d.pathOf(nil))
		return nil
	}
	if err := w.list(d, o.src); err != nil {
		return err
	}
	if err := w.stat(d, o.src); err != nil {
		return err
	}
	w.pool.push(d.subs...)
	return nil
}

// list reads the names of d, open as fd, into its arena.
func (w *walker) list(d *dir, fd int) error {
	for {
		n, err := unix.Getdents(fd, w.buf)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ENOENT: // removed while it was open
			return nil
		case err != nil:
			return &os.PathError{Op: "read", Path: d.pathOf(nil), Err: err}
		case n == 0:
			return nil
		}
		for name := range direntNames(w.buf[:n]) {
			d.entries = append(d.entries, entry{name: uint32(len(d.names)), link: -1})
			d.names = append(append(d.names, name...), 0)
		}
	}
}

// stat fills in the entries of d, open as fd, and drops those it cannot.
func (w *walker) stat(d *dir, fd int) error {
	var st unix.Statx_t
	kept := d.entries[:0]
	for _, e := range d.entries {
		name := d.cname(&e)
		if errno := statx(fd, name, 0, &st); errno != 0 {
			if !w.stats.skip(errno, d, name) {
				return pathError("stat", d.pathOf(name), errno)
			}
			continue
		}
		e.attrs = attrsOf(&st)
		e.size = int64(st.Size)
		if e.kind() == unix.S_IFDIR {
			d.subs = append(d.subs, &dir{
				parent: d,
				self:   uint32(len(kept)),
				mount:  st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0,
			})
			w.inodes++
		} else {
			w.count(&e, &st, fd, name)
		}
		kept = append(kept, e)
	}
	d.entries = kept
	return nil
}

// attrsOf takes over what statx(2) says.
func attrsOf(st *unix.Statx_t) attrs {
	return attrs{
		uid: st.Uid, gid: st.Gid, mode: st.Mode,
		times: [2]unix.Timespec{
			{Sec: st.Atime.Sec, Nsec: int64(st.Atime.Nsec)},
			{Sec: st.Mtime.Sec, Nsec: int64(st.Mtime.Nsec)},
		},
	}
}

// count adds what a tmpfs charges for an entry that is no directory. A further
// name of an inode costs no memory, but counts as an inode: shmem_link in
// mm/shmem.c reserves one, since its dentry cannot be given back.
func (w *walker) count(e *entry, st *unix.Statx_t, fd int, name *byte) {
	w.inodes++
	if st.Nlink > 1 {
		var first bool
		if e.link, first = w.links.index(inode{devOf(st), st.Ino}); !first {
			return
		}
	}
	switch e.kind() {
	case unix.S_IFREG:
		pages, data := (e.size-1)/pageSize+1, e.size
		switch {
		case e.size == 0:
			pages = 0
		case sparse(st):
			pages, data = w.countSparse(e, fd, name)
		}
		w.pages += pages
		w.data += data
	case unix.S_IFLNK:
		if e.size > shortLink {
			w.pages++
		}
	case unix.S_IFCHR, unix.S_IFBLK:
		e.rdev = unix.Mkdev(st.Rdev_major, st.Rdev_minor)
	}
}

// sparse reports whether a file may have holes. It may also be compressed, or
// lie in its inode, so only SEEK_HOLE knows; but a file that fills its blocks
// has none that matter.
func sparse(st *unix.Statx_t) bool { return st.Blocks < (st.Size+statBlock-1)/statBlock }

// countSparse returns the pages and the bytes that e takes without its holes.
func (w *walker) countSparse(e *entry, at int, name *byte) (pages, data int64) {
	fd, errno := openat(at, name, fileFlags|unix.O_NOATIME, 0)
	if errno == unix.EPERM {
		fd, errno = openat(at, name, fileFlags, 0)
	}
	if errno != 0 {
		return 0, 0 // the copy will find and count it
	}
	defer closeFd(fd)
	last := int64(-1) // page counted last: two extents may share one
	for from, to := range extents(fd, e.size) {
		data += to - from
		first := max(from/pageSize, last+1)
		last = (to - 1) / pageSize
		pages += last - first + 1
	}
	return pages, data
}

// extents yields where the first size bytes of a file hold data, from and to.
// On a filesystem that knows of no holes that is one extent (lseek(2)).
func extents(fd int, size int64) iter.Seq2[int64, int64] {
	return func(yield func(int64, int64) bool) {
		for off := int64(0); off < size; {
			from, err := unix.Seek(fd, off, unix.SEEK_DATA)
			switch {
			case err == unix.ENXIO: // a hole up to the end
				return
			case err != nil: // no such call in this filesystem
				yield(off, size)
				return
			}
			to, err := unix.Seek(fd, from, unix.SEEK_HOLE)
			if err != nil || to > size {
				to = size
			}
			if from >= to || !yield(from, to) {
				return
			}
			off = to
		}
	}
}

// inode is the identity of a file.
type inode struct{ dev, ino uint64 }

func devOf(st *unix.Statx_t) uint64 { return unix.Mkdev(st.Dev_major, st.Dev_minor) }

// linkTable finds the names that share an inode.
type linkTable struct {
	mu   sync.Mutex
	seen map[inode]int32
	list []inode
}

// index returns the number of the group of ino, and whether it is a new one.
func (l *linkTable) index(ino inode) (i int32, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := l.seen[ino]
	if !ok {
		i = int32(len(l.list))
		l.seen[ino] = i
		l.list = append(l.list, ino)
	}
	return i, !ok
}
