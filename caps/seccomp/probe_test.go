package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"
)

// tokens are the architectures a call may come from: those that some profile
// lists, and some that none does.
var tokens = []uint32{
	unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_ARM,
	unix.AUDIT_ARCH_S390X, 0, 1, 0xffffffff,
}

// other reports whether a token is one of the kind of machine that goarch is not.
func other(token uint32, goarch string) bool {
	arm := token == unix.AUDIT_ARCH_AARCH64 || token == unix.AUDIT_ARCH_ARM
	intel := token == unix.AUDIT_ARCH_X86_64 || token == unix.AUDIT_ARCH_I386
	return goarch == "amd64" && arm || goarch == "arm64" && intel
}

// numbers are all numbers that calls have or are likely to get, the same with
// bits set that are not theirs, the private ones of arm, and the ends of the
// number space.
func numbers() []uint32 {
	var list []uint32
	for _, base := range []uint32{0, x32Bit, 0x80000000, 0xc0000000} {
		for n := range uint32(1024) {
			list = append(list, base+n)
		}
		for n := range uint32(64) {
			list = append(list, base-1-n, base+armPrivate-16+n)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// probe runs judge over all numbers, tokens and edges of arguments.
func probe(p *Profile, judge func(call)) {
	edges := argEdges(p)
	byNumber := map[archID]map[uint32][6][]uint64{}
	for a := range archCount {
		byNumber[a] = map[uint32][6][]uint64{}
		for name, e := range edges {
			row, ok := lookup(name)
			if !ok {
				continue
			}
			if nr := number(row, a); nr != none {
				byNumber[a][nr] = e
			}
			if via, n := subcall(name); via != "" && a == archI386 {
				row, _ := lookup(via)
				nr := number(row, a)
				sum := byNumber[a][nr]
				e[0] = append(edgesOf(uint64(n)), sum[0]...)
				for i := range 5 {
					e[i+1] = append(e[i+1], sum[i+1]...)
				}
				byNumber[a][nr] = e
			}
		}
	}
	ones := ^uint64(0)
	for _, token := range tokens {
		for _, nr := range numbers() {
			c := call{arch: token, nr: nr}
			judge(c)
			c.args = [6]uint64{ones, ones, ones, ones, ones, ones}
			judge(c)
		}
		for a := range archCount {
			if a.token() != token {
				continue
			}
			for nr, e := range byNumber[a] {
				vary(call{arch: token, nr: nr}, e, judge)
			}
		}
	}
}

// vary runs judge over the edges of each argument, while the others take some
// of theirs.
func vary(c call, edges [6][]uint64, judge func(call)) {
	for i, full := range edges {
		if full == nil {
			continue
		}
		var rest func(c call, j int)
		rest = func(c call, j int) {
			switch {
			case j == 6:
				judge(c)
			case j == i:
				for _, v := range full {
					c.args[j] = v
					rest(c, j+1)
				}
			case edges[j] == nil:
				rest(c, j+1)
			default:
				for k := range 12 {
					c.args[j] = edges[j][k*len(edges[j])/12]
					rest(c, j+1)
				}
			}
		}
		rest(c, 0)
	}
}

// number is that of a row on an architecture, as a filter sees it, or none.
func number(row int, a archID) uint32 {
	nr := uint32(callNumbers[row][a])
	switch {
	case nr == none:
	case nr >= armPrivateShort:
		nr += armPrivate - armPrivateShort
	case a == archX32:
		nr += x32Bit
	}
	return nr
}

// edgesOf are values of an argument at which a comparison with v, or a mask, may
// go wrong.
func edgesOf(v uint64) []uint64 {
	list := []uint64{
		v, v - 1, v + 1, ^v, v &^ 0xffffffff, v | 0xffffffff, v & 0xffffffff, v | 0xffffffff<<32,
		v | 1<<32, v ^ 1<<32, (v & 0xffffffff) - 1, v<<32 | v>>32,
	}
	for bit := range 64 {
		list = append(list, v^1<<bit)
	}
	return list
}

// plainEdges are values that are edges whatever the profile says.
var plainEdges = []uint64{
	0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0xffffffff00000000, 1 << 63, ^uint64(0) >> 1, ^uint64(0),
}

// argEdges lists, for each name that p has conditions on, the values to try for
// each argument that they look at.
func argEdges(p *Profile) map[string][6][]uint64 {
	all := map[string][6][]uint64{}
	for _, r := range slices.Concat(p.Refuse, p.Syscalls) {
		for _, name := range r.calls() {
			for _, a := range r.Args {
				e := all[name]
				e[a.Index] = append(append(e[a.Index], edgesOf(a.Value)...), edgesOf(a.ValueTwo)...)
				if a.Op == MaskedEqual {
					e[a.Index] = append(e[a.Index], edgesOf(a.ValueTwo|^a.Value)...)
				}
				all[name] = e
			}
		}
	}
	for name, e := range all {
		for i := range e {
			if e[i] != nil {
				e[i] = append(e[i], plainEdges...)
				slices.Sort(e[i])
				e[i] = slices.Compact(e[i])
			}
		}
		all[name] = e
	}
	return all
}
