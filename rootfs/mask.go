package rootfs

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
)

// DefaultMasks are the paths of /proc and /sys that a container does not see:
// those of moby and podman.
var DefaultMasks = [...]string{
	"/proc/acpi",
	"/proc/asound",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/sys/devices/virtual/powercap",
	"/sys/firmware",
	"/sys/fs/selinux",
}

// DefaultReadOnly are the paths of /proc that a container cannot write.
var DefaultReadOnly = [...]string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}

// MaskPath is a path that is to be masked and what the host has there.
type MaskPath struct {
	Path string
	Dir  bool
}

// LookMasks keeps the paths that this kernel has, and tells the directories.
func LookMasks(paths []string) []MaskPath {
	var found []MaskPath
	for _, p := range paths {
		var st unix.Stat_t
		if unix.Lstat(p, &st) == nil {
			found = append(found, MaskPath{p, st.Mode&unix.S_IFMT == unix.S_IFDIR})
		}
	}
	return found
}

// Masks hides paths and makes others read-only; those in unmask are left as they
// are. "ALL" in unmask stands for all of them.
func Masks(masks []MaskPath, readOnly, unmask []string) []plan.Entry {
	var pl plan.Plan
	if slices.Contains(unmask, "ALL") {
		return nil
	}
	for _, p := range readOnly {
		if !slices.Contains(unmask, p) {
			pl.Add(plan.Init, plan.BindSelf{Target: p, Attr: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID |
				unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}, "")
		}
	}
	masks = slices.DeleteFunc(slices.Clone(masks), func(m MaskPath) bool { return slices.Contains(unmask, m.Path) })
	if slices.ContainsFunc(masks, func(m MaskPath) bool { return !m.Dir }) {
		pl.Add(plan.Init, plan.OpenNull{}, "another /dev/null could be anything (CVE-2025-31133)")
	}
	for _, m := range masks {
		pl.Add(plan.Init, plan.Mask(m), "")
	}
	return pl.Entries
}
