package launch

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
)

// flip is a line of the table of errnos that turn a fact of Host around.
type flip struct {
	kind   plan.Kind
	detail string // filesystem of a mount or name of an attached tree; empty for any
	errnos []unix.Errno
	fact   func(*Facts) *bool
}

var flips = [...]flip{
	// ENOSYS: a filter that cannot look into its arguments, as docker's, refuses it so that clone(2) is used
	{plan.KindStartInit, "", []unix.Errno{unix.ENOSYS}, func(f *Facts) *bool { return &f.Clone3 }},
	{plan.KindStartKeeper, "", []unix.Errno{unix.ENOSYS}, func(f *Facts) *bool { return &f.Clone3 }},
	{plan.KindStartJoiner, "", []unix.Errno{unix.ENOSYS}, func(f *Facts) *bool { return &f.Clone3 }},
	// create_user_ns(): a chroot, or what else forbids it, and then again
	{plan.KindStartInit, "", []unix.Errno{unix.EPERM}, func(f *Facts) *bool { return &f.OwnRoot }},
	// a filter that looks for CAP_SYS_ADMIN where it was loaded, as podman's
	{plan.KindHostname, "", []unix.Errno{unix.EPERM}, func(f *Facts) *bool { return &f.OwnName }},
	// a filter: the kernel itself never says so
	{plan.KindKeyring, "", []unix.Errno{unix.EPERM}, func(f *Facts) *bool { return &f.OwnKeyring }},
	// mount_too_revealing(): something is mounted over the outer /proc or /sys
	{plan.KindMount, "proc", []unix.Errno{unix.EPERM}, func(f *Facts) *bool { return &f.OwnProc }},
	{plan.KindMount, "sysfs", []unix.Errno{unix.EPERM}, func(f *Facts) *bool { return &f.OwnSys }},
	// EBUSY: cgroup v1 uses all controllers; ENOENT: a sysfs without fs/cgroup
	{plan.KindMount, "cgroup2", []unix.Errno{unix.EPERM, unix.EBUSY, unix.ENODEV, unix.ENOENT}, func(f *Facts) *bool { return &f.OwnCgroup }},
	{plan.KindMount, "mqueue", []unix.Errno{unix.EPERM, unix.ENODEV}, func(f *Facts) *bool { return &f.MQueue }},
	// EINVAL: the upper layer's filesystem will not do, and then that ROOTFS cannot be a layer
	{plan.KindNewRoot, "overlay", []unix.Errno{unix.EINVAL}, func(f *Facts) *bool { return &f.TmpfsUpper }},
	// ENODEV: no overlay in this kernel; EPERM: older than 5.11
	{plan.KindNewRoot, "overlay", []unix.Errno{unix.ENODEV, unix.EPERM, unix.EINVAL}, func(f *Facts) *bool { return &f.Overlay }},
	// a clone without the mounts below would uncover what they hide
	{plan.KindAttach, "lower", []unix.Errno{unix.EINVAL}, func(f *Facts) *bool { return &f.PlainTree }},
}

// Without returns the facts that are left after a step failed, and whether that
// changed any.
func (f Facts) Without(failed *plan.StepError) (Facts, bool) {
	var errno unix.Errno
	if !errors.As(failed.Err, &errno) {
		return f, false
	}
	for _, l := range flips {
		if l.kind != failed.Step.Kind() || !slices.Contains(l.errnos, errno) || l.detail != "" && l.detail != detail(failed.Step) {
			continue
		}
		if fact := l.fact(&f); *fact {
			*fact = false
			return f, true
		}
	}
	return f, false
}

func detail(s plan.Step) string {
	switch s := s.(type) {
	case plan.Mount:
		return s.Type
	case plan.Overlay:
		return "overlay"
	case plan.RootTmpfs:
		return "tmpfs"
	case plan.AttachTree:
		return s.Name
	}
	return ""
}
