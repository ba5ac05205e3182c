package seccomp

import "golang.org/x/sys/unix"

// The instructions of classic BPF that a filter needs. All but loads of arguments
// are among those that the kernel follows when it looks for calls that a
// filter always allows.
const (
	opLoad    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opAnd     = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opJump    = unix.BPF_JMP | unix.BPF_JA
	opEqual   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opAtLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opAnyBit  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	opReturn  = unix.BPF_RET | unix.BPF_K
)

// Offsets in struct seccomp_data. Both machines are little-endian, so the low
// half of an argument comes first.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// maxProgram is BPF_MAXINSNS, the length up to which the kernel takes a program.
const maxProgram = 4096

// target is where a jump goes: to a place in the program, or to a return.
type target struct {
	ret bool
	// k is the value that is returned, or the place.
	k uint32
}

// give is the target that returns a verdict.
func give(verdict uint32) target { return target{ret: true, k: verdict} }

// assembler builds a program from its end to its beginning. BPF jumps forward
// only, so every target exists before the jump to it, and how far away it is, is
// known. A place is the count of instructions that follow in the program.
type assembler struct {
	code []unix.SockFilter // last instruction first
	rets []target          // verdicts that have been returned, with
	at   []int             // the place of the return nearest to the beginning
}

// emit puts an instruction in front of the program and returns its place.
func (a *assembler) emit(i unix.SockFilter) target {
	if a.full() {
		return target{} // the program is refused, what it does is of no interest
	}
	a.code = append(a.code, i)
	return target{k: uint32(len(a.code) - 1)}
}

// full reports whether the program is too long.
func (a *assembler) full() bool { return len(a.code) > maxProgram }

// skip is the offset of a jump at the next place to another place.
func (a *assembler) skip(place int) int { return len(a.code) - place - 1 }

// reach is the place of t, or of a return or jump that leads there, if it is
// too far for the 8 bits of a conditional jump. Room instructions may come
// between that and the jump.
func (a *assembler) reach(t target, room int) int {
	if !t.ret {
		if a.skip(int(t.k))+room <= 255 {
			return int(t.k)
		}
		return int(a.emit(unix.SockFilter{Code: opJump, K: uint32(a.skip(int(t.k)))}).k)
	}
	for i, known := range a.rets {
		if known == t {
			if a.skip(a.at[i])+room > 255 {
				// A return of its own is as short as a jump to another, and quicker.
				a.at[i] = int(a.emit(unix.SockFilter{Code: opReturn, K: t.k}).k)
			}
			return a.at[i]
		}
	}
	place := int(a.emit(unix.SockFilter{Code: opReturn, K: t.k}).k)
	a.rets, a.at = append(a.rets, t), append(a.at, place)
	return place
}

// branch is a conditional jump.
func (a *assembler) branch(op uint16, k uint32, yes, no target) target {
	if yes == no {
		return yes
	}
	y := a.reach(yes, 1) // a return or jump for no may come between
	n := a.reach(no, 0)
	return a.emit(unix.SockFilter{Code: op, Jt: uint8(a.skip(y)), Jf: uint8(a.skip(n)), K: k})
}

// load reads a word of the data and goes on at t.
func (a *assembler) load(offset uint32, t target) target {
	a.fallTo(t)
	return a.emit(unix.SockFilter{Code: opLoad, K: offset})
}

// fallTo makes the next instruction run on into t.
func (a *assembler) fallTo(t target) {
	switch {
	case t.ret:
		a.emit(unix.SockFilter{Code: opReturn, K: t.k})
	case int(t.k) != len(a.code)-1:
		a.emit(unix.SockFilter{Code: opJump, K: uint32(a.skip(int(t.k)))})
	}
}

// program is what has been built, first instruction first.
func (a *assembler) program() []unix.SockFilter {
	list := make([]unix.SockFilter, len(a.code))
	for i, ins := range a.code {
		list[len(list)-1-i] = ins
	}
	return list
}

// step says that from a value on, up to the next step, all goes to one target.
type step struct {
	from uint32
	to   target
}

// addStep appends a step, unless it changes nothing. One at the same value as the
// last takes its place.
func addStep(list []step, from uint32, to target) []step {
	if n := len(list); n > 0 && list[n-1].from == from {
		list = list[:n-1]
	}
	if n := len(list); n > 0 && list[n-1].to == to {
		return list
	}
	return append(list, step{from, to})
}

// search finds by halving which step the loaded word belongs to. The first step
// has to begin at 0.
func (a *assembler) search(list []step) target {
	switch {
	case len(list) == 1:
		return list[0].to
	case len(list) == 3 && list[0].to == list[2].to && list[2].from == list[1].from+1:
		return a.branch(opEqual, list[1].from, list[1].to, list[0].to)
	case len(list) == 2 && list[1].from == 1:
		return a.branch(opEqual, 0, list[0].to, list[1].to)
	}
	mid := len(list) / 2
	high := a.search(list[mid:])
	low := a.search(list[:mid])
	return a.branch(opAtLeast, list[mid].from, high, low)
}
