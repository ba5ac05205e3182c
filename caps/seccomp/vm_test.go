package seccomp

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// call is struct seccomp_data, without the instruction pointer.
type call struct {
	arch, nr uint32
	args     [6]uint64
}

func (c call) String() string {
	return fmt.Sprintf("arch %#x nr %#x args %#x", c.arch, c.nr, c.args)
}

// run executes a program as the kernel does, for the instructions that it allows
// in a seccomp filter. golang.org/x/net/bpf cannot: it loads in network order.
func run(prog []unix.SockFilter, c call) (uint32, error) {
	var data [64]byte
	binary.LittleEndian.PutUint32(data[0:], c.nr)
	binary.LittleEndian.PutUint32(data[4:], c.arch)
	for i, v := range c.args {
		binary.LittleEndian.PutUint64(data[16+8*i:], v)
	}
	return execute(prog, &data)
}

func execute(prog []unix.SockFilter, data *[64]byte) (uint32, error) {
	var acc, x uint32
	var mem [16]uint32
	for pc := 0; pc < len(prog); pc++ {
		ins := &prog[pc]
		k := ins.K
		switch ins.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			acc = binary.LittleEndian.Uint32(data[k:])
		case unix.BPF_LD | unix.BPF_IMM:
			acc = k
		case unix.BPF_LD | unix.BPF_MEM:
			acc = mem[k]
		case unix.BPF_ST:
			mem[k] = acc
		case unix.BPF_MISC | unix.BPF_TAX:
			x = acc
		case unix.BPF_MISC | unix.BPF_TXA:
			acc = x
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			acc &= k
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(k)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			pc += offset(ins, acc == k)
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			pc += offset(ins, acc > k)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			pc += offset(ins, acc >= k)
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			pc += offset(ins, acc&k != 0)
		case unix.BPF_RET | unix.BPF_K:
			return k, nil
		default:
			return 0, fmt.Errorf("instruction %d: code %#x is not known", pc, ins.Code)
		}
	}
	return 0, fmt.Errorf("ran past the end of %d instructions", len(prog))
}

func offset(ins *unix.SockFilter, yes bool) int {
	if yes {
		return int(ins.Jt)
	}
	return int(ins.Jf)
}

// valid holds a program to the rules of the kernel's bpf_check_classic and
// seccomp_check_filter.
func valid(prog []unix.SockFilter) error {
	_, err := walk(prog)
	return err
}

// walk is valid, and counts the instructions that can be reached.
func walk(prog []unix.SockFilter) (live int, err error) {
	if len(prog) == 0 || len(prog) > maxProgram {
		return 0, fmt.Errorf("%d instructions", len(prog))
	}
	reached := make([]bool, len(prog))
	reached[0] = true
	for pc, ins := range prog {
		if reached[pc] {
			live++
		}
		var next []int
		switch ins.Code {
		case opLoad:
			if ins.K%4 != 0 || ins.K > 60 {
				return 0, fmt.Errorf("instruction %d: load at %d", pc, ins.K)
			}
			next = []int{1}
		case opAnd:
			next = []int{1}
		case opJump:
			next = []int{1 + int(ins.K)}
		case opEqual, opAtLeast, opAnyBit:
			next = []int{1 + int(ins.Jt), 1 + int(ins.Jf)}
		case opReturn:
		default:
			return 0, fmt.Errorf("instruction %d: code %#x", pc, ins.Code)
		}
		for _, n := range next {
			if pc+n >= len(prog) {
				return 0, fmt.Errorf("instruction %d jumps out of the program", pc)
			}
			reached[pc+n] = reached[pc+n] || reached[pc]
		}
	}
	if last := prog[len(prog)-1]; last.Code != opReturn {
		return 0, fmt.Errorf("the last instruction is %#x", last.Code)
	}
	return live, nil
}
