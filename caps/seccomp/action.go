package seccomp

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Action is what happens to a system call, by its name in libseccomp.
type Action string

// The actions. What each does is told in seccomp(2).
const (
	Kill        Action = "SCMP_ACT_KILL" // the older name of KillThread
	KillThread  Action = "SCMP_ACT_KILL_THREAD"
	KillProcess Action = "SCMP_ACT_KILL_PROCESS"
	Trap        Action = "SCMP_ACT_TRAP"
	Errno       Action = "SCMP_ACT_ERRNO"
	Trace       Action = "SCMP_ACT_TRACE"
	Allow       Action = "SCMP_ACT_ALLOW"
	Log         Action = "SCMP_ACT_LOG"
	Notify      Action = "SCMP_ACT_NOTIFY" // known, and refused
)

// maxErrno is the highest that SECCOMP_RET_ERRNO can carry; above it the kernel
// would silently take this one.
const maxErrno = 4095

// verdict is the value that a filter returns for a: the action in the high half,
// its errno in the low one.
func (a Action) verdict(errno *uint, name string) (uint32, error) {
	var plain uint32
	switch a {
	case Errno, Trace:
		data, err := errnoValue(errno, name)
		if err != nil {
			return 0, err
		}
		if a == Trace {
			return unix.SECCOMP_RET_TRACE | data, nil
		}
		return unix.SECCOMP_RET_ERRNO | data, nil
	case Kill, KillThread:
		plain = unix.SECCOMP_RET_KILL_THREAD
	case KillProcess:
		plain = unix.SECCOMP_RET_KILL_PROCESS
	case Trap:
		plain = unix.SECCOMP_RET_TRAP
	case Allow:
		plain = unix.SECCOMP_RET_ALLOW
	case Log:
		plain = unix.SECCOMP_RET_LOG
	case Notify:
		return 0, fmt.Errorf("action %s: %w", a, errNoListener)
	default:
		return 0, fmt.Errorf("unknown action %q", string(a))
	}
	if errno != nil || name != "" {
		// The runtime specification wants this to be an error.
		return 0, fmt.Errorf("action %s: takes no errno", a)
	}
	return plain, nil
}

// errnoValue is the errno given by name, else by number, else EPERM.
func errnoValue(errno *uint, name string) (uint32, error) {
	if name != "" {
		// Asked one by one: a list by name would be built at every start.
		for n := unix.Errno(1); n <= 255; n++ {
			if unix.ErrnoName(n) == name {
				return uint32(n), nil
			}
		}
		return 0, fmt.Errorf("unknown errno %q", name)
	}
	if errno == nil {
		return uint32(unix.EPERM), nil
	}
	if *errno > maxErrno {
		return 0, fmt.Errorf("errnoRet %d: not 0 to %d", *errno, maxErrno)
	}
	return uint32(*errno), nil
}

// FilterFlags are the flags of p for seccomp(2). SECCOMP_FILTER_FLAG_TSYNC is left
// out: it is for a program with threads, and the filter is loaded before there
// are any. The error names an unknown flag, or one that only a listener has.
func (p *Profile) FilterFlags() (uint, error) {
	var flags uint
	for _, name := range p.Flags {
		switch name {
		case "SECCOMP_FILTER_FLAG_LOG":
			flags |= unix.SECCOMP_FILTER_FLAG_LOG
		case "SECCOMP_FILTER_FLAG_SPEC_ALLOW":
			flags |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		case "SECCOMP_FILTER_FLAG_TSYNC":
		case "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_NEW_LISTENER":
			return 0, fmt.Errorf("flags: %s: %w", name, errNoListener)
		default:
			return 0, fmt.Errorf("flags: unknown flag %q", name)
		}
	}
	return flags, nil
}

var errNoListener = errors.New("there is no listener to notify")
