package explain

import (
	"path"

	"github.com/rl-run/rl-run/plan"
)

// layersAbout is the file in a directory of layers that says what they belong to,
// and its lock: launch makes the same.
const layersAbout = "rl-run.layers"

// prepareLayers makes the directory on disk that takes an overlay's writes, or
// takes it again.
func (w *script) prepareLayers(s plan.PrepareLayers) {
	w.need("flock")
	w.uses["die"] = true
	dir, about := quote(s.Dir), quote(path.Join(s.Dir, layersAbout))
	if s.About == "" {
		w.run("mkdir -m 0700 --", dir)
	} else {
		w.run("[ -d", dir, "] || mkdir -m 0700 --", dir)
		w.run("[ -e", about, `] || [ -z "$(ls -A --`, dir+`)" ] ||`)
		w.run("\tdie", quote("use "+s.Dir+": the directory is not empty and holds no layer of rl-run"))
	}
	w.remark("(the lock goes with the end of this script)")
	w.run("exec 5>>" + about)
	w.run("flock --nonblock 5 || die", quote("lock "+s.Dir+": in use by another container"))
	if s.About != "" {
		w.run("[ -s", about, "] || printf %s", quote(s.About), ">&5")
		w.run(`[ "$(cat --`, about+`)" =`, quote(s.About), "] ||")
		w.run("\tdie", quote("use "+s.Dir+": its layer was made with another ROOTFS or other id maps"))
	}
	for _, d := range []struct {
		name string
		mode uint32
	}{{"upper", s.Mode & 0o777}, {"work", 0o700}} {
		name := quote(path.Join(s.Dir, d.name))
		w.run("[ ! -L", name, "] || die", quote("use "+path.Join(s.Dir, d.name)+": it is a link"))
		w.run("[ -d", name, "] || mkdir -m", mode(d.mode), "--", name)
	}
}

// shareTree holds a lock of ROOTFS as rl-run does: to remove a directory that is a
// mount point in another container unmounts it there.
func (w *script) shareTree(s plan.ShareTree) {
	w.need("flock")
	w.shared = true
	w.remark("(the lock goes with the end of this script)")
	w.run("if [ -r", quote(s.Path), "]; then")
	w.run("\texec 8<" + quote(s.Path))
	w.run("\tflock --shared 8")
	w.run("fi")
}

// removeMountPoint removes what had to be made in ROOTFS, if it is empty and no
// other container uses the tree.
func (w *script) removeMountPoint(s plan.RemoveMountPoint) {
	w.run("root=" + quote(s.Rootfs))
	name := w.parent(s.Path)
	alone := word("")
	if w.shared {
		alone = "flock --exclusive --nonblock 8 && "
	}
	if s.Dir {
		w.run("[ -L", name, "] || { "+alone+"rmdir --", name, "2>/dev/null; }")
		return
	}
	w.run("[ -L", name, "] || [ ! -f", name, "] || [ -s", name, "] || { "+alone+"rm -f --", name+"; }")
}

// removeLayers deletes layers that were made for one container. Their files may
// belong to any id of its map, so its user namespace, which a file descriptor
// has kept, is entered once more.
func (w *script) removeLayers(s plan.RemoveLayers) {
	enter := word("nsenter --user=/proc/self/fd/6")
	if w.keepGroups {
		enter += " --preserve-credentials"
	}
	w.uses["user namespace"] = true
	w.remark("(its files have ids of the container's map: the user namespace was kept for that)")
	w.run(enter, "-- rm -rf --", quote(s.Dir), "|| rm -rf --", quote(s.Dir))
}
