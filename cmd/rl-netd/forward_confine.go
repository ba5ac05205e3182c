package main

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/port/forward"
)

// confine takes from this process, which talks to hostile clients and a hostile container, what
// it does not need: capabilities, new privileges, the file system, and its memory from
// the eyes of others. With transparent it keeps the capability for foreign addresses, in
// the user namespace of the container, and says whether that suffices.
func confine(transparent bool) (capable bool, err error) {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return false, os.NewSyscallError("prctl PR_SET_DUMPABLE", err)
	}
	if err := allThreads("prctl PR_SET_NO_NEW_PRIVS", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return false, err
	}
	denyFiles()

	wish := []uint64{0}
	if transparent {
		// Since Linux 5.17 CAP_NET_RAW is enough for SO_MARK, commit 079925cce1d0.
		wish = []uint64{1 << unix.CAP_NET_RAW, 1<<unix.CAP_NET_RAW | 1<<unix.CAP_NET_ADMIN, 0}
	}
	permitted, err := permittedCapabilities()
	if err != nil {
		return false, err
	}
	for _, set := range wish {
		// While it is tried, the permitted set still has what the next try may need.
		set &= permitted
		if err := setCapabilities(set, permitted); err != nil {
			return false, err
		}
		if capable = set != 0 && forward.MayBeTransparent() == nil; capable || set == 0 {
			return capable, setCapabilities(set, set)
		}
	}
	return false, setCapabilities(0, 0)
}

// allThreads makes a system call on each of Go's threads: credentials are a thread's.
func allThreads(name string, trap, a1, a2, a3 uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(trap, a1, a2, a3, 0, 0, 0) //nolint:forbidigo // the runtime alone can do it
	if errno != 0 {
		return os.NewSyscallError(name, errno)
	}
	return nil
}

func permittedCapabilities() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, os.NewSyscallError("capget", err)
	}
	return uint64(data[1].Permitted)<<32 | uint64(data[0].Permitted), nil
}

// setCapabilities leaves nothing inheritable, and so nothing ambient.
func setCapabilities(effective, permitted uint64) error {
	// Memory that does not move: the threads read it one after the other.
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := &[2]unix.CapUserData{
		{Effective: uint32(effective), Permitted: uint32(permitted)},
		{Effective: uint32(effective >> 32), Permitted: uint32(permitted >> 32)},
	}
	return allThreads("capset", unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(data)), 0)
}

// denyFiles has Landlock (5.13) refuse to open, make, remove or execute any file.
// Where the kernel lacks it, the mode bits have to do.
func denyFiles() {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return
	}
	// The rights of the first version, and what later ones added: refer, truncate, ioctl.
	rights := uint64(1<<13 - 1)
	for version, bit := range map[uintptr]uint64{2: 1 << 13, 3: 1 << 14, 5: 1 << 15} {
		if abi >= version {
			rights |= bit
		}
	}
	// Of struct landlock_ruleset_attr the first field, which is all that the first version has.
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rights)), unsafe.Sizeof(rights), 0)
	if errno != 0 {
		return
	}
	_ = allThreads("landlock_restrict_self", unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0)
	_ = unix.Close(int(fd))
}
