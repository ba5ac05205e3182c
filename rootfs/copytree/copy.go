package copytree

import "golang.org/x/sys/unix"

const (
	// A directory is split into parts of about this many entries or bytes of
	// contents, so that one large directory keeps all workers busy.
	partEntries = 256
	partBytes   = 8 << 20
)

// part is a piece of work: the entries from up to, not including, to, of d.
// Whole directories have to 0: how they are split is decided on arrival.
type part struct {
	d        *dir
	from, to int
}

// copyTo copies t from the directory src into the directory dst.
func (t *tree) copyTo(src, dst, workers, depth int) (Stats, error) {
	// The root is the one directory that was not made here: it may have another
	// owner, and its set-group-ID bit would pass its group on to all below.
	uid, gid, root := uint32(unix.Geteuid()), uint32(unix.Getegid()), place{fd: dst}
	if errno := root.chown(uid, gid); errno != 0 {
		return Stats{}, pathError("chown", "destination", errno)
	}
	if errno := root.chmod(0o700); errno != 0 {
		return Stats{}, pathError("chmod", "destination", errno)
	}
	p := newPool(workers, part{d: t.root})
	copiers := make([]*copier, workers)
	do := make([]func(part) error, workers)
	for i := range copiers {
		copiers[i] = &copier{
			tree: t,
			pool: p,
			lane: newLane(opened{t.root, src, dst}, depth),
			uid:  uid,
			gid:  gid,
			buf:  make([]byte, copyBuf),
		}
		do[i] = copiers[i].part
	}
	err := p.run(do)
	var st Stats
	for _, c := range copiers {
		c.lane.close()
		st.merge(&c.stats)
	}
	return st, err
}

// copier is a worker of the copy.
type copier struct {
	tree  *tree
	pool  *pool[part]
	lane  *lane
	stats Stats

	uid, gid uint32 // what it makes belongs to them
	buf      []byte
	parts    []part // scratch
}

// part copies a part of a directory; the first one makes the others.
func (c *copier) part(p part) error {
	o, errno, err := c.lane.enter(p.d)
	if err != nil {
		return err
	}
	if errno != 0 {
		return c.lost(p, errno)
	}
	if p.to == 0 {
		if p, err = c.open(p.d, o.dst); err != nil {
			return err
		}
	}
	for i := p.from; i < p.to; i++ {
		e := &p.d.entries[i]
		if e.kind() == unix.S_IFDIR {
			continue
		}
		if err := c.entry(p.d, e, o); err != nil {
			return err
		}
	}
	if p.d.parts.Add(-1) > 0 {
		return nil
	}
	return c.finish(p.d, o)
}

// open makes the directories in d, leaves them and all but one part of the
// other entries to the pool, and returns that part.
func (c *copier) open(d *dir, dst int) (part, error) {
	c.parts = c.parts[:0]
	for _, sub := range d.subs {
		made, err := c.mkdir(sub, dst)
		if err != nil {
			return part{}, err
		}
		if made && !sub.hollow {
			c.parts = append(c.parts, part{d: sub})
		}
	}
	subs := len(c.parts)
	var bytes int64
	from := 0
	for i := range d.entries {
		e := &d.entries[i]
		if e.kind() == unix.S_IFREG {
			bytes += e.size
		}
		if i+1-from >= partEntries || bytes >= partBytes {
			c.parts = append(c.parts, part{d, from, i + 1})
			from, bytes = i+1, 0
		}
	}
	last := part{d, from, len(d.entries)}
	if from == len(d.entries) && len(c.parts) > subs {
		last = c.parts[len(c.parts)-1]
		c.parts = c.parts[:len(c.parts)-1]
	}
	d.parts.Store(int32(len(c.parts) - subs + 1))
	c.pool.push(c.parts...)
	return last, nil
}

// mkdir makes the directory d in its parent, open as dst, and reports whether
// there is one to fill.
func (c *copier) mkdir(d *dir, dst int) (bool, error) {
	e := d.entry()
	name := d.parent.cname(e)
	switch errno := mkdirat(dst, name, e.perm()); errno {
	case 0:
		c.stats.Dirs++
	case unix.EEXIST: // the name came twice: the directory changed while it was read
		c.stats.Changed.add(d.pathOf(nil))
		return false, nil
	default:
		return false, pathError("copy", d.pathOf(nil), errno)
	}
	if d.hollow {
		return true, c.attributes(d, nil, &e.attrs, d.foreign, nowhere, place{dst, name})
	}
	return true, nil
}

// lost deals with a part of a directory that cannot be opened any more.
func (c *copier) lost(p part, errno unix.Errno) error {
	if p.to == 0 {
		p.d.parts.Store(1)
		if !c.stats.skip(errno, p.d, nil) {
			return pathError("open", p.d.pathOf(nil), errno)
		}
	} else {
		for i := p.from; i < p.to; i++ {
			e := &p.d.entries[i]
			if e.kind() != unix.S_IFDIR && !c.stats.skip(errno, p.d, p.d.cname(e)) {
				return pathError("open", p.d.pathOf(nil), errno)
			}
		}
	}
	if p.d.parts.Add(-1) > 0 {
		return nil
	}
	fd, err := c.lane.openCopy(p.d)
	if err != nil {
		return err
	}
	defer closeFd(fd)
	return c.finish(p.d, opened{p.d, -1, fd})
}

// finish gives a directory, once everything in it has been made, what making
// entries in it would have changed. That the entries of its own are made is
// enough: what happens in a directory leaves the times of those above alone.
func (c *copier) finish(d *dir, o opened) error {
	a := &c.tree.self
	if d.parent != nil {
		a = &d.entry().attrs
	} else {
		c.stats.Dirs++
		if errno := (place{fd: o.dst}).chmod(a.perm()); errno != 0 {
			return pathError("copy", ".", errno)
		}
	}
	return c.attributes(d, nil, a, d.foreign, place{fd: o.src}, place{fd: o.dst})
}
