package plan

import (
	"unsafe"

	"github.com/rl-run/rl-run/internal/static"
)

// apart is what the interpreter as a program of its own finds at the begin of the
// arena whose descriptor it is given: where to map it, and where to go on.
type apart struct {
	address, size  uint64
	first, machine uint64
}

// apartName is that program's argv[0] and its name.
const apartName = "rl-exec"

// apartMark follows the last instruction of the program.
const apartMark = "rl-exec ends now"

// apartText returns the address of the program's first instruction. Written in
// assembly: the Go value of an assembly function is the address of an ABI wrapper.
func apartText() *[static.Max]byte

// apartFD returns a sealed memfd of the program.
func apartFD() (int, error) {
	return static.MemFD(apartName, static.Image(static.Code(apartText(), apartMark)))
}

// goOn has the program, once it is executed, go on with the next operation of p.
func (a *arena) goOn(p *program) {
	next := address(unsafe.SliceData(p.ops)) + uint64(len(p.ops))*uint64(opSize)
	*(*apart)(unsafe.Pointer(&a.mem[0])) = apart{address(&a.mem[0]), uint64(len(a.mem)), next, address(p.newMachine())}
}
