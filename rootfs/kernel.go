package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
)

const (
	secure   = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	secureRO = secure | unix.MS_RDONLY
)

// Proc mounts a proc of the container's own pid namespace.
func Proc() []plan.Entry {
	return []plan.Entry{{Actor: plan.Init, Step: plan.Mount{Type: "proc", Target: "/proc", Flags: secure, Strict: true}}}
}

// HostProc binds the host's proc: for a shared pid namespace, and where a proc
// of one's own may not be mounted (mount_too_revealing in the kernel's
// fs/namespace.c). It must be recursive, or the masks on it would come off.
func HostProc(s Source, readOnly bool, why string) []plan.Entry {
	attr := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC)
	if readOnly {
		attr |= unix.MOUNT_ATTR_RDONLY
	}
	return []plan.Entry{{
		Actor: plan.Init, Why: why,
		Step: plan.Bind{
			Source: "/proc", Target: "/proc", Dev: s.Dev, Ino: s.Ino, Recursive: true,
			Attr: attr, Strict: true,
		},
	}}
}

// Sys mounts a sysfs of the container's own net namespace.
func Sys() []plan.Entry {
	return []plan.Entry{{Actor: plan.Init, Step: plan.Mount{Type: "sysfs", Target: "/sys", Flags: secureRO, Strict: true}}}
}

// HostSys binds the host's sysfs read-only: a sysfs shows the net namespace of
// who mounts it, and may be mounted only by its owner.
func HostSys(s Source, why string) []plan.Entry {
	return []plan.Entry{{
		Actor: plan.Init, Why: why,
		Step: plan.Bind{
			Source: "/sys", Target: "/sys", Dev: s.Dev, Ino: s.Ino, Recursive: true,
			Attr:   unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC,
			Strict: true,
		},
	}}
}

// Cgroup mounts the cgroup2 hierarchy of the container's own cgroup namespace.
func Cgroup() []plan.Entry {
	return []plan.Entry{{Actor: plan.Init, Step: plan.Mount{Type: "cgroup2", Target: "/sys/fs/cgroup", Flags: secureRO}}}
}

// Nodes are the devices that every container has, where the host has them.
var Nodes = [...]string{"null", "zero", "full", "random", "urandom", "tty"}

var devLinks = [...][2]string{
	{"fd", "/proc/self/fd"},
	{"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"},
	{"ptmx", "pts/ptmx"},
	{"core", "/proc/kcore"},
}

// ttyGroup is the group of terminals in all distributions known (GID 5).
const ttyGroup = 5

// Dev mounts a /dev of the container's own. hasTTYGroup says whether group 5 is
// mapped: devpts with an unmapped gid is EINVAL.
func Dev(nodes []string, hasTTYGroup, mqueue bool) []plan.Entry {
	var pl plan.Plan
	add := func(s plan.Step, why string) { pl.Add(plan.Init, s, why) }
	add(plan.Mount{Type: "tmpfs", Target: "/dev", Flags: unix.MS_NOSUID, Data: "mode=0755,size=64k", Strict: true}, "")
	for _, n := range nodes {
		add(plan.BindNode{Name: n}, "mknod is EPERM in a user namespace")
	}
	for _, l := range devLinks {
		add(plan.Symlink{Path: "/dev/" + l[0], To: l[1]}, "")
	}
	add(plan.MakeDir{Path: "/dev/pts", Mode: 0o755}, "")
	data := "newinstance,ptmxmode=0666,mode=0620"
	if hasTTYGroup {
		data += fmt.Sprintf(",gid=%d", ttyGroup)
	}
	add(plan.Mount{Type: "devpts", Target: "/dev/pts", Flags: unix.MS_NOSUID | unix.MS_NOEXEC, Data: data}, "")
	add(plan.MakeDir{Path: "/dev/shm", Mode: 0o1777}, "")
	add(plan.Mount{Type: "tmpfs", Target: "/dev/shm", Flags: secure, Data: "mode=1777,size=64m"}, "")
	if mqueue {
		add(plan.MakeDir{Path: "/dev/mqueue", Mode: 0o755}, "")
		add(plan.Mount{Type: "mqueue", Target: "/dev/mqueue", Flags: secure}, "")
	}
	return pl.Entries
}
