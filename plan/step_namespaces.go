package plan

import (
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// StartInit has the parent clone init into new namespaces: user, and pid unless
// the container shares the host's. Flags are CLONE_NEW* bits of clone(2).
type StartInit struct{ Flags uint64 }

// Unshare has init create the other namespaces. The user namespace is mapped by
// then, so that they and what they hold belong to the container's root.
type Unshare struct{ Flags uint64 }

// JoinNet has init join the net namespace that the command has made. To make one
// takes as long as all mounts together, so the two do it side by side.
type JoinNet struct{}

// LoopbackUp sets the interface lo up, which gives it 127.0.0.1 and ::1.
type LoopbackUp struct{}

// LeaveChroot has the parent make the root of the chroot in which it is that of a mount namespace: in a chroot the
// kernel makes no user namespace (user_namespaces(7), EPERM).
type LeaveChroot struct{}

// SetHostname names the container: at most 64 bytes (sethostname(2)).
type SetHostname struct{ Name string }

// Propagate sets the propagation of all mounts: "private", or "slave" where a
// bind is to follow mounts made later on the host (mount_namespaces(7)).
type Propagate struct{ Type string }

// Kind implements Step.
func (StartInit) Kind() Kind { return KindStartInit }

// Kind implements Step.
func (Unshare) Kind() Kind { return KindUnshare }

// Kind implements Step.
func (JoinNet) Kind() Kind { return KindJoinNet }

// Kind implements Step.
func (LoopbackUp) Kind() Kind { return KindLoopback }

// Kind implements Step.
func (LeaveChroot) Kind() Kind { return KindLeaveChroot }

// Kind implements Step.
func (SetHostname) Kind() Kind { return KindHostname }

// Kind implements Step.
func (Propagate) Kind() Kind { return KindPropagate }

// cloneFlags are the namespaces in the order of the printed plan.
var cloneFlags = [...]struct {
	flag uint64
	name string
}{
	{unix.CLONE_NEWUSER, "user"},
	{unix.CLONE_NEWPID, "pid"},
	{unix.CLONE_NEWNS, "mnt"},
	{unix.CLONE_NEWUTS, "uts"},
	{unix.CLONE_NEWIPC, "ipc"},
	{unix.CLONE_NEWNET, "net"},
	{unix.CLONE_NEWCGROUP, "cgroup"},
	{unix.CLONE_NEWTIME, "time"},
}

// Flag returns the CLONE_NEW* flag of a namespace's name in /proc/PID/ns; 0 for
// one that is not known.
func Flag(name string) uint64 {
	for _, f := range cloneFlags {
		if f.name == name {
			return f.flag
		}
	}
	return 0
}

// Namespaces returns the names of CLONE_NEW* flags as /proc/PID/ns has them.
func Namespaces(flags uint64) []string {
	var names []string
	for _, f := range cloneFlags {
		if flags&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	return names
}

func (s StartInit) String() string {
	if s.Flags == 0 {
		return "start init"
	}
	return "start init in new namespaces: " + strings.Join(Namespaces(s.Flags), ", ")
}

func (s Unshare) String() string {
	return "unshare " + strings.Join(Namespaces(s.Flags), ", ")
}

func (JoinNet) String() string { return "join the command's net namespace" }

func (LoopbackUp) String() string { return "set lo up" }

func (LeaveChroot) String() string {
	return "leave the chroot: make its root that of a mount namespace"
}
func (s SetHostname) String() string { return "set hostname " + s.Name }

func (s Propagate) String() string { return fmt.Sprintf("make all mounts %s", s.Type) }

func (s Unshare) lower(p *program) { p.call(unix.SYS_UNSHARE, lit(s.Flags)) }

func (JoinNet) lower(p *program) {
	// A change of init's ids may have made the shared memory non-dumpable, and
	// then setns(2) by pidfd is EPERM.
	p.call(unix.SYS_PRCTL, lit(unix.PR_SET_DUMPABLE), lit(1))
	pidfd := p.keep(p.call(unix.SYS_PIDFD_OPEN, at(p.memory.command), lit(0)))
	p.call(unix.SYS_SETNS, pidfd, lit(unix.CLONE_NEWNET))
	p.close(pidfd)
}

// ifreq is struct ifreq of netdevice(7) with flags.
type ifreq struct {
	name  [unix.IFNAMSIZ]byte
	flags uint16
	_     [22]byte
}

func (LoopbackUp) lower(p *program) {
	r := (*ifreq)(p.a.alloc(int(unsafe.Sizeof(ifreq{}))))
	copy(r.name[:], "lo")
	r.flags = unix.IFF_UP | unix.IFF_RUNNING
	fd := p.keep(p.call(unix.SYS_SOCKET, lit(unix.AF_INET), lit(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), lit(0)))
	p.call(unix.SYS_IOCTL, fd, lit(unix.SIOCSIFFLAGS), lit(address(r)))
	p.close(fd)
}

func (s SetHostname) lower(p *program) {
	p.call(unix.SYS_SETHOSTNAME, p.str(s.Name), lit(len(s.Name)))
}

func (s Propagate) lower(p *program) {
	flag := unix.MS_PRIVATE
	if s.Type == "slave" {
		flag = unix.MS_SLAVE
	}
	p.call(unix.SYS_MOUNT, lit(0), p.str("/"), lit(0), lit(unix.MS_REC|flag), lit(0))
}
