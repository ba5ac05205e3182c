package launch

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs"
	"github.com/rl-run/rl-run/userns"
)

// rehearse gives up the facts that only a process in a user namespace can find false, where there is a reason to ask: a filter
// that may refuse sethostname(2), or a ROOTFS on an overlay, above which there may be no room for another. Such a process tries
// it in namespaces of its own, with the caller's id alone, and ends. What keeps it from that tells nothing.
func rehearse(s *Spec, h *Host) {
	if !h.Facts.OwnRoot || len(h.Owners) > 0 {
		return // what leaves a chroot is this very process; and who joins a container makes no user namespace
	}
	if filtered() && s.UTS != Shared {
		h.Facts.OwnName = !failedAt(try(h, plan.SetHostname{Name: h.Name}), plan.KindHostname, unix.EPERM)
	}
	if s.RootMode != RootCopy && s.RootMode != RootWritable && h.Facts.PlainTree && h.Facts.Overlay && stacked(h.Rootfs.Path) {
		entries := rootfs.Root(rootfs.FormOverlay, h.Rootfs, rootfs.Layers{}, 0, 0, 0, true, true)
		h.Facts.Overlay = !failedAt(try(h, steps(entries)...), plan.KindNewRoot, unix.EINVAL)
	}
}

func steps(entries []plan.Entry) (list []plan.Step) {
	for _, e := range entries {
		list = append(list, e.Step)
	}
	return list
}

// try takes steps of init in a process of its own, which then executes true.
func try(h *Host, steps ...plan.Step) error {
	ids, err := userns.Compile(userns.Request{Mode: userns.ModeSingle}, h.Caller)
	if err != nil {
		return err
	}
	c := &compiler{spec: &Spec{PID: Shared}, host: h, Start: Start{IDs: ids}}
	c.chooseBase()
	if err := errors.Join(c.startInit(), c.mapIDs()); err != nil {
		return err
	}
	c.inInit(plan.Unshare{Flags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS}, "")
	c.inInit(plan.Propagate{Type: "private"}, "")
	for _, s := range steps {
		c.inInit(s, "")
	}
	c.execOfHost([]string{"/bin/true", "/usr/bin/true"}, []string{"true"}, nil)
	_, err = runToEnd(c.Plan, -1)
	return err
}

// hasFilesystem reports whether the kernel lists a type of filesystem (proc_filesystems(5)).
func hasFilesystem(name string) (bool, error) {
	types, err := small("/proc/filesystems")
	return strings.Contains(string(types), "\t"+name+"\n"), err
}

// hasOverlay reports whether the kernel has overlays. Of a module that was not used yet only trying tells: the first mount has it
// loaded (get_fs_type() in the kernel's fs/filesystems.c), also one in a user namespace, and of no layers.
func hasOverlay(c userns.Caller) (bool, error) {
	has, err := hasFilesystem("overlay")
	if has || err != nil {
		return has, err
	}
	_ = try(&Host{Caller: c}, plan.Stage{}, plan.Overlay{}) // it fails; what for, the kernel's list tells
	return hasFilesystem("overlay")
}

// failedAt reports whether an error is that of a kind of step, with an errno.
func failedAt(err error, kind plan.Kind, errno unix.Errno) bool {
	failed, ok := errors.AsType[*plan.StepError](err)
	return ok && failed.Step.Kind() == kind && errors.Is(failed.Err, errno)
}

// filtered reports whether a seccomp filter is in force.
func filtered() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err == nil && mode == unix.SECCOMP_MODE_FILTER
}

// stacked reports whether a path is on an overlay. The kernel stacks two filesystems, and no third (FILESYSTEM_MAX_STACK_DEPTH).
func stacked(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC
}
