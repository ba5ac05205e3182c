package seccomp

import (
	"cmp"
	"math"
	"slices"

	"golang.org/x/sys/unix"
)

// span is a range of values of an argument, both ends included.
type span struct{ low, high uint64 }

// test is a condition on one argument, as the program makes it.
type test struct {
	arg  uint
	wide bool // looks at all 64 bits, else at the low 32
	// With a mask the argument is ANDed and compared with want.
	masked     bool
	mask, want uint64
	// Else it has to lie in one of the spans.
	spans []span
}

// makeTest turns a condition into a test for an architecture whose arguments
// have 64 bits or, if not wide, 32.
func makeTest(a Arg, wide bool) test {
	t := test{arg: a.Index, wide: wide}
	if a.Op == MaskedEqual {
		t.mask, t.want = a.Value, a.ValueTwo&a.Value
		if !wide {
			t.mask, t.want = t.mask&math.MaxUint32, t.want&math.MaxUint32
		}
		// A comparison of the whole low half, which is how a profile meets an
		// argument that the kernel cuts to 32 bits, is one for equality there.
		switch t.mask {
		case math.MaxUint64:
			t.spans = []span{{t.want, t.want}}
		case math.MaxUint32:
			t.wide = false
			t.spans = []span{{t.want, t.want}}
		default:
			t.masked = true
		}
		return t
	}
	top := uint64(math.MaxUint64)
	if !wide {
		top = math.MaxUint32
	}
	v := a.Value & top
	below, above := []span{{0, v - 1}}, []span{{v + 1, top}}
	if v == 0 {
		below = nil
	}
	if v == top {
		above = nil
	}
	switch a.Op {
	case Equal:
		t.spans = []span{{v, v}}
	case NotEqual:
		t.spans = append(below, above...)
	case Less:
		t.spans = below
	case LessEqual:
		t.spans = []span{{0, v}}
	case Greater:
		t.spans = above
	case GreaterEqual:
		t.spans = []span{{v, top}}
	case MaskedEqual: // dealt with above
	}
	return t
}

// term is a conjunction of tests and the verdict if they hold.
type term struct {
	verdict uint32
	tests   []test
}

// joins reports whether next, the term that follows t, can become part of it:
// with the same verdict for values of the same argument the two are one set of
// values.
func (t *term) joins(next *term) bool {
	if t.verdict != next.verdict || len(t.tests) != 1 || len(next.tests) != 1 {
		return false
	}
	a, b := &t.tests[0], &next.tests[0]
	return !a.masked && !b.masked && a.arg == b.arg && a.wide == b.wide
}

// terms lists what bodies demand, in order, joining one to the next where it can.
func terms(bodies []*body, wide bool) []term {
	var list []term
	for _, b := range bodies {
		for _, all := range b.any {
			next := term{verdict: b.verdict, tests: make([]test, len(all))}
			for i, a := range all {
				next.tests[i] = makeTest(a, wide)
			}
			if n := len(list); n > 0 && list[n-1].joins(&next) {
				t := &list[n-1].tests[0]
				t.spans = append(t.spans, next.tests[0].spans...)
				continue
			}
			list = append(list, next)
		}
		if len(list) > maxProgram {
			break // too long in any case
		}
	}
	for i := range list {
		for j := range list[i].tests {
			list[i].tests[j].spans = union(list[i].tests[j].spans)
		}
	}
	return list
}

// union sorts spans and joins those that touch.
func union(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.low, b.low) })
	list := spans[:0]
	for _, s := range spans {
		if n := len(list); n > 0 && (list[n-1].high == math.MaxUint64 || s.low <= list[n-1].high+1) {
			list[n-1].high = max(list[n-1].high, s.high)
			continue
		}
		list = append(list, s)
	}
	return list
}

// tries emits list, whose terms are tried in order; where none holds it goes to
// no.
func (a *assembler) tries(list []term, no target) target {
	for _, t := range slices.Backward(list) {
		yes := give(t.verdict)
		for _, one := range slices.Backward(t.tests) {
			if a.full() {
				return no
			}
			yes = a.test(one, yes, no)
		}
		no = yes
	}
	return no
}

// test emits one test.
func (a *assembler) test(t test, yes, no target) target {
	if yes == no {
		return yes
	}
	low := uint32(offArgs + 8*t.arg)
	high := low + 4
	if t.masked {
		at := a.mask(low, uint32(t.mask), uint32(t.want), yes, no)
		return a.mask(high, uint32(t.mask>>32), uint32(t.want>>32), at, no)
	}
	if !t.wide {
		return a.word(low, edges(t.spans, math.MaxUint32), yes, no)
	}
	return a.words(low, high, edges(t.spans, math.MaxUint64), yes, no)
}

// mask compares the bits of a word that are in mask.
func (a *assembler) mask(offset, mask, want uint32, yes, no target) target {
	switch {
	case mask == 0:
		return yes
	case want == 0:
		yes = a.branch(opAnyBit, mask, no, yes)
	case mask == math.MaxUint32:
		yes = a.branch(opEqual, want, yes, no)
	default:
		a.branch(opEqual, want, yes, no)
		yes = a.emit(unix.SockFilter{Code: opAnd, K: mask})
	}
	return a.load(offset, yes)
}

// edges are the values at which being in a span begins and ends, by turns; it
// begins with the first. An end after top is left out.
func edges(spans []span, top uint64) []uint64 {
	list := make([]uint64, 0, 2*len(spans))
	for _, s := range spans {
		list = append(list, s.low)
		if s.high < top {
			list = append(list, s.high+1)
		}
	}
	return list
}

// word tests one word against edges, and loads it if it matters.
func (a *assembler) word(offset uint32, edges []uint64, yes, no target) target {
	steps, in := []step{{0, no}}, false
	for _, e := range edges {
		in = !in
		steps = addStep(steps, uint32(e), pick(in, yes, no))
	}
	return a.loadUnlessSettled(offset, steps)
}

// words tests both halves of an argument: first the high one, and the low one
// for those high ones within which an edge lies.
func (a *assembler) words(low, high uint32, edges []uint64, yes, no target) target {
	steps, in := []step{{0, no}}, false
	for len(edges) > 0 {
		half := uint32(edges[0] >> 32)
		inner := []step{{0, pick(in, yes, no)}}
		for len(edges) > 0 && uint32(edges[0]>>32) == half {
			in = !in
			inner = addStep(inner, uint32(edges[0]), pick(in, yes, no))
			edges = edges[1:]
		}
		steps = addStep(steps, half, a.loadUnlessSettled(low, inner))
		if half < math.MaxUint32 {
			steps = addStep(steps, half+1, pick(in, yes, no))
		}
	}
	return a.loadUnlessSettled(high, steps)
}

// loadUnlessSettled loads a word and searches the steps for it.
func (a *assembler) loadUnlessSettled(offset uint32, steps []step) target {
	if len(steps) == 1 {
		return steps[0].to
	}
	return a.load(offset, a.search(steps))
}

// pick is yes if in, else no.
func pick(in bool, yes, no target) target {
	if in {
		return yes
	}
	return no
}
