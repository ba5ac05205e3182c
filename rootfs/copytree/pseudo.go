package copytree

import "golang.org/x/sys/unix"

const (
	mqueueMagic   = 0x19800202 // MQUEUE_MAGIC in ipc/mqueue.c
	configfsMagic = 0x62656570 // CONFIGFS_MAGIC in fs/configfs/mount.c
)

// isPseudo reports whether the mount that begins at fd shows the kernel's own
// objects. Their contents have no end (/proc), no size, or an effect when read;
// the container gets its own. Only the root of a mount is asked.
func isPseudo(fd int) bool {
	var st unix.Statfs_t
	if fstatfs(fd, &st) != 0 {
		return false
	}
	switch int64(uint32(st.Type)) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC,
		unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.RDTGROUP_SUPER_MAGIC,
		unix.DEVPTS_SUPER_MAGIC, mqueueMagic,
		unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, configfsMagic,
		unix.BPF_FS_MAGIC, unix.PSTOREFS_MAGIC, unix.EFIVARFS_MAGIC, unix.BINFMTFS_MAGIC,
		unix.SELINUX_MAGIC, unix.SMACK_MAGIC, unix.XENFS_SUPER_MAGIC, unix.NSFS_MAGIC:
		return true
	}
	return false
}
