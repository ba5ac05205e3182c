package launch

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs"
	"github.com/rl-run/rl-run/rootfs/mountspec"
)

// layers chooses the form of the root, and prepares layers on disk before
// anything is started.
func (c *compiler) layers() error {
	form, err := c.form()
	if err != nil {
		return err
	}
	c.Form = form
	if form == rootfs.FormBind {
		c.parent(plan.ShareTree{Path: c.host.Rootfs.Path}, "its mount points may be in use by others")
	}
	if form != rootfs.FormOverlay {
		return nil
	}
	uid, _ := c.IDs.Maps.InsideUID(c.host.Rootfs.UID)
	gid, _ := c.IDs.Maps.InsideGID(c.host.Rootfs.GID)
	if l := c.layersOnDisk(); l.Dir != "" {
		p := plan.PrepareLayers{Dir: l.Dir, Mode: c.host.Rootfs.Mode}
		why := "tmpfs takes no user xattrs before Linux 6.6: a directory there cannot be made opaque"
		if !l.Keep && c.spec.Size != 0 {
			return hinted(fmt.Errorf("--size %d: before Linux 6.6 writes to the root go to disk, %s, where nothing limits them", c.spec.Size, l.Dir),
				"with --copy they go to a tmpfs, which --size limits")
		}
		if !l.Keep {
			c.fallBackf("an overlay in memory does not work here: writes to the root go to %s until the end", l.Dir)
		}
		if l.Keep {
			p.About = fmt.Sprintf("rootfs %s %d:%d uid %v gid %v owner %d:%d",
				c.host.Rootfs.Path, c.host.Rootfs.Dev, c.host.Rootfs.Ino, c.IDs.Maps.UID, c.IDs.Maps.GID, uid, gid)
			why = ""
		}
		c.parent(p, why)
	}
	return nil
}

func (c *compiler) form() (rootfs.Form, error) {
	s, f := c.spec, c.host.Facts
	switch s.RootMode {
	case RootCopy:
		return rootfs.FormCopy, nil
	case RootWritable:
		if c.unwritable() {
			c.fallBackf("%s belongs to %s, which has no id in the container: writes to it are refused", s.Rootfs, c.foreign())
		}
		return rootfs.FormBind, nil
	case RootReadOnly:
		if c.complete() {
			return rootfs.FormReadOnly, nil
		}
	case RootEphemeral:
	}
	var reason string
	switch {
	case !f.PlainTree:
		reason = "has mounts below it" + some(c.host.Submounts)
	case !f.Overlay:
		reason = "cannot be a layer of an overlay here"
	case c.foreign() != "" && s.RootMode != RootReadOnly:
		c.fallBackf("%s belongs to %s, which has no id in the container: it is read-only (--copy makes it writable)", s.Rootfs, c.foreign())
		if c.complete() {
			return rootfs.FormReadOnly, nil
		}
		return rootfs.FormOverlay, nil
	default:
		return rootfs.FormOverlay, nil
	}
	if s.Keep != "" {
		return "", fmt.Errorf("--keep %s: %s %s", s.Keep, s.Rootfs, reason)
	}
	if !f.Overlay && f.PlainTree && s.RootMode == RootEphemeral && !c.joins() {
		c.fallBackf("%s %s: it is copied into memory (--rw or --read-only do without a copy)", s.Rootfs, reason)
		return rootfs.FormCopy, nil
	}
	if missing := c.missing(); missing != "" {
		return "", hinted(fmt.Errorf("mount %s: it %s, and lacks the mount point %s", s.Rootfs, reason, missing),
			"--copy works with any tree, --rw makes the mount point in it")
	}
	if s.RootMode != RootReadOnly {
		c.fallBackf("%s %s: it is read-only (--copy or --rw make it writable)", s.Rootfs, reason)
	}
	return rootfs.FormReadOnly, nil
}

// some names the first of a list, in brackets.
func some(places []string) string {
	switch len(places) {
	case 0:
		return ""
	case 1:
		return " (" + places[0] + ")"
	}
	return fmt.Sprintf(" (%s and %d more)", places[0], len(places)-1)
}

// missing is a mount point that ROOTFS lacks, if any.
func (c *compiler) missing() string {
	for _, p := range baseTargets {
		if p != "/tmp" && !c.host.Targets[p].Exists {
			return p
		}
	}
	for _, m := range c.spec.Mounts {
		if p := m.MountPoint(); !c.host.Targets[p].Exists && !c.inside(p) {
			return p
		}
	}
	if w := c.spec.Workdir; w != "" && !c.host.Targets[w].Exists && !c.inside(w) {
		return w
	}
	return ""
}

func (c *compiler) complete() bool { return c.missing() == "" }

// readOnlyOverlay: the tree of somebody else, with mount points of our own.
func (c *compiler) readOnlyOverlay() bool { return c.Form == rootfs.FormOverlay && c.foreign() != "" }

func (c *compiler) layersOnDisk() rootfs.Layers {
	switch {
	case c.spec.Keep != "":
		return rootfs.Layers{Dir: c.host.Layers, Keep: true}
	case c.Form == rootfs.FormOverlay && !c.host.Facts.TmpfsUpper && c.spec.RootMode != RootReadOnly:
		return rootfs.Layers{Dir: c.host.Layers}
	}
	return rootfs.Layers{}
}

func (c *compiler) temporaryLayers() bool {
	l := c.layersOnDisk()
	return c.Form == rootfs.FormOverlay && l.Dir != "" && !l.Keep
}

func (c *compiler) propagation() string {
	for _, m := range c.spec.Mounts {
		if b, ok := m.(mountspec.Bind); ok && b.Propagation != mountspec.Private {
			return "slave"
		}
	}
	return "private"
}

func (c *compiler) root() error {
	if c.own(unix.CLONE_NEWUTS) {
		if err := c.setName(); err != nil {
			return err
		}
	}
	c.inInit(plan.Propagate{Type: c.propagation()}, "nothing of what follows shows on the host")
	t := c.host.Rootfs
	uid, ok := c.IDs.Maps.InsideUID(t.UID)
	if !ok {
		uid = c.base[0]
	}
	gid, ok := c.IDs.Maps.InsideGID(t.GID)
	if !ok {
		gid = c.base[1]
	}
	c.add(rootfs.Root(c.Form, t, c.layersOnDisk(), c.spec.Size, uid, gid, true, c.spec.Quiet))
	for _, dir := range []string{"/proc", "/sys", "/dev", "/tmp"} {
		if dir == "/tmp" && (c.Form == rootfs.FormBind || c.Form == rootfs.FormReadOnly) {
			continue
		}
		c.mountPoint(dir, true)
	}
	return nil
}

func (c *compiler) proc() error {
	h := c.host
	switch {
	case c.spec.PID == Shared:
		c.add(rootfs.HostProc(h.Sources["/proc"], false, "it shows the shared pid namespace"))
	case !h.Facts.OwnProc:
		c.fallBack(outerProc(c.spec.Nest))
		c.add(rootfs.HostProc(h.Sources["/proc"], !c.spec.Nest, "the outer /proc is masked in part"))
	default:
		c.add(rootfs.Proc())
	}
	return nil
}

func (c *compiler) dev() error {
	_, tty := c.IDs.Maps.HostGID(5)
	if !c.host.Facts.MQueue && c.spec.IPC != Shared {
		c.fallBack("no mqueue can be mounted here: the container has no /dev/mqueue")
	}
	c.add(rootfs.Dev(c.host.Nodes, tty, c.host.Facts.MQueue && c.spec.IPC != Shared))
	return nil
}

// sys comes after all other filesystems: it is the first to need the net
// namespace.
func (c *compiler) sys() error {
	h := c.host
	if c.netBeside() {
		c.inInit(plan.WaitFor{Whom: plan.Command}, "its net namespace is made")
		c.inInit(plan.JoinNet{}, "a sysfs shows the net namespace of who mounts it")
	}
	switch {
	case c.spec.Net == NetHost:
		c.add(rootfs.HostSys(h.Sources["/sys"], "it shows the shared net namespace"))
	case !h.Facts.OwnSys:
		c.fallBack("a part of the outer /sys is masked, or it is no sysfs: the container gets that one, read-only")
		c.add(rootfs.HostSys(h.Sources["/sys"], "the outer /sys is masked in part"))
	default:
		c.add(rootfs.Sys())
		switch {
		case c.spec.Cgroup == Shared:
		case h.Facts.OwnCgroup:
			c.add(rootfs.Cgroup())
		default:
			c.fallBack("no cgroup2 can be mounted here: /sys/fs/cgroup of the container is empty")
		}
	}
	return nil
}

func (c *compiler) masks() error {
	c.add(rootfs.Masks(c.host.Masks, rootfs.DefaultReadOnly[:], c.unmask()))
	return nil
}

// rows and cols are the size of the caller's terminal, else that of a VT100.
func (c *compiler) rows() uint16 {
	if c.host.Rows == 0 {
		return 24
	}
	return c.host.Rows
}

func (c *compiler) cols() uint16 {
	if c.host.Cols == 0 {
		return 80
	}
	return c.host.Cols
}

func (c *compiler) workdir() string {
	if c.spec.Workdir == "" {
		return "/"
	}
	return c.spec.Workdir
}

// check refuses what cannot be meant together.
func (c *compiler) check() error {
	s := c.spec
	switch {
	case c.host.Rootfs.Empty:
		return hinted(fmt.Errorf("open %s: the directory is empty", s.Rootfs), "scripts/mkrootfs busybox DIR makes a small tree")
	case s.RootMode == RootCopy && c.joins():
		return hinted(errors.New("--copy: what copies the tree could be looked into by the container whose namespaces are shared"),
			"leave it out: what the container writes vanishes in any case")
	case s.Keep != "" && s.RootMode != RootEphemeral:
		return fmt.Errorf("--keep %s: only an ephemeral root has a layer to keep, not --%s", s.Keep, s.RootMode)
	case s.Size != 0 && (s.RootMode == RootWritable || s.RootMode == RootReadOnly):
		return fmt.Errorf("--size %d: no tmpfs takes writes with --%s", s.Size, s.RootMode)
	case s.Size != 0 && s.Keep != "":
		return errors.New("--size: the writes go to --keep's directory")
	case s.Workdir != "" && !path.IsAbs(s.Workdir):
		return fmt.Errorf("-w %s: not an absolute path", s.Workdir)
	case s.Seccomp == "unconfined" && !s.Terminal && c.host.TTY && !s.NoStdin:
		return hinted(errors.New("--security-opt seccomp=unconfined: the command could type into your terminal (TIOCSTI)"),
			"-t gives it a terminal of its own")
	}
	return nil
}
