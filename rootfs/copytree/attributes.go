package copytree

import "golang.org/x/sys/unix"

// attributes gives what was made at the place to its owner, mode bits, extended
// attributes and times, in the order in which none undoes another: chown clears
// set-user-ID bits and file capabilities, and all but the times are free to
// touch times. It is the entry name of d, or d itself where name is nil. The
// extended attributes come from the place from, if that is one.
func (c *copier) attributes(d *dir, name *byte, a *attrs, foreign bool, from, to place) error {
	if errno := c.own(a, foreign, to); errno != 0 {
		return pathError("chown", d.pathOf(name), errno)
	}
	if a.special() {
		if errno := to.chmod(uint32(a.mode &^ unix.S_IFMT)); errno != 0 {
			return pathError("chmod", d.pathOf(name), errno)
		}
	}
	if from != nowhere {
		if errno := c.xattrs(from, to); errno != 0 {
			return pathError("copy attributes of", d.pathOf(name), errno)
		}
	}
	if errno := to.utimes(&a.times); errno != 0 {
		return pathError("set times of", d.pathOf(name), errno)
	}
	return nil
}

// own gives an entry its owner and group, unless it was made with them. Where
// foreign says that the owner is outside the id map, the overflow id stands for
// it, although that id itself may be in the map: nobody is, as a rule. Other
// such ids show by EINVAL (chown(2)). All become 0, the owner of most that a
// container has no id for.
func (c *copier) own(a *attrs, foreign bool, p place) unix.Errno {
	uid, gid := a.uid, a.gid
	if foreign {
		if uid == overflowID {
			uid = 0
		}
		if gid == overflowID {
			gid = 0
		}
	}
	var errno unix.Errno
	if uid != c.uid || gid != c.gid {
		errno = p.chown(uid, gid)
		if errno == unix.EINVAL {
			for _, to := range [...][2]uint32{{uid, 0}, {0, gid}, {0, 0}} {
				uid, gid = to[0], to[1]
				if errno = p.chown(uid, gid); errno != unix.EINVAL {
					break
				}
			}
		}
	}
	if uid != a.uid || gid != a.gid {
		c.stats.Remapped++
	}
	return errno
}
