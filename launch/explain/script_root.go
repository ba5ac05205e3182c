package explain

import (
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
)

func (w *script) stage(s plan.Stage) {
	w.remark("(on a directory of its own, which this script can name)")
	const attributes = "nosuid,nodev,"
	large, plain := s.Options()
	w.tmpfs(`"$stage"`, attributes+large, attributes+plain)
}

// tmpfs mounts a tmpfs, with the second options where the kernel does not know the first.
func (w *script) tmpfs(dir word, large, plain string) {
	w.run("mount -t tmpfs -o", quote(large), "tmpfs", dir, "2>/dev/null || mount -t tmpfs -o", quote(plain), "tmpfs", dir)
}

func (w *script) stageDir(s plan.StageDir) {
	dir := under("stage", s.Name)
	w.run("mkdir -m", mode(s.Mode), dir)
	if s.UID != 0 || s.GID != 0 {
		w.run("chown", quote(fmt.Sprintf("%d:%d", s.UID, s.GID)), dir)
	}
	if s.Mode&^0o1777 != 0 { // a change of owner drops setuid and setgid
		w.run("chmod", mode(s.Mode), dir)
	}
}

func mode(m uint32) word { return quote(fmt.Sprintf("%04o", m)) }

func (w *script) attachTree(s plan.AttachTree) {
	dir := under("stage", s.Name)
	w.run("mkdir -m 0700", dir)
	w.bindTree(s.Recursive, s.Path, dir)
	if s.ReadOnly {
		w.attributes(dir, unix.MOUNT_ATTR_RDONLY)
	}
}

func (w *script) bindTree(recursive bool, source string, at word) {
	if recursive {
		w.uses["rbind"] = true
		w.run("rbind", quote(source), at)
		return
	}
	w.run("mount --bind --", quote(source), at)
}

// attributes sets options on a mount and on those below it.
func (w *script) attributes(at word, attr uint64) {
	w.uses["attributes"] = true
	w.run("attributes", at, quote(plan.AttrOptions(attr)))
}

func (w *script) rootTmpfs(s plan.RootTmpfs) {
	w.run(`mkdir -m 0700 "$root"`)
	large, plain := s.Options()
	w.tmpfs(`"$root"`, large, plain)
}

func (w *script) overlay(s plan.Overlay) {
	w.run(`mkdir -m 0700 "$root"`)
	w.run(`(cd "$stage" && mount -t overlay -o`, quote(s.Options()), "overlay root)")
}

// inside sets $at to the place of a path of the container.
func (w *script) inside(p string) {
	w.uses["inside"] = true
	w.run("inside", quote(p))
}

// parent sets $at to the directory that holds a path, and returns the word for
// the path's last name in it.
func (w *script) parent(of string) word {
	w.inside(path.Dir(of))
	return under("at", path.Base(of))
}

func (w *script) makeDir(s plan.MakeDir) {
	name := w.parent(s.Path)
	w.run("[ -e", name, "] || [ -L", name, "] || mkdir -m", mode(s.Mode), name)
}

func (w *script) makeFile(p string) {
	name := w.parent(p)
	w.run("[ -e", name, "] || [ -L", name, "] || (umask 0022 && : >"+name+")")
}

func (w *script) symlink(s plan.Symlink) {
	name := w.parent(s.Path)
	w.run("ln -sT --", quote(s.To), name)
}

func (w *script) mount(s plan.Mount) {
	w.inside(s.Target)
	if s.Strict {
		w.noLink(s.Target)
	}
	words := []word{"mount -t", quote(s.Type)}
	if o := s.Options(); o != "" {
		words = append(words, "-o", quote(o))
	}
	w.run(append(words, quote(s.Type), `"$at"`)...)
}

// noLink refuses the place that inside has found where a link leads to it.
func (w *script) noLink(target string) {
	w.uses["die"] = true
	w.run(`[ "$at" =`, under("root", path.Clean(target)[1:]), "] || die", quote(target+" is a symbolic link"))
}

func (w *script) bind(s plan.Bind) {
	w.inside(s.Target)
	if s.Strict {
		w.noLink(s.Target)
	}
	w.bindTree(s.Recursive, s.Source, `"$at"`)
	if s.Attr != 0 {
		w.attributes(`"$at"`, s.Attr)
	}
	if s.Slave {
		w.run(`mount --make-rslave "$at"`)
	}
}

// present writes the begin of a list that is passed over where a path is not
// there, and returns the word for the path.
func (w *script) present(p string) (name word) {
	if p == "/" {
		w.inside(p)
		return `"$at"`
	}
	return w.parent(p)
}

func (w *script) bindSelf(s plan.BindSelf) {
	name := w.present(s.Target)
	w.run("if [ -e", name, "]; then")
	w.run("\tmount --rbind", name, name)
	w.uses["attributes"] = true
	w.run("\tattributes", name, quote(plan.AttrOptions(s.Attr)))
	w.run("fi")
}

func (w *script) bindNode(s plan.BindNode) {
	name := w.parent("/dev/" + s.Name)
	w.run("(umask 0022 && : >" + name + ")")
	w.run("mount --bind --", quote("/dev/"+s.Name), name)
}

func (w *script) mask(s plan.Mask) {
	name := w.present(s.Path)
	if s.Dir {
		w.run("[ ! -d", name, "] || mount -t tmpfs -o ro,nosuid,nodev,noexec,size=0,nr_inodes=1,mode=0555 tmpfs", name)
		return
	}
	w.run("[ ! -e", name, "] || mount --bind /dev/null", name)
}

func (w *script) provideFile(s plan.ProvideFile) {
	file := under("stage", s.Name)
	w.run("(umask 0022 && printf %s", quote(s.Content), ">"+file+")")
	w.inside(s.Target)
	w.run("mount --bind", file, `"$at"`)
}

func (w *script) pivotRoot() {
	w.remark("From outside, because in the new root there is no program of the host to go on with:")
	w.remark("the process inside has its last one loaded already, and the pivot moves its root too.")
	w.remark("The second nsenter keeps the host's tree as its own root.")
	enter := word(`nsenter --target "$pid" --user --mount`)
	if w.keepGroups {
		enter += " --preserve-credentials"
	}
	w.need("nsenter", "pivot_root")
	w.run(enter, `-- pivot_root "$dir/stage/root" "$dir/stage/root"`)
	w.run(enter, `--root=/ --wd="/proc/$pid/root" -- umount --lazy --no-canonicalize .`)
}
