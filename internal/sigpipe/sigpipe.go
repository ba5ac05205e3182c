// Package sigpipe delivers signals through a pipe.
//
// os/signal would do, at the price of two switches between threads for each of
// the 60 signals that a launcher forwards: about a millisecond of a start that
// takes four. Here a handler of a few instructions writes the number of the
// signal to a pipe, and nothing else of the runtime takes part.
package sigpipe

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Excluded are the signals that are this process's own business: of its
// children, of its runtime, of its writes and of its terminal, its own faults,
// those that cannot be caught, and those of a C library.
const Excluded = 1<<(unix.SIGCHLD-1) | 1<<(unix.SIGURG-1) | 1<<(unix.SIGPIPE-1) | 1<<(unix.SIGTTIN-1) |
	1<<(unix.SIGTTOU-1) | 1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1) | 1<<(unix.SIGSEGV-1) | 1<<(unix.SIGBUS-1) |
	1<<(unix.SIGFPE-1) | 1<<(unix.SIGILL-1) | 1<<(unix.SIGTRAP-1) | 1<<(unix.SIGSYS-1) | 1<<(unix.SIGPROF-1) |
	1<<(32-1) | 1<<(33-1)

// writeEnd is the fd that the handler, in assembly, writes to.
var writeEnd int32 //nolint:unused // by Go code, which only sets it

// self is the pid of the process that Open was called in.
var self int32 //nolint:unused // as writeEnd

// caught is the set of signals that have the handler, bit N-1 for signal N.
var caught uint64

// Caught returns the set of signals that Open caught: bit N-1 for signal N.
func Caught() uint64 { return caught }

// sigaction is the kernel's struct (sigaction(2), C library/kernel differences).
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// Flags of the kernel's sigaction.
const (
	saSiginfo  = 0x00000004
	saRestorer = 0x04000000
	saOnStack  = 0x08000000
	saRestart  = 0x10000000
)

// Open catches all signals but the excluded ones, and SIGHUP and SIGINT where
// the caller ignores them, as under nohup(1); of other ignored signals Go's
// runtime leaves no trace. The fd it returns, close-on-exec, is read with
// Read. It is called at most once in a process; nothing is given back.
func Open() (fd int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, os.NewSyscallError("pipe2", err)
	}
	writeEnd, self = int32(p[1]), int32(os.Getpid())
	action := sigaction{
		handler: handlerAddress(), flags: saOnStack | saRestart | saFlags,
		restorer: restorerAddress(), mask: ^uint64(0),
	}
	for s := uintptr(1); s <= 64; s++ {
		if Excluded>>(s-1)&1 != 0 {
			continue
		}
		var old sigaction
		if err := setAction(s, nil, &old); err != nil {
			return -1, err
		}
		if old.handler == ignored {
			continue
		}
		if err := setAction(s, &action, nil); err != nil {
			return -1, err
		}
		caught |= 1 << (s - 1)
	}
	return p[0], nil
}

// ignored is SIG_IGN.
const ignored = 1

func setAction(s uintptr, set, old *sigaction) error {
	_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, s,
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if e != 0 {
		return os.NewSyscallError("rt_sigaction", e)
	}
	return nil
}

// Read returns the next signal, or 0 where none is waiting.
func Read(fd int) unix.Signal {
	var n [4]byte
	for {
		got, err := unix.Read(fd, n[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || got != len(n) {
			return 0
		}
		return unix.Signal(n[0])
	}
}

// handlerAddress and restorerAddress are the addresses of the assembly itself:
// the value of a Go function would be that of a wrapper.
func handlerAddress() uintptr
func restorerAddress() uintptr
