package cgroup

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxCPU is the highest number of a processor: NR_CPUS of the kernel is at most 8192.
const maxCPU = 8191

// Range is the processors from First to Last, both included.
type Range struct {
	First int `json:"first"`
	Last  int `json:"last"`
}

// Set is a set of processors: ranges in rising order, with gaps between them.
type Set []Range

// ParseSet reads a list of processors in the kernel's form (cpuset(7), "List
// format"), as in 0-1,3; the numbers go from 0 to 8191.
func ParseSet(s string) (Set, error) {
	var set Set
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(part, "-")
		a, err := parseCPU(first)
		b := a
		if err == nil && isRange {
			b, err = parseCPU(last)
		}
		if err != nil || b < a {
			return nil, fmt.Errorf("%q: expected numbers and ranges of processors from 0 to %d, as in 0-1,3", s, maxCPU)
		}
		set = append(set, Range{a, b})
	}
	return set.normal(), nil
}

func parseCPU(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxCPU {
		return 0, errMalformed
	}
	return int(n), nil
}

// normal sorts the ranges and joins those that touch.
func (s Set) normal() Set {
	slices.SortFunc(s, func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	var joined Set
	for _, r := range s {
		if n := len(joined); n > 0 && r.First <= joined[n-1].Last+1 {
			joined[n-1].Last = max(joined[n-1].Last, r.Last)
			continue
		}
		joined = append(joined, r)
	}
	return joined
}

// String is the list as the kernel prints it.
func (s Set) String() string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(r.First))
		if r.Last > r.First {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(r.Last))
		}
	}
	return b.String()
}

// Contains tells whether all of the other set is in this one.
func (s Set) Contains(other Set) bool {
	for _, o := range other {
		if !slices.ContainsFunc(s, func(r Range) bool { return r.First <= o.First && o.Last <= r.Last }) {
			return false
		}
	}
	return true
}
