package launch

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs"
	"github.com/rl-run/rl-run/rootfs/mountspec"
)

// around is the innermost filesystem that the container mounts itself and that a path lies on: its place, and the user's mount
// where it is one. The place is "" for a path of ROOTFS.
func (c *compiler) around(p string) (top string, m mountspec.Mount) {
	for _, kernel := range []string{"/dev", "/proc", "/sys"} {
		if p == kernel || strings.HasPrefix(p, kernel+"/") {
			top = kernel
		}
	}
	for _, users := range c.spec.Mounts {
		if at := users.MountPoint(); len(at) > len(top) && strings.HasPrefix(p, at+"/") {
			top, m = at, users
		}
	}
	return top, m
}

// inside reports whether a path lies on a filesystem that the container makes
// itself.
func (c *compiler) inside(p string) bool {
	top, _ := c.around(p)
	return top != ""
}

// mountPoint makes what is missing of a target.
func (c *compiler) mountPoint(p string, dir bool) {
	if top, _ := c.around(p); top != "" && p != top {
		c.ownMountPoint(top, p, dir)
		return
	}
	t := c.host.Targets[p]
	steps := rootfs.MountPoint(t, dir)
	if p == "/tmp" && len(steps) > 0 {
		steps[len(steps)-1].Step = plan.MakeDir{Path: t.Place, Mode: 0o1777}
		steps[len(steps)-1].Why = "programs expect one"
	}
	if !t.Hidden { // else nobody knows whether it was there before
		c.made = append(c.made, steps...)
	}
	c.add(steps)
}

// ownMountPoint makes a target on a filesystem that the container has mounted at top, whatever ROOTFS has at that path: it
// is hidden.
func (c *compiler) ownMountPoint(top, p string, dir bool) {
	var dirs []string
	for up := path.Dir(p); len(up) > len(top); up = path.Dir(up) {
		dirs = append(dirs, up)
	}
	for _, up := range slices.Backward(dirs) {
		c.inInit(plan.MakeDir{Path: up, Mode: 0o755}, "mount point")
	}
	if dir {
		c.inInit(plan.MakeDir{Path: p, Mode: 0o755}, "mount point")
	} else {
		c.inInit(plan.MakeFile{Path: p}, "mount point")
	}
}

func (c *compiler) mounts() error {
	ordered, err := mountspec.Order(c.spec.Mounts)
	if err != nil {
		return err
	}
	for _, m := range ordered {
		switch m := m.(type) {
		case mountspec.Bind:
			src := c.host.Sources[m.Source]
			c.mountPoint(m.Target, src.Dir)
			attr := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
			if m.ReadOnly {
				attr |= unix.MOUNT_ATTR_RDONLY
			}
			if m.NoExec {
				attr |= unix.MOUNT_ATTR_NOEXEC
			}
			if t := c.host.Targets[m.Target]; t.Exists && !t.Hidden && t.Dir != src.Dir && !c.inside(m.Target) {
				return fmt.Errorf("mount %s on %s: both must be directories, or both files", m.Source, m.Target)
			}
			c.inInit(plan.Bind{
				Source: src.Path, Target: m.Target, Dev: src.Dev, Ino: src.Ino,
				Recursive: !m.NonRecursive, Attr: attr, Slave: m.Propagation != mountspec.Private,
			}, m.Flag())
		case mountspec.Tmpfs:
			c.mountPoint(m.Target, true)
			flags := uint64(unix.MS_NOSUID | unix.MS_NODEV)
			if m.ReadOnly {
				flags |= unix.MS_RDONLY
			}
			if m.NoExec {
				flags |= unix.MS_NOEXEC
			}
			c.inInit(plan.Mount{Type: "tmpfs", Target: m.Target, Flags: flags, Data: tmpfsData(m)}, m.Flag())
		case mountspec.Device:
			src := c.host.Sources[m.Source]
			c.mountPoint(m.Target, false)
			c.inInit(plan.Bind{Source: src.Path, Target: m.Target, Dev: src.Dev, Ino: src.Ino}, m.Flag())
		}
	}
	if w := c.spec.Workdir; w != "" {
		at := path.Clean(w)
		top, m := c.around(at)
		_, empty := m.(mountspec.Tmpfs)
		switch {
		case top == "" && !slices.ContainsFunc(c.spec.Mounts, func(m mountspec.Mount) bool { return m.MountPoint() == at }):
			c.mountPoint(w, true)
		case empty: // what is bound is left as it is
			c.ownMountPoint(top, at, true)
		}
	}
	return nil
}

func tmpfsData(m mountspec.Tmpfs) string {
	data := []string{fmt.Sprintf("mode=%04o", m.Mode)}
	for _, o := range []struct {
		name string
		n    uint64
	}{{"size", m.Size}, {"nr_inodes", m.Inodes}, {"uid", uint64(m.UID)}, {"gid", uint64(m.GID)}} {
		if o.n != 0 {
			data = append(data, fmt.Sprintf("%s=%d", o.name, o.n))
		}
	}
	return strings.Join(data, ",")
}
