package launch

import (
	"errors"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/rootfs"
)

// Foresee gives up the facts that a start would find false, for a plan that is only to be read: by reading, and, where a reason shows
// to doubt them, by a process in namespaces of its own that ends at once.
func Foresee(s *Spec, h *Host) error {
	f := &h.Facts
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return err
	}
	// Of no size the kernel makes nothing: EINVAL.
	if _, _, errno := unix.Syscall(unix.SYS_CLONE3, 0, 0, 0); errors.Is(errno, unix.ENOSYS) {
		f.Clone3 = false
	}
	if filtered() && keyctlRefused() {
		f.OwnKeyring, h.KeysRefused = false, keysRefused()
	}
	if is, leavable := chroot(); is {
		f.OwnRoot, h.Leavable = false, leavable
	}
	f.OwnProc = f.OwnProc && visible(mounts, "proc", emptyProc[:])
	f.OwnSys = f.OwnSys && visible(mounts, "sysfs", emptySys[:])
	if f.Overlay {
		if f.Overlay, err = hasOverlay(h.Caller); err != nil {
			return err
		}
	}
	for name, fact := range map[string]*bool{"cgroup2": &f.OwnCgroup, "mqueue": &f.MQueue} {
		has, err := hasFilesystem(name)
		if err != nil {
			return err
		}
		*fact = *fact && has
	}
	if h.Submounts, err = rootfs.Submounts(h.Rootfs.Path); err != nil {
		return err
	}
	f.PlainTree = len(h.Submounts) == 0
	rehearse(s, h)
	return nil
}

// Directories that the kernel makes to be mounted on, and that are empty below: what covers them hides nothing.
var (
	emptyProc = [...]string{"/sys/fs/binfmt_misc", "/fs/nfsd", "/openprom"}
	emptySys  = [...]string{
		"/fs/cgroup", "/fs/bpf", "/fs/fuse/connections", "/fs/pstore", "/fs/selinux", "/fs/smackfs", "/fs/resctrl", "/firmware/efi/efivars",
		"/kernel/config", "/kernel/debug", "/kernel/security", "/kernel/tracing", "/hypervisor/s390",
	}
)

// visible reports whether a new filesystem of a type would show no more than one that is mounted, which has to be whole for
// that, and writable where the new one is to be: a /proc is, a /sys is not (mnt_already_visible in the kernel's
// fs/namespace.c).
func visible(mounts []*mountinfo.Info, fstype string, empty []string) bool {
	return slices.ContainsFunc(mounts, func(m *mountinfo.Info) bool {
		if m.FSType != fstype || m.Root != "/" || fstype == "proc" && slices.Contains(strings.Split(m.Options, ","), "ro") {
			return false
		}
		return !slices.ContainsFunc(mounts, func(over *mountinfo.Info) bool {
			return over.Parent == m.ID && over.ID != m.ID && !slices.Contains(empty, strings.TrimPrefix(over.Mountpoint, m.Mountpoint))
		})
	})
}
