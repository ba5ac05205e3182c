package seccomp

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
)

// Env is what a profile's verdicts depend on beside the profile.
type Env struct {
	// Arch is the machine's architecture by Go's name, amd64 or arm64.
	Arch string
	// Caps is the bounding set of the container.
	Caps caps.Set
	// Kernel is the first two numbers of the running kernel's release.
	Kernel [2]int
}

// policy is a profile cut to one environment.
type policy struct {
	host     archID
	arches   []archID // with host among them, each once
	fallback uint32   // the verdict for what no rule matches
	refuse   []rule
	rules    []rule
	// last is the highest number that the profile names, by architecture, or -1
	// where calls above it are like any other.
	last [archCount]int
}

// rule is a Rule with its names looked up and its arguments sorted out.
type rule struct {
	rows []uint16 // of callNumbers
	via  []via
	body *body
}

// via is a call that on i386 is also a subcall of another one.
type via struct {
	row uint16
	n   uint32
}

// body is what a rule demands and gives. One body may be shared by many calls.
type body struct {
	verdict uint32
	// any lists conjunctions, one of which must hold. If it is empty, the rule has
	// no condition.
	any [][]Arg
}

// resolve cuts p to env.
func resolve(p *Profile, env Env) (*policy, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	host, ok := native(env.Arch)
	if !ok {
		return nil, fmt.Errorf("architecture %q: neither amd64 nor arm64", env.Arch)
	}
	pol := &policy{host: host, arches: p.arches(host)}
	var err error
	if pol.fallback, err = p.DefaultAction.verdict(p.DefaultErrnoRet, p.DefaultErrno); err != nil {
		return nil, err
	}
	newer := p.NewerENOSYS && p.DefaultAction == Errno && pol.fallback != enosys
	for a := range pol.last {
		pol.last[a] = -1
	}
	for i := range p.Syscalls {
		r := p.Syscalls[i].resolve()
		if newer {
			pol.raiseLast(r)
		}
		// A rule that gives the default verdict must not keep another one from
		// doing so: as in runc, it does not exist.
		if p.Syscalls[i].applies(env) && r.body.verdict != pol.fallback {
			pol.rules = append(pol.rules, r)
		}
	}
	for i := range p.Refuse {
		r := p.Refuse[i].resolve()
		if newer {
			pol.raiseLast(r)
		}
		if p.Refuse[i].applies(env) {
			pol.refuse = append(pol.refuse, r)
		}
	}
	return pol, nil
}

// enosys is the verdict for calls that the profile is too old to name.
const enosys = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)

// raiseLast notes that the profile names the calls of r. Rules that do not apply
// count too: whoever wrote them knew the call. Private numbers do not.
func (pol *policy) raiseLast(r rule) {
	for _, row := range r.rows {
		for a, nr := range callNumbers[row] {
			if nr < armPrivateShort {
				pol.last[a] = max(pol.last[a], int(nr))
			}
		}
	}
	for _, v := range r.via {
		pol.last[archI386] = max(pol.last[archI386], int(callNumbers[v.row][archI386]))
	}
}

// arches are the architectures that p lists and this machine can run.
func (p *Profile) arches(host archID) []archID {
	list := []archID{host}
	add := func(name string) {
		if a, ok := archByName(name); ok && a.runsOn(host) && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	for _, name := range p.Architectures {
		add(name)
	}
	for _, m := range p.ArchMap {
		if a, ok := archByName(m.Architecture); !ok || a != host {
			continue
		}
		for _, name := range m.SubArchitectures {
			add(name)
		}
		break // docker takes the first
	}
	return list
}

// applies reports whether the rule's Includes and Excludes let it count.
func (r *Rule) applies(env Env) bool {
	kernel := Release(env.Kernel)
	held := func(name string) bool {
		set, ok := caps.Lookup(name)
		return ok && env.Caps.Has(set)
	}
	if e := r.Excludes; e != nil {
		if slices.Contains(e.Arches, env.Arch) || slices.ContainsFunc(e.Caps, held) ||
			e.MinKernel != nil && kernel.atLeast(*e.MinKernel) {
			return false
		}
	}
	if i := r.Includes; i != nil {
		if len(i.Arches) > 0 && !slices.Contains(i.Arches, env.Arch) {
			return false
		}
		for _, name := range i.Caps {
			if !held(name) {
				return false
			}
		}
		return i.MinKernel == nil || kernel.atLeast(*i.MinKernel)
	}
	return true
}

// resolve looks the names up, passing over those that no architecture has. The
// rule must have passed check.
func (r *Rule) resolve() rule {
	calls := r.calls()
	res := rule{rows: make([]uint16, 0, len(calls)), body: &body{}}
	for _, name := range calls {
		row, ok := lookup(name)
		if !ok {
			continue
		}
		res.rows = append(res.rows, uint16(row))
		if outer, n := subcall(name); outer != "" {
			if row, ok := lookup(outer); ok {
				res.via = append(res.via, via{uint16(row), n})
			}
		}
	}
	res.body.verdict, _ = r.Action.verdict(r.ErrnoRet, r.Errno)
	res.body.any = alternatives(r.Args)
	return res
}

// alternatives are the conjunctions that args stand for: one, unless an argument
// is named twice. libseccomp cannot compare one argument twice in a rule, so
// runc and crun then make a rule of each condition.
func alternatives(args []Arg) [][]Arg {
	if len(args) == 0 {
		return nil
	}
	var seen [6]bool
	for _, a := range args {
		if !seen[a.Index] {
			seen[a.Index] = true
			continue
		}
		list := make([][]Arg, len(args))
		for i := range args {
			list[i] = args[i : i+1]
		}
		return list
	}
	return [][]Arg{args}
}

// subcall is the body for subcall n of socketcall or ipc: the number of the
// subcall is argument 0, which takes the place of what the rule said of it.
func (b *body) subcall(n uint32) *body {
	number := Arg{Index: 0, Op: Equal, Value: uint64(n)}
	if len(b.any) == 0 {
		return &body{b.verdict, [][]Arg{{number}}}
	}
	sub := &body{verdict: b.verdict}
	for _, all := range b.any {
		list := []Arg{number}
		for _, a := range all {
			if a.Index != 0 {
				list = append(list, a)
			}
		}
		// Alternatives on argument 0 alone have become the same.
		if n := len(sub.any); len(list) > 1 || n == 0 || len(sub.any[n-1]) > 1 {
			sub.any = append(sub.any, list)
		}
	}
	return sub
}
