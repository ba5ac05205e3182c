package sigpipe

import (
	"strconv"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spare is a signal that nobody sends: one of those that a C library has for itself, and is not caught.
const spare = 32

// blocking counts the threads that have handled it.
var blocking uint32

// Alone has all other threads of the process block what Open has caught, for good, and reports whether they do: what they had taken is in
// the pipe then. What comes later waits for the calling thread, and, while that blocks it, for whatever it executes. An exec ends the
// other threads, and one that is ended between taking a signal and handling it takes the signal along.
//
// The kernel restores a thread's signal mask from the frame of a handler (sigreturn(2)): so the handler of a signal that each of them is
// sent writes it there. A thread that Go's runtime starts later has its usual mask; there is no reason for one.
func Alone() bool {
	action := sigaction{handler: blockerAddress(), flags: saSiginfo | saOnStack | saRestart | saFlags, restorer: restorerAddress(), mask: ^uint64(0)}
	if setAction(spare, &action, nil) != nil {
		return false
	}
	told := map[string]bool{strconv.Itoa(unix.Gettid()): true}
	for want := uint32(0); ; {
		// A thread may start another one before it blocks.
		names, ok := threads()
		if !ok {
			return false
		}
		before := want
		for _, name := range names {
			id, err := strconv.Atoi(name)
			if err != nil || told[name] {
				continue
			}
			told[name] = true
			if _, _, errno := unix.RawSyscall(unix.SYS_TGKILL, uintptr(self), uintptr(id), spare); errno == 0 { // else it has ended
				want++
			}
		}
		if want == before {
			return true
		}
		if !awaitBlocking(want) {
			return false
		}
	}
}

// threads are the names of this process's, by calls of which Go's runtime does not know: from one that takes long for another thread's
// taste it would take the processor away, to give it to a new thread.
func threads() (names []string, ok bool) {
	path, err := unix.BytePtrFromString("/proc/self/task")
	if err != nil {
		return nil, false
	}
	at := unix.AT_FDCWD
	fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(path)), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return nil, false
	}
	defer func() { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0) }()
	for {
		var room [2048]byte
		n, _, errno := unix.RawSyscall(unix.SYS_GETDENTS64, fd, uintptr(unsafe.Pointer(&room[0])), uintptr(len(room)))
		if errno != 0 || n == 0 {
			return names, errno == 0
		}
		_, _, names = unix.ParseDirent(room[:n], -1, names)
	}
}

// awaitBlocking waits until so many threads have handled the signal, for some hundredths of a second.
func awaitBlocking(want uint32) bool {
	const yields, naps = 50, 200
	nap := unix.Timespec{Nsec: 100_000}
	for i := 0; atomic.LoadUint32(&blocking) < want; i++ {
		switch {
		case i < yields:
			_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		case i < yields+naps:
			_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&nap)), 0, 0)
		default:
			return false
		}
	}
	return true
}

// blockerAddress is like handlerAddress.
func blockerAddress() uintptr
