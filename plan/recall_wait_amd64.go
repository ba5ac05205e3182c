package plan

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sigpipe"
)

// What a launcher waits for while Go's runtime has not begun.
var (
	waiting [2]uint64                   // struct pollfd: descriptor, events, and what has come
	came    [128 / 8]uint64             // struct signalfd_siginfo
	action  [4]uint64                   // struct sigaction of the kernel
	passed  = ^uint64(sigpipe.Excluded) // signals that are passed on
)

// ends waits for the end of the container, for a while, and passes on the signals that come: all are blocked, so that they wait.
//
//go:nosplit
func (k *memo) ends() bool {
	const readable = 1 << 32 // POLLIN
	const cloexec, nonblock = 0o2000000, 0o4000
	signals := kernel(sysSignalfd4, ^uintptr(0), addr(&passed), 8, cloexec|nonblock, 0)
	ended := false
	for !ended {
		waiting = [2]uint64{uint64(k.initFD) | readable, uint64(uint32(max(signals, -1))) | readable}
		n := kernel(sysPpoll, addr(&waiting), 2, addr(&k.patience), 0, 8) // which leaves the time that is left
		if n == 0 || n < 0 && n != -eintr {
			break
		}
		for signals >= 0 && kernel(sysRead, uintptr(signals), addr(&came), unsafe.Sizeof(came), 0, 0) > 0 {
			k.passOn(uintptr(uint32(came[0])))
		}
		ended = n > 0 && waiting[0]>>48 != 0
	}
	closeFD(int64(signals))
	if !ended {
		return false
	}
	n := -eintr
	for n == -eintr {
		n = kernel(sysWait4, uintptr(k.pid), addr(&k.status), 0, 0, 0)
	}
	return n == int(k.pid) // else how it ended is not known yet
}

// passOn gives init a signal, unless the caller ignores it. A stop is the launcher's own.
//
//go:nosplit
func (k *memo) passOn(signal uintptr) {
	const ignored = 1
	kernel(sysSigaction, signal, 0, addr(&action), 8, 0)
	switch {
	case action[0] == ignored:
	case signal == uintptr(unix.SIGTSTP):
		kernel(sysKill, uintptr(kernel(sysGetpid, 0, 0, 0, 0, 0)), uintptr(unix.SIGSTOP), 0, 0, 0)
	default:
		kernel(sysPidfdSendSignal, uintptr(k.initFD), signal, 0, 0, 0)
	}
}
