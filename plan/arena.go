package plan

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// arenaSize is the address space reserved for a program. A page of it costs
// memory only once it is used; the largest part are argv and environment, which
// the kernel limits to 6 MiB (execve(2), Limits on size of arguments). Half of it
// is for ops.
const arenaSize = 32 << 20

// arenaTouched and opsTouched are what a plan without long arguments takes, in
// multiples of a page.
const (
	arenaTouched = 48 << 10
	opsTouched   = 36 << 10

	sharedTouched = 16 << 10 // of a shared arena, where plans are short and pages dearer
)

// arena is the memory that the children read: outside Go's heap, so that the
// garbage collector neither scans, moves nor frees it.
type arena struct {
	fd    int    // of a shared one; -1
	mem   []byte // the kernel's structures and strings, from the begin upwards
	used  int
	ops   int   // end of the room for ops, which is given out from the end downwards
	rooms []int // where those begin that were given out
	full  bool
}

func newArena() (*arena, error) {
	mem, err := unix.Mmap(-1, 0, arenaSize, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return arenaAt(mem, -1), nil
}

// sharedAt is where an arena lies that a process maps again which does not share the launcher's memory: far from
// where the kernel puts programs, libraries and stacks.
const sharedAt = 1 << 36

// newSharedArena makes one that a process can map after an exec, too, at the same address.
func newSharedArena() (*arena, error) {
	fd, err := unix.MemfdCreate("rl-plan", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("rl-plan", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	if err := unix.Ftruncate(fd, arenaSize); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("ftruncate", err)
	}
	at, err := unix.MmapPtr(fd, 0, unsafe.Add(nil, sharedAt), arenaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("mmap", err)
	}
	a := arenaAt(unsafe.Slice((*byte)(at), arenaSize), fd)
	a.used = int(unsafe.Sizeof(apart{}))
	return a, nil
}

func arenaAt(mem []byte, fd int) *arena {
	// The pages that nearly every plan uses, in one go: a fault for each costs
	// more. Before Linux 5.14 it is EINVAL, and they come one by one.
	touched := arenaTouched
	if fd >= 0 {
		touched = sharedTouched
	}
	_ = unix.Madvise(mem[:touched], unix.MADV_POPULATE_WRITE)
	return &arena{mem: mem, ops: len(mem), fd: fd}
}

// newOps gives out room for n ops, in place: they are not copied once written.
func (a *arena) newOps(n int) []op {
	size := n * int(opSize)
	if a.ops-size < len(a.mem)/2 {
		a.full = true
		return make([]op, 0, n)
	}
	a.ops -= size
	a.rooms = append(a.rooms, a.ops)
	touched := opsTouched
	if a.fd >= 0 {
		touched = sharedTouched
	}
	_ = unix.Madvise(a.mem[a.ops&^4095:(a.ops+min(size, touched))&^4095], unix.MADV_POPULATE_WRITE)
	return unsafe.Slice((*op)(unsafe.Pointer(&a.mem[a.ops])), n)[:0]
}

// closeFD gives the descriptor back, of which nobody has need once the children have started.
func (a *arena) closeFD() { closeAll(&a.fd) }

func (a *arena) free() {
	a.closeFD()
	_ = unix.MunmapPtr(unsafe.Pointer(&a.mem[0]), uintptr(len(a.mem)))
}

// alloc returns n zeroed bytes, aligned to 8. When the arena is full it marks it
// so and returns its begin, which keeps the callers free of errors.
func (a *arena) alloc(n int) unsafe.Pointer {
	at := (a.used + 7) &^ 7
	if n > len(a.mem)/2-at {
		a.full = true
		return unsafe.Pointer(&a.mem[0])
	}
	a.used = at + n
	return unsafe.Pointer(&a.mem[at])
}

// room is for kernel structures that are filled in by hand.
func (a *arena) room(n int) []byte {
	if n > len(a.mem)/2-a.used-8 {
		a.full = true
		return make([]byte, n)
	}
	return unsafe.Slice((*byte)(a.alloc(n)), n)
}

// str copies s with a NUL behind it and returns its address.
func (a *arena) str(s string) uint64 {
	to := a.room(len(s) + 1)
	copy(to, s)
	return address(&to[0])
}

// strs makes the array of pointers that execve(2) takes.
func (a *arena) strs(list []string) uint64 {
	room := a.room(8 * (len(list) + 1))
	ptrs := unsafe.Slice((*uint64)(unsafe.Pointer(&room[0])), len(list)+1)
	for i, s := range list {
		ptrs[i] = a.str(s)
	}
	return address(&room[0])
}

// word reserves the place of a result.
func (a *arena) word() uint64 { return address((*uint64)(a.alloc(8))) }

// address is where v lies, for a structure of the kernel. Only memory of the
// arena may be named so: anything else moves or goes away.
func address[T any](v *T) uint64 { return uint64(uintptr(unsafe.Pointer(v))) }

// at is the memory at an address of the arena.
func (a *arena) at(addr uint64) unsafe.Pointer {
	return unsafe.Pointer(&a.mem[addr-address(&a.mem[0])])
}
