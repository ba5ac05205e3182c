package copytree

import "golang.org/x/sys/unix"

const (
	// copyBuf holds, at different times, the target of a symbolic link, a list
	// of extended attributes with a value, and contents.
	copyBuf = xattrListMax + xattrSizeMax

	// chunk is what is copied between two looks at whether to go on.
	chunk = 4 << 20
)

// contents copies what the file in holds to the empty file out, up to the size
// that it had when it was opened: a log may grow as fast as it is read.
func (c *copier) contents(in, out int, st *unix.Statx_t) error {
	size := int64(st.Size)
	if !sparse(st) {
		return c.stream(in, out, size)
	}
	for from, to := range extents(in, size) {
		if _, err := unix.Seek(in, from, unix.SEEK_SET); err != nil {
			return err
		}
		if _, err := unix.Seek(out, from, unix.SEEK_SET); err != nil {
			return err
		}
		if err := c.stream(in, out, to-from); err != nil {
			return err
		}
	}
	return unix.Ftruncate(out, size)
}

// stream copies n bytes, or what there is, from where in stands to where out
// stands. sendfile(2) spares one of two copies and, for a small file, one of two
// calls; copy_file_range(2) into a tmpfs is EXDEV, and writing from a mapping
// gains only in files of many megabytes.
func (c *copier) stream(in, out int, n int64) error {
	splices := true
	for n > 0 {
		var m int
		var errno unix.Errno
		if want := int(min(n, chunk)); splices {
			m, errno = sendfile(out, in, want)
		} else {
			m, errno = c.readWrite(in, out, want)
		}
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EINVAL && splices:
			splices = false // this filesystem cannot
			continue
		case errno != 0:
			return errno
		case m == 0: // the file shrank
			return nil
		}
		n -= int64(m)
		c.stats.Bytes += int64(m)
		c.tree.done.Add(int64(m))
		if n > 0 {
			if err := c.pool.failed(); err != nil {
				return err
			}
		}
	}
	return nil
}

// readWrite is sendfile for files that cannot be spliced. It copies at most a
// buffer full.
func (c *copier) readWrite(in, out, n int) (int, unix.Errno) {
	n, errno := read(in, c.buf[:min(n, len(c.buf))])
	if errno != 0 {
		return 0, errno
	}
	for b := c.buf[:n]; len(b) > 0; {
		m, errno := write(out, b)
		switch errno {
		case 0:
			b = b[m:]
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
	return n, 0
}
