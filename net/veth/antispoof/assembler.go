package antispoof

import "golang.org/x/sys/unix"

// label is a place in the program that is yet to come: jumps go forward only.
type label int

const (
	next label = iota // the instruction behind the jump
	pass
	drop
	firstLocal
)

// The verdicts of a direct-action classifier, linux/pkt_cls.h.
const (
	verdictPass = 0 // TC_ACT_OK
	verdictDrop = 2 // TC_ACT_SHOT
)

// assembler collects instructions whose jumps name labels.
type assembler struct {
	ops    []unix.SockFilter
	jumps  []jump
	places map[label]int
	labels label
}

type jump struct{ yes, no label }

func newAssembler() *assembler { return &assembler{places: map[label]int{}, labels: firstLocal} }

func (a *assembler) label() label { a.labels++; return a.labels - 1 }

// here says where a label is.
func (a *assembler) here(l label) { a.places[l] = len(a.ops) }

func (a *assembler) add(code uint16, k uint32, j jump) {
	a.ops = append(a.ops, unix.SockFilter{Code: code, K: k})
	a.jumps = append(a.jumps, j)
}

func (a *assembler) load(width uint16, offset uint32) {
	a.add(unix.BPF_LD|unix.BPF_ABS|width, offset, jump{})
}

func (a *assembler) mask(k uint32) { a.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, k, jump{}) }

func (a *assembler) equal(k uint32, yes, no label) {
	a.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, k, jump{yes, no})
}

// need drops frames of less than n bytes. A load beyond the end would end the program
// with 0, which is to let pass: each load stands behind a need that covers it.
func (a *assembler) need(n uint32) {
	a.add(unix.BPF_LD|unix.BPF_W|unix.BPF_LEN, 0, jump{})
	a.add(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, n, jump{next, drop})
}

func (a *assembler) jump(l label) { a.equal(0, l, l) }

// program sets the jumps. Where drop and pass are is its end.
func (a *assembler) program() []unix.SockFilter {
	jumps := a.jumps
	a.here(pass)
	a.add(unix.BPF_RET|unix.BPF_K, verdictPass, jump{})
	a.here(drop)
	a.add(unix.BPF_RET|unix.BPF_K, verdictDrop, jump{})
	for i, j := range jumps {
		if a.ops[i].Code&0x07 == unix.BPF_JMP {
			a.ops[i].Jt, a.ops[i].Jf = a.distance(i, j.yes), a.distance(i, j.no)
		}
	}
	return a.ops
}

func (a *assembler) distance(from int, to label) uint8 {
	if to == next {
		return 0
	}
	there, ok := a.places[to]
	d := there - from - 1
	if !ok || d < 0 || d > 255 {
		panic("BUG: a jump of the filter leads nowhere")
	}
	return uint8(d)
}
