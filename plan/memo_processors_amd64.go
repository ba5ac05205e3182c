package plan

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Init and command work side by side, and the launcher waits meanwhile. On a machine with two processors the kernel may leave
// both on one of them, as the other one was idle already when the command was cloned; so init goes where the launcher is not,
// and the command where it was. Both have all processors again when they execute. It is the kernel's choice where there are
// more processors, or one, or where anything else wants to run; and where init does not wait for the launcher, which might place it
// when it has done all that.

// processorSet is a mask of as many processors as most machines have at most: with more the kernel refuses it.
type processorSet [16]uint64

// The sets of a memo.
const (
	allProcessors = iota
	ownProcessor
	otherProcessor
)

// runsOn has a process run on a set of processors only. An empty set is refused, and changes nothing; so may a filter.
func (p *program) runsOn(pid arg, set *processorSet) {
	p.call(unix.SYS_SCHED_SETAFFINITY, pid, lit(unsafe.Sizeof(*set)), lit(address(set))).
		skips(0, unix.EPERM, unix.EACCES, unix.ENOSYS, unix.EINVAL, unix.ESRCH)
}

// placeCommand has the command begin where the launcher waits.
func (k *memo) placeCommand(p *program) {
	if p.processorsSize > 0 {
		p.runsOn(at(p.memory.command), &k.processors[ownProcessor])
	}
}

// freeCommand gives the command all of them. It waits for init now: so, however late init has placed it, this is later, and the
// command executes after it.
func (k *memo) freeCommand(p *program) {
	if p.processorsSize > 0 {
		p.runsOn(at(p.memory.command), &k.processors[allProcessors])
	}
}

// chooseProcessors fills the sets in.
//
//go:nosplit
func (k *memo) chooseProcessors() {
	all := addr(&k.processors)
	own, other := all+unsafe.Sizeof(processorSet{}), all+2*unsafe.Sizeof(processorSet{})
	if kernel(sysSchedGetaffinity, 0, unsafe.Sizeof(processorSet{}), all, 0, 0) <= 0 ||
		kernel(sysGetcpu, own, 0, 0, 0, 0) != 0 {
		return
	}
	current := word(own) & 0xffffffff
	*(*uint64)(unsafe.Add(nil, own)) = 0
	mine, bit := current/64*8, uint64(1)<<(current%64)
	count := 0
	for i := uintptr(0); i < unsafe.Sizeof(processorSet{}); i += 8 {
		set := *(*uint64)(unsafe.Add(nil, all+i))
		if i == mine {
			set &^= bit
		}
		*(*uint64)(unsafe.Add(nil, other+i)) = set
		for ; set != 0; set &= set - 1 {
			count++
		}
	}
	if count == 1 {
		*(*uint64)(unsafe.Add(nil, own+mine)) = bit
		return
	}
	for i := uintptr(0); i < 3*unsafe.Sizeof(processorSet{}); i += 8 {
		*(*uint64)(unsafe.Add(nil, all+i)) = 0
	}
}

var loadavg = [...]byte{'/', 'p', 'r', 'o', 'c', '/', 'l', 'o', 'a', 'd', 'a', 'v', 'g', 0}

// quiet reports whether nothing on the machine wants to run but this process (proc_loadavg(5), the fourth field).
//
//go:nosplit
func quiet() bool {
	fd := kernel(sysOpenat, ^uintptr(99), addr(&loadavg), 0o2000000, 0, 0) // O_CLOEXEC
	if fd < 0 {
		return false
	}
	n := kernel(sysRead, uintptr(fd), addr(&answer), unsafe.Sizeof(answer)-8, 0, 0)
	kernel(sysClose, uintptr(fd), 0, 0, 0, 0)
	spaces := 0
	for i := uintptr(0); int(i) < n; i++ {
		if char(addr(&answer)+i) == ' ' {
			spaces++
		}
		if spaces == 3 {
			return char(addr(&answer)+i+1) == '1' && char(addr(&answer)+i+2) == '/'
		}
	}
	return false
}
