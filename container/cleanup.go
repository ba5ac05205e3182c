package container

import (
	"encoding/json"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/internal/sys"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs"
)

// cleanupFile lists what is to be done after the end. It is there from before the start until it has been done.
const cleanupFile = "cleanup.json"

// cleanup is the plan's, in a form that can be read again.
type cleanup struct {
	MountPoints []mountPoint        `json:",omitempty"` // that were made in ROOTFS
	Layers      []plan.RemoveLayers `json:",omitempty"`
	Subtree     Text                `json:",omitempty"` // in which the control group is
	Helpers     Text                // where those that write maps are looked for: the launcher's PATH
}

// mountPoint is a plan.RemoveMountPoint.
type mountPoint struct {
	Rootfs, Path Text
	Dir          bool `json:",omitempty"`
}

// WriteCleanup is like WriteConfig. The steps are those that a launcher takes after the end, unless it is gone before: when the
// container is detached, or the launcher killed. Then whoever looks at the container next takes them: the heir, as a rule. path is the
// launcher's PATH.
func (e *Entry) WriteCleanup(start *launch.Start, path string) error {
	if !start.Leaves() {
		// A start that is compiled again may have less to undo; a stand-in removes the files that it knows.
		if err := unix.Unlinkat(e.dir, cleanupFile, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return &os.PathError{Op: "remove", Path: e.path + "/" + cleanupFile, Err: err}
		}
		return nil
	}
	c := cleanup{Helpers: Text(path), Subtree: Text(start.Subtree())}
	for _, s := range start.Plan.Cleanup {
		switch s := s.(type) {
		case plan.RemoveMountPoint:
			c.MountPoints = append(c.MountPoints, mountPoint{Text(s.Rootfs), Text(s.Path), s.Dir})
		case plan.RemoveLayers:
			c.Layers = append(c.Layers, s)
		}
	}
	return e.writeJSON(cleanupFile, c)
}

// cleanUp does for a container that has ended, or whose start has come to nothing, what its launcher did not, once only: what is
// made later in the place of a mount point is the user's. Who comes second waits for the first.
func (e *Entry) cleanUp() {
	if !e.ended || e.Status == Running || e.Status == Damaged {
		return
	}
	lock, err := sys.OpenAt(e.dir, cleanupFile, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer unix.Close(lock) // and with it the lock
	if sys.Retry(func() error { return unix.Flock(lock, unix.LOCK_EX) }) != nil {
		return
	}
	text, err := readFile(e.dir, cleanupFile)
	var c cleanup
	if err != nil || json.Unmarshal(text, &c) != nil {
		return
	}
	done := removeMountPoints(c.MountPoints)
	if c.Subtree != "" {
		cgroup.Sweep(string(c.Subtree))
	}
	for _, l := range c.Layers {
		done = launch.RemoveLayers(l, string(c.Helpers)) == nil && done
	}
	if done {
		_ = unix.Unlinkat(e.dir, cleanupFile, 0)
	}
}

func (e *Entry) hasCleanup() bool {
	var st unix.Stat_t
	return unix.Fstatat(e.dir, cleanupFile, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// removeMountPoints takes mount points away where they are empty. While another container uses the tree they stay: to remove a
// directory that is a mount point elsewhere unmounts it there (Linux 4.2, detach_mounts).
func removeMountPoints(points []mountPoint) (done bool) {
	if len(points) == 0 {
		return true
	}
	// It locks the tree, as containers do together whose mount points are in it.
	tree, err := sys.OpenAt(unix.AT_FDCWD, string(points[0].Rootfs), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return errors.Is(err, unix.ENOENT)
	}
	defer unix.Close(tree)
	if unix.Flock(tree, unix.LOCK_EX|unix.LOCK_NB) != nil {
		return false
	}
	for _, p := range points {
		_ = rootfs.RemoveEmpty(string(p.Rootfs), string(p.Path), p.Dir)
	}
	return true
}
