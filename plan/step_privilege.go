package plan

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DropBounding removes all capabilities but Keep from the bounding set. Last is
// the highest number that the kernel knows (/proc/sys/kernel/cap_last_cap).
type DropBounding struct {
	Keep uint64
	Last int
}

// KeepCaps keeps the permitted set over the change to a uid that is not 0
// (PR_SET_KEEPCAPS), for the capabilities that SetCaps then leaves.
type KeepCaps struct{}

// SetCaps sets the three sets of capset(2).
type SetCaps struct{ Effective, Permitted, Inheritable uint64 }

// RaiseAmbient raises capabilities in the ambient set (capabilities(7), Linux 4.3).
type RaiseAmbient struct{ Set uint64 }

// NoNewPrivs makes execs unable to gain privilege (PR_SET_NO_NEW_PRIVS).
type NoNewPrivs struct{}

// Seccomp loads a filter (seccomp(2)). It needs no_new_privs or CAP_SYS_ADMIN.
type Seccomp struct {
	Profile string // where it comes from, for the printed plan
	Filter  []unix.SockFilter
	Flags   uint // SECCOMP_FILTER_FLAG_*
}

// Kind implements Step.
func (DropBounding) Kind() Kind { return KindBounding }

// Kind implements Step.
func (KeepCaps) Kind() Kind { return KindKeepCaps }

// Kind implements Step.
func (SetCaps) Kind() Kind { return KindCaps }

// Kind implements Step.
func (RaiseAmbient) Kind() Kind { return KindAmbient }

// Kind implements Step.
func (NoNewPrivs) Kind() Kind { return KindNoNewPrivs }

// Kind implements Step.
func (Seccomp) Kind() Kind { return KindSeccomp }

func (s DropBounding) String() string { return fmt.Sprintf("drop bounding set to %#x", s.Keep) }
func (KeepCaps) String() string       { return "keep capabilities over the change of ids" }
func (s SetCaps) String() string {
	return fmt.Sprintf("set capabilities: effective %#x, permitted %#x, inheritable %#x", s.Effective, s.Permitted, s.Inheritable)
}
func (s RaiseAmbient) String() string { return fmt.Sprintf("raise ambient set %#x", s.Set) }
func (NoNewPrivs) String() string     { return "set no_new_privs" }
func (s Seccomp) String() string {
	return fmt.Sprintf("load seccomp filter %s (%d instructions)", s.Profile, len(s.Filter))
}

func (s DropBounding) lower(p *program) {
	for c := 0; c <= s.Last; c++ {
		if s.Keep&(1<<c) == 0 {
			p.call(unix.SYS_PRCTL, lit(unix.PR_CAPBSET_DROP), lit(c))
		}
	}
}

func (KeepCaps) lower(p *program) {
	p.call(unix.SYS_PRCTL, lit(unix.PR_SET_KEEPCAPS), lit(1))
}

func (s SetCaps) lower(p *program) {
	type capset struct {
		header unix.CapUserHeader
		data   [2]unix.CapUserData
	}
	c := (*capset)(p.a.alloc(int(unsafe.Sizeof(capset{}))))
	c.header.Version = unix.LINUX_CAPABILITY_VERSION_3
	for i := range c.data {
		c.data[i] = unix.CapUserData{
			Effective:   uint32(s.Effective >> (32 * i)),
			Permitted:   uint32(s.Permitted >> (32 * i)),
			Inheritable: uint32(s.Inheritable >> (32 * i)),
		}
	}
	p.call(unix.SYS_CAPSET, lit(address(&c.header)), lit(address(&c.data[0])))
}

func (s RaiseAmbient) lower(p *program) {
	for c := range 64 {
		if s.Set&(1<<c) != 0 {
			p.call(unix.SYS_PRCTL, lit(unix.PR_CAP_AMBIENT), lit(unix.PR_CAP_AMBIENT_RAISE), lit(c), lit(0), lit(0))
		}
	}
}

func (NoNewPrivs) lower(p *program) {
	p.call(unix.SYS_PRCTL, lit(unix.PR_SET_NO_NEW_PRIVS), lit(1), lit(0), lit(0), lit(0))
}

func (s Seccomp) lower(p *program) {
	p.spread() // which the filter might refuse
	size := len(s.Filter) * int(unsafe.Sizeof(unix.SockFilter{}))
	room := p.a.room(size)
	filter := unsafe.Slice((*unix.SockFilter)(unsafe.Pointer(&room[0])), len(s.Filter))
	copy(filter, s.Filter)
	prog := (*unix.SockFprog)(p.a.alloc(int(unsafe.Sizeof(unix.SockFprog{}))))
	prog.Len = uint16(len(s.Filter))
	prog.Filter = &filter[0] // both lie in the arena
	p.call(unix.SYS_SECCOMP, lit(unix.SECCOMP_SET_MODE_FILTER), lit(s.Flags), lit(address(prog)))
}
