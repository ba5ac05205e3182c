package copytree

import "golang.org/x/sys/unix"

// entry copies one entry of the open directory d that is no directory.
func (c *copier) entry(d *dir, e *entry, o opened) error {
	if e.link < 0 {
		_, err := c.make(d, e, o, nil)
		return err
	}
	// The lock is held until the contents are there too. Only a worker that
	// comes to another name of the same inode meanwhile waits for it.
	g := &c.tree.groups[e.link]
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dir != nil {
		if linked, err := c.link(d, e, o, g); linked || err != nil {
			return err
		}
	}
	made, err := c.make(d, e, o, g)
	if made {
		g.dir, g.name = d, d.cname(e)
	}
	return err
}

// make copies an entry as one of its own, and reports whether further names of
// its group g, if it has one, may be linked to it.
func (c *copier) make(d *dir, e *entry, o opened, g *group) (bool, error) {
	switch e.kind() {
	case unix.S_IFREG:
		return c.file(d, e, o, g)
	case unix.S_IFLNK:
		return c.symlink(d, e, o)
	default:
		return c.node(d, e, o)
	}
}

// link gives a copy that exists a further name. It is false, and the entry to
// be copied by itself, where the filesystem allows no more names.
func (c *copier) link(d *dir, e *entry, o opened, g *group) (bool, error) {
	at := o.dst
	if g.dir != d {
		fd, err := c.lane.openCopy(g.dir)
		if err != nil {
			return false, err
		}
		defer closeFd(fd)
		at = fd
	}
	name := d.cname(e)
	switch errno := linkat(at, g.name, o.dst, name); errno {
	case 0:
		c.stats.Links++
		return true, nil
	case unix.EMLINK:
		return false, nil
	default:
		return true, c.uncreated(d, name, errno)
	}
}

// symlink copies a symbolic link.
func (c *copier) symlink(d *dir, e *entry, o opened) (bool, error) {
	name := d.cname(e)
	n, errno := readlinkat(o.src, name, c.buf[:len(c.buf)-1])
	if errno == unix.EINVAL { // no symbolic link any more
		errno = unix.ENOENT
	}
	if errno != 0 {
		return false, c.skipped(d, name, errno)
	}
	c.buf[n] = 0
	if errno := symlinkat(&c.buf[0], o.dst, name); errno != 0 {
		return false, c.uncreated(d, name, errno)
	}
	c.stats.Symlinks++
	return true, c.attributes(d, name, &e.attrs, d.foreign, nowhere, place{o.dst, name})
}

// node copies a FIFO, a socket or a device node. None of them is ever opened.
func (c *copier) node(d *dir, e *entry, o opened) (bool, error) {
	name := d.cname(e)
	switch errno := mknodat(o.dst, name, uint32(e.kind())|e.perm(), e.rdev); {
	case errno == unix.EPERM && (e.kind() == unix.S_IFCHR || e.kind() == unix.S_IFBLK):
		c.stats.Devices.add(d.pathOf(name))
		return false, nil
	case errno != 0:
		return false, c.uncreated(d, name, errno)
	}
	c.stats.Specials++
	return true, c.attributes(d, name, &e.attrs, d.foreign, place{o.src, name}, place{o.dst, name})
}

// skipped counts an entry that could not be read, or returns the error where
// that ends the copy.
func (c *copier) skipped(d *dir, name *byte, errno unix.Errno) error {
	if c.stats.skip(errno, d, name) {
		return nil
	}
	return pathError("copy", d.pathOf(name), errno)
}

// uncreated deals with an entry that could not be made. A directory that
// changes while it is read may show a name twice (readdir(3)).
func (c *copier) uncreated(d *dir, name *byte, errno unix.Errno) error {
	if errno == unix.EEXIST {
		c.stats.Changed.add(d.pathOf(name))
		return nil
	}
	return pathError("copy", d.pathOf(name), errno)
}
