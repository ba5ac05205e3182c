package rootfs

import (
	"slices"

	"github.com/rl-run/rl-run/plan"
)

// Form is how ROOTFS becomes the root.
type Form string

// The forms of a root.
const (
	FormOverlay  Form = "overlay"   // writes go to a layer above it
	FormCopy     Form = "copy"      // a tmpfs into which it is copied
	FormBind     Form = "bind"      // it itself, writable
	FormReadOnly Form = "read-only" // it itself, read-only
)

// Layers say where an overlay's writes go.
type Layers struct {
	Dir  string // directory of the host with upper and work in it; empty for the stage's tmpfs
	Keep bool
}

// Names in the stage.
const (
	lowerName = "lower"
	upperName = "upper"
	workName  = "work"
	diskName  = "disk"
	rootName  = "root"
)

// Root returns the steps that make the new root. uid and gid are the owner of
// the tree as the container sees it. Size limits the tmpfs that takes the writes.
func Root(f Form, t Tree, l Layers, size uint64, uid, gid uint32, recursive, quiet bool) []plan.Entry {
	var pl plan.Plan
	add := func(s plan.Step, why string) { pl.Add(plan.Init, s, why) }
	attach := plan.AttachTree{Path: t.Path, Dev: t.Dev, Ino: t.Ino, Name: lowerName}

	switch f {
	case FormOverlay:
		o := plan.Overlay{Lower: []string{lowerName}, Upper: upperName, Work: workName}
		if l.Dir == "" {
			add(plan.Stage{Size: size}, "for the layers, the new root's mount point and the files of the launcher")
			// the overlay's root directory looks like the upper layer's
			add(plan.StageDir{Name: upperName, Mode: t.Mode, UID: uid, GID: gid}, "")
			add(plan.StageDir{Name: workName, Mode: 0o700}, "")
		} else {
			add(plan.Stage{}, "for the layers, the new root's mount point and the files of the launcher")
			add(plan.AttachTree{Path: l.Dir, Name: diskName}, "the writes go to disk")
			o.Upper, o.Work, o.Volatile, o.OnDisk = diskName+"/"+upperName, diskName+"/"+workName, !l.Keep, true
		}
		add(attach, "")
		add(o, "ROOTFS itself is never written")
	case FormCopy:
		add(plan.Stage{}, "for the layers, the new root's mount point and the files of the launcher")
		attach.Recursive, attach.ReadOnly = true, true
		add(attach, "")
		add(plan.RootTmpfs{Size: size, Mode: t.Mode}, "")
		add(plan.CopyTree{From: lowerName, To: rootName, Source: t.Path, Quiet: quiet}, "")
	case FormBind, FormReadOnly:
		add(plan.Stage{}, "for the layers, the new root's mount point and the files of the launcher")
		attach.Name, attach.Recursive, attach.ReadOnly = rootName, recursive, f == FormReadOnly
		add(attach, "")
	}
	add(plan.OpenRoot{}, "paths of the container are resolved from it")
	return pl.Entries
}

// MountPoint returns the steps that make what is missing of a target, or what may be: what is there is left alone.
func MountPoint(t Target, dir bool) []plan.Entry {
	if t.Exists && !t.Hidden {
		return nil
	}
	var pl plan.Plan
	for _, d := range t.Missing {
		pl.Add(plan.Init, plan.MakeDir{Path: d, Mode: 0o755}, "mount point")
	}
	if dir {
		pl.Add(plan.Init, plan.MakeDir{Path: t.Place, Mode: 0o755}, "mount point")
	} else {
		pl.Add(plan.Init, plan.MakeFile{Path: t.Place}, "mount point")
	}
	return pl.Entries
}

// Unmake returns the cleanup for mount points that were made in ROOTFS itself.
func Unmake(tree string, made []plan.Entry) []plan.Step {
	var steps []plan.Step
	seen := make(map[string]bool, len(made)) // several may want one directory
	for _, e := range made {
		step := plan.RemoveMountPoint{Rootfs: tree}
		switch s := e.Step.(type) {
		case plan.MakeDir:
			step.Path, step.Dir = s.Path, true
		case plan.MakeFile:
			step.Path = s.Path
		}
		if step.Path != "" && !seen[step.Path] {
			seen[step.Path] = true
			steps = append(steps, step)
		}
	}
	slices.Reverse(steps)
	return steps
}
