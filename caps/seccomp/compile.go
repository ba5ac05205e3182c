package seccomp

import (
	"fmt"
	"math"
	"slices"

	"golang.org/x/sys/unix"
)

// Compile makes the program that gives p's verdicts in the environment env, of at
// most 4096 instructions, ready for seccomp(2) with SECCOMP_SET_MODE_FILTER. It has
// no side effects. The errors are those of Parse, an architecture other than
// amd64 and arm64, and a program that got too long.
//
// The program looks at the architecture, then at the number of the call, of
// which it finds the range by halving: some ten comparisons, where libseccomp's
// tests one number after the other. Numbers that lie side by side and have the
// same verdict are one range. Where arguments count, the same search runs over
// the ranges of their values.
func Compile(p *Profile, env Env) ([]unix.SockFilter, error) {
	pol, err := resolve(p, env)
	if err != nil {
		return nil, err
	}
	c := &compiler{policy: pol}
	entry := give(unix.SECCOMP_RET_KILL_THREAD)
	// The last section emitted comes first in the program, and should be the
	// machine's own.
	for _, a := range slices.Backward(pol.arches) {
		if a == archX32 {
			continue // has the token of x86_64, and is in its section
		}
		entry = c.asm.branch(opEqual, a.token(), c.section(a), entry)
	}
	c.asm.load(offArch, entry)
	if c.asm.full() {
		return nil, fmt.Errorf("program: more than %d instructions", maxProgram)
	}
	return c.asm.program(), nil
}

// compiler is the state of one compilation.
type compiler struct {
	*policy
	asm    assembler
	slots  [slotCount]slot
	blocks []block
}

// slotCount is how many numbers one architecture can have.
const slotCount = lastNumber + 1 + armPrivateCount

// slot collects what the rules say about one number.
type slot struct {
	refuse []*body // tried before all else
	bodies []*body // rules with conditions
	fixed  bool    // a rule has none, which is then
	ret    uint32  // its verdict
}

// block is code that was emitted for slots with the same rules, which several
// calls and architectures may share.
type block struct {
	wide           bool
	refuse, bodies []*body
	end, entry     target
}

// section emits the search over the numbers of one token.
func (c *compiler) section(a archID) target {
	steps := c.window(nil, a)
	switch {
	case a == archX86_64 && slices.Contains(c.arches, archX32):
		steps = c.window(steps, archX32)
	case a == archX86_64:
		// Numbers of an architecture that is not listed. -1 is how a tracer asks
		// to skip a call, and belongs to all of them.
		rest := steps[len(steps)-1].to
		steps = addStep(steps, x32Bit, give(unix.SECCOMP_RET_KILL_THREAD))
		steps = addStep(steps, math.MaxUint32, rest)
	}
	return c.asm.load(offNumber, c.asm.search(steps))
}

// window appends the steps for the numbers of one architecture.
func (c *compiler) window(steps []step, a archID) []step {
	c.fill(a)
	base := uint32(0)
	if a == archX32 {
		base = x32Bit
	}
	last, rest := uint32(lastNumber), give(c.fallback)
	if c.last[a] >= 0 {
		last, rest = uint32(c.last[a]), give(enosys)
	}
	for nr := range last + 1 {
		steps = addStep(steps, base+nr, c.slot(&c.slots[nr], a.wide()))
	}
	steps = addStep(steps, base+last+1, rest)
	if a == archArm {
		for i := range uint32(armPrivateCount) {
			steps = addStep(steps, armPrivate+i, c.slot(&c.slots[lastNumber+1+i], false))
		}
		steps = addStep(steps, armPrivate+armPrivateCount, give(c.fallback))
	}
	return steps
}

// fill gives each number of an architecture its rules.
func (c *compiler) fill(a archID) {
	clear(c.slots[:])
	// An unconditional refusal leaves nothing for the rules, hence the order.
	for _, r := range c.refuse {
		c.spread(r, a, (*slot).refuseBy)
	}
	for _, r := range c.rules {
		c.spread(r, a, (*slot).add)
	}
}

// spread gives a rule to the slots of its calls.
func (c *compiler) spread(r rule, a archID, take func(*slot, *body)) {
	for _, row := range r.rows {
		if s := c.find(row, a); s != nil {
			take(s, r.body)
		}
	}
	if a == archI386 {
		for _, v := range r.via {
			take(c.find(v.row, a), r.body.subcall(v.n))
		}
	}
}

// find is the slot for a row's number, or nil where the architecture has none.
func (c *compiler) find(row uint16, a archID) *slot {
	nr := callNumbers[row][a]
	switch {
	case nr == none:
		return nil
	case nr >= armPrivateShort:
		return &c.slots[lastNumber+1+nr-armPrivateShort]
	}
	return &c.slots[nr]
}

// refuseBy takes in a rule that goes before all that add takes in.
func (s *slot) refuseBy(b *body) {
	switch {
	case s.fixed:
	case len(b.any) == 0:
		s.fixed, s.ret = true, b.verdict
	default:
		s.refuse = append(s.refuse, b)
	}
}

// add takes a rule in.
func (s *slot) add(b *body) {
	switch {
	case s.fixed:
	case len(b.any) == 0:
		s.fixed, s.ret, s.bodies = true, b.verdict, nil
	case len(s.bodies) == 0 || s.bodies[len(s.bodies)-1] != b: // a name may stand twice in a rule
		s.bodies = append(s.bodies, b)
	}
}

// slot is the target for one number.
func (c *compiler) slot(s *slot, wide bool) target {
	end := give(c.fallback)
	if s.fixed {
		end = give(s.ret)
	}
	if len(s.refuse) == 0 && len(s.bodies) == 0 {
		return end
	}
	for _, b := range c.blocks {
		if b.wide == wide && b.end == end && slices.Equal(b.refuse, s.refuse) && slices.Equal(b.bodies, s.bodies) {
			return b.entry
		}
	}
	entry := c.asm.tries(terms(s.bodies, wide), end)
	entry = c.asm.tries(terms(s.refuse, wide), entry)
	c.blocks = append(c.blocks, block{wide, s.refuse, s.bodies, end, entry})
	return entry
}
