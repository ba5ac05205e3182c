package plan

import "unsafe"

// Memory and the kernel, for Go code before the runtime.

// kernel makes a system call, whose sixth argument is 0, and returns its result or minus an errno.
//
//go:noescape
func kernel(nr, a, b, c, d, e uintptr) int

const (
	sysRead, sysClose, sysFstat, sysMmap, sysMunmap = 0, 3, 5, 9, 11
	sysSigprocmask, sysKill, sysWait4               = 14, 62, 61
	sysFcntl, sysPidfdOpen, fDupFDCloexec           = 72, 434, 1030
	sysFtruncate, sysPwrite, sysMemfdCreate         = 77, 18, 319
	sysPread                                        = 17
	sysGetpid, sysPpoll, sysSigaction               = 39, 271, 13
	sysSignalfd4, sysPidfdSendSignal, sysShutdown   = 289, 424, 48
	sysSchedGetaffinity, sysGetcpu                  = 204, 309
	sysGeteuid, sysExitGroup, sysOpenat, sysStatx   = 107, 231, 257, 332
)

// Errnos as the kernel has them.
const eintr, einval = 4, 22

//go:nosplit
func word(at uintptr) uintptr { return *(*uintptr)(unsafe.Add(nil, at)) }

//go:nosplit
func char(at uintptr) byte { return *(*byte)(unsafe.Add(nil, at)) }

//go:nosplit
func length(s uintptr) uintptr {
	n := uintptr(0)
	for char(s+n) != 0 {
		n++
	}
	return n
}

// same compares n bytes.
//
//go:nosplit
func same(a, b, n uintptr) bool {
	for ; n >= 8; n -= 8 {
		if word(a) != word(b) {
			return false
		}
		a, b = a+8, b+8
	}
	for ; n > 0; n-- {
		if char(a) != char(b) {
			return false
		}
		a, b = a+1, b+1
	}
	return true
}

// put copies n bytes.
//
//go:nosplit
func put(to, from, n uintptr) uintptr {
	for ; n > 0; n-- {
		*(*byte)(unsafe.Add(nil, to)) = char(from)
		to, from = to+1, from+1
	}
	return to
}

// decimal writes a number.
//
//go:nosplit
func decimal(to uintptr, n uint64) uintptr {
	size := uint64(1)
	for n/size >= 10 {
		size *= 10
	}
	for ; size > 0; size /= 10 {
		*(*byte)(unsafe.Add(nil, to)) = byte('0' + n/size%10)
		to++
	}
	return to
}

//go:nosplit
func addr[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }
