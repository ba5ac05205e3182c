package userns

import (
	"slices"
	"strconv"
	"strings"

	"github.com/rl-run/rl-run/plan"
)

// noID is the number that is no id, neither of a user nor of a group
// ((uid_t)-1): no range reaches it.
const noID = 4294967295

// Range is Count consecutive host ids from Start upwards. A valid range has a
// Count of at least 1 and does not reach 4294967295.
type Range struct {
	Start uint32 `json:"start"`
	Count uint32 `json:"count"`
}

// end is the first id behind the range. It needs 64 bits only for ranges that
// are not valid.
func (r Range) end() uint64 { return uint64(r.Start) + uint64(r.Count) }

func (r Range) valid() bool { return r.Count > 0 && r.end() <= noID }

// String formats the range by its first and last id, as in "100000-165535".
func (r Range) String() string {
	if r.Count <= 1 {
		return formatID(r.Start)
	}
	return formatID(r.Start) + "-" + strconv.FormatUint(r.end()-1, 10)
}

func formatID(id uint32) string { return strconv.FormatUint(uint64(id), 10) }

// formatRanges lists ranges for a message; beyond the fourth it only counts.
func formatRanges(ranges []Range) string {
	const shown = 4
	var b strings.Builder
	for i, r := range ranges {
		if i == shown {
			b.WriteString(" and " + strconv.Itoa(len(ranges)-shown) + " more")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(r.String())
	}
	return b.String()
}

// without removes the ids of cut from ranges and keeps their order.
func without(ranges []Range, cut Range) []Range {
	out := make([]Range, 0, len(ranges)+1)
	for _, r := range ranges {
		if cut.end() <= uint64(r.Start) || r.end() <= uint64(cut.Start) {
			out = append(out, r)
			continue
		}
		if r.Start < cut.Start {
			out = append(out, Range{r.Start, cut.Start - r.Start})
		}
		if cut.end() < r.end() {
			out = append(out, Range{uint32(cut.end()), uint32(r.end() - cut.end())})
		}
	}
	return out
}

// disjoint drops invalid ranges and, of ranges that overlap, gives the common ids
// to the first: /etc/subuid may name the same ids twice, by name and by uid, but
// a map that does is EINVAL.
func disjoint(ranges []Range) []Range {
	var out []Range
	for _, r := range ranges {
		if !r.valid() {
			continue
		}
		rest := []Range{r}
		for _, earlier := range out {
			rest = without(rest, earlier)
		}
		out = append(out, rest...)
	}
	return out
}

// within keeps of ranges what also lies in bounds, in the order of ranges and,
// inside one of them, ascending. Bounds must be sorted and disjoint.
func within(ranges, bounds []Range) []Range {
	var out []Range
	for _, r := range ranges {
		for _, b := range bounds {
			start := max(r.Start, b.Start)
			end := min(r.end(), b.end())
			if uint64(start) < end {
				out = append(out, Range{start, uint32(end - uint64(start))})
			}
		}
	}
	return out
}

// insideRanges is the inside of a map, sorted: the ids that exist in the
// namespace it belongs to.
func insideRanges(extents []plan.Extent) []Range {
	out := make([]Range, 0, len(extents))
	for _, e := range extents {
		out = append(out, Range{e.Inside, e.Count})
	}
	slices.SortFunc(out, func(a, b Range) int { return compareIDs(a.Start, b.Start) })
	return out
}

func compareIDs(a, b uint32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// firstMissing is the lowest id of r that none of bounds holds.
func firstMissing(r Range, bounds []Range) (uint32, bool) {
	rest := []Range{r}
	for _, b := range bounds {
		rest = without(rest, b)
	}
	if len(rest) == 0 {
		return 0, false
	}
	low := rest[0].Start
	for _, x := range rest[1:] {
		low = min(low, x.Start)
	}
	return low, true
}
