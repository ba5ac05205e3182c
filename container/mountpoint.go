package container

import (
	"encoding/json"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs"
)

// mountPointFile lists what was made in ROOTFS to mount on. It is there from the start until it has been taken away again.
const mountPointFile = "mountpoints.json"

// mountPoint is a plan.RemoveMountPoint.
type mountPoint struct {
	Rootfs, Path Text
	Dir          bool `json:",omitempty"`
}

// WriteMountPoints is like WriteConfig. The mount points are those that the launcher itself does not remove, because it is
// gone before the end of the container: of one that is detached, or when it is killed. Whoever looks at the container
// next does it then.
func (e *Entry) WriteMountPoints(cleanup []plan.Step) error {
	var points []mountPoint
	for _, s := range cleanup {
		if s, ok := s.(plan.RemoveMountPoint); ok {
			points = append(points, mountPoint{Text(s.Rootfs), Text(s.Path), s.Dir})
		}
	}
	if len(points) == 0 {
		return nil
	}
	return e.writeJSON(mountPointFile, points)
}

// removeMountPoints takes the mount points of a container that has ended away, where they are empty, and once only: what is made in
// their place later is the user's. While another container uses the tree they stay: to remove a directory that is a
// mount point elsewhere unmounts it there (Linux 4.2, detach_mounts).
func (e *Entry) removeMountPoints() {
	if !e.ended || e.Status != Exited && e.Status != Dead {
		return
	}
	text, err := readFile(e.dir, mountPointFile)
	var points []mountPoint
	if err != nil || json.Unmarshal(text, &points) != nil || len(points) == 0 {
		return
	}
	tree, err := openat(unix.AT_FDCWD, string(points[0].Rootfs), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return
	}
	defer unix.Close(tree) // and with it the lock, which containers share whose mount points are in the tree
	if unix.Flock(tree, unix.LOCK_EX|unix.LOCK_NB) != nil || unix.Unlinkat(e.dir, mountPointFile, 0) != nil {
		return
	}
	for _, p := range points {
		_ = rootfs.RemoveEmpty(string(p.Rootfs), string(p.Path), p.Dir)
	}
}
