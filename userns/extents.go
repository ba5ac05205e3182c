package userns

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/rl-run/rl-run/plan"
)

const (
	// MaxExtents is how many lines the kernel takes in one id map: 340 since
	// Linux 4.15, 5 before (user_namespaces(7)).
	MaxExtents = 340

	// maxMapBytes is the longest text the kernel takes: a map is written by one
	// write of less than a page (map_write in kernel/user_namespace.c). 4096 is
	// the smallest page of any architecture, so a map that fits one machine fits
	// all. 340 lines of large numbers do not fit.
	maxMapBytes = 4095
)

// ParseExtent reads the value of --uidmap or --gidmap, INSIDE:HOST:COUNT in
// decimal. The error says what was expected and repeats the value; the caller
// knows the flag.
func ParseExtent(s string) (plan.Extent, error) {
	var n [3]uint32
	rest := s
	for i := range n {
		field, tail, more := strings.Cut(rest, ":")
		if more != (i < 2) {
			return plan.Extent{}, fmt.Errorf("%q: want INSIDE:HOST:COUNT, as in 0:100000:65536", s)
		}
		v, err := strconv.ParseUint(field, 10, 32)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return plan.Extent{}, fmt.Errorf("%q: %s is larger than any id", s, field)
		case err != nil:
			return plan.Extent{}, fmt.Errorf("%q: %q is not a decimal number", s, field)
		}
		n[i], rest = uint32(v), tail
	}
	e := plan.Extent{Inside: n[0], Outside: n[1], Count: n[2]}
	if err := checkExtent(e); err != nil {
		return plan.Extent{}, fmt.Errorf("%q: %w", s, err)
	}
	return e, nil
}

// ParseMap reads the text of /proc/PID/uid_map or gid_map: lines of three
// decimal numbers, padded with blanks. An empty text, which a namespace without a
// map has, gives no extent and no error.
func ParseMap(text []byte) ([]plan.Extent, error) {
	var out []plan.Extent
	line := 0
	for len(text) > 0 {
		line++
		row, rest := cutLine(text)
		text = rest
		var n [3]uint32
		for i := range n {
			v, tail, ok := leadingNumber(row)
			if !ok {
				return nil, fmt.Errorf("line %d: want three decimal ids", line)
			}
			n[i], row = v, tail
		}
		if len(trimBlanks(row)) > 0 {
			return nil, fmt.Errorf("line %d: more than three fields", line)
		}
		e := plan.Extent{Inside: n[0], Outside: n[1], Count: n[2]}
		if err := checkExtent(e); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if len(out) == MaxExtents {
			return nil, fmt.Errorf("line %d: more than %d extents", line, MaxExtents)
		}
		out = append(out, e)
	}
	return out, nil
}

// leadingNumber takes blanks and one decimal number off the front of row.
func leadingNumber(row []byte) (v uint32, rest []byte, ok bool) {
	row = trimBlanks(row)
	var n uint64
	i := 0
	for ; i < len(row) && row[i] >= '0' && row[i] <= '9'; i++ {
		if n = n*10 + uint64(row[i]-'0'); n > math.MaxUint32 {
			return 0, nil, false
		}
	}
	if i == 0 || i < len(row) && row[i] != ' ' && row[i] != '\t' {
		return 0, nil, false
	}
	return uint32(n), row[i:], true
}

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

// Text is the map as it is written to /proc/PID/uid_map, one extent a line. It
// must reach the kernel in a single write at offset 0.
func Text(extents []plan.Extent) []byte {
	b := make([]byte, 0, len(extents)*24)
	for _, e := range extents {
		b = strconv.AppendUint(b, uint64(e.Inside), 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(e.Outside), 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(e.Count), 10)
		b = append(b, '\n')
	}
	return b
}

// describe lists extents on one line for a message; beyond the fourth it only
// counts.
func describe(extents []plan.Extent) string {
	const shown = 4
	if len(extents) == 0 {
		return "nothing"
	}
	s := strings.ReplaceAll(strings.TrimSpace(string(Text(extents[:min(shown, len(extents))]))), "\n", ", ")
	if len(extents) > shown {
		s += fmt.Sprintf(" and %d more", len(extents)-shown)
	}
	return s
}

func checkExtent(e plan.Extent) error {
	switch {
	case e.Count == 0:
		return errors.New("a count of 0 maps nothing")
	case uint64(e.Inside)+uint64(e.Count) > noID:
		return fmt.Errorf("%d inside ids from %d pass the last id 4294967294", e.Count, e.Inside)
	case uint64(e.Outside)+uint64(e.Count) > noID:
		return fmt.Errorf("%d host ids from %d pass the last id 4294967294", e.Count, e.Outside)
	}
	return nil
}

// checkExtents is what the kernel would answer with EINVAL, told apart.
func checkExtents(extents []plan.Extent) error {
	switch {
	case len(extents) == 0:
		return errors.New("no id is mapped")
	case len(extents) > MaxExtents:
		return fmt.Errorf("%d extents, the kernel takes %d", len(extents), MaxExtents)
	}
	for _, e := range extents {
		if err := checkExtent(e); err != nil {
			return fmt.Errorf("%s: %w", colons(e), err)
		}
	}
	for _, side := range []struct {
		name  string
		start func(plan.Extent) uint32
	}{
		{"inside", func(e plan.Extent) uint32 { return e.Inside }},
		{"host", func(e plan.Extent) uint32 { return e.Outside }},
	} {
		sorted := slices.Clone(extents)
		slices.SortStableFunc(sorted, func(a, b plan.Extent) int { return compareIDs(side.start(a), side.start(b)) })
		for i := 1; i < len(sorted); i++ {
			a, b := sorted[i-1], sorted[i]
			if side.start(b)-side.start(a) < a.Count {
				return fmt.Errorf("%s and %s overlap: both hold %s id %d", colons(a), colons(b), side.name, side.start(b))
			}
		}
	}
	if n := len(Text(extents)); n > maxMapBytes {
		return fmt.Errorf("the text of %d extents is %d bytes, the kernel takes %d", len(extents), n, maxMapBytes)
	}
	return nil
}

// colons formats an extent as its flag has it.
func colons(e plan.Extent) string {
	return formatID(e.Inside) + ":" + formatID(e.Outside) + ":" + formatID(e.Count)
}

func sortByInside(extents []plan.Extent) {
	slices.SortStableFunc(extents, func(a, b plan.Extent) int { return compareIDs(a.Inside, b.Inside) })
}

// merge sorts extents by inside id and joins neighbours that continue each other
// on both sides, but never with the extent of the single host id own: newuidmap
// grants the caller's own id only as an extent of one, and other ids only where
// subordinate ranges cover the whole extent.
func merge(extents []plan.Extent, own uint32) []plan.Extent {
	sortByInside(extents)
	var out []plan.Extent
	for _, e := range extents {
		if n := len(out); n > 0 {
			last := &out[n-1]
			apart := last.Outside == own && last.Count == 1 || e.Outside == own && e.Count == 1
			if !apart && last.Inside+last.Count == e.Inside && last.Outside+last.Count == e.Outside {
				last.Count += e.Count
				continue
			}
		}
		out = append(out, e)
	}
	return out
}

// isolate cuts the extent that holds the host id own, so that own stands alone,
// for the reason merge gives.
func isolate(extents []plan.Extent, own uint32) []plan.Extent {
	out := make([]plan.Extent, 0, len(extents)+2)
	for _, e := range extents {
		if own < e.Outside || own-e.Outside >= e.Count {
			out = append(out, e)
			continue
		}
		before := own - e.Outside
		if before > 0 {
			out = append(out, plan.Extent{Inside: e.Inside, Outside: e.Outside, Count: before})
		}
		out = append(out, plan.Extent{Inside: e.Inside + before, Outside: own, Count: 1})
		if after := e.Count - before - 1; after > 0 {
			out = append(out, plan.Extent{Inside: e.Inside + before + 1, Outside: own + 1, Count: after})
		}
	}
	return out
}

// Split cuts extents so that none spans two extents of parent, the map of the
// namespace that their outside ids belong to: the kernel looks each line up as a
// whole and answers EPERM for one that its own map holds in two pieces
// (map_id_range_down in kernel/user_namespace.c). The result is sorted by inside
// id. The error names the first host id that parent lacks.
func Split(extents, parent []plan.Extent) ([]plan.Extent, error) {
	bounds := insideRanges(parent)
	for _, e := range extents {
		if id, missing := firstMissing(Range{e.Outside, e.Count}, bounds); missing {
			return nil, fmt.Errorf("host id %d does not exist in this user namespace", id)
		}
	}
	return split(extents, bounds), nil
}

// split is Split without its check: host ids outside bounds are left out.
func split(extents []plan.Extent, bounds []Range) []plan.Extent {
	out := make([]plan.Extent, 0, len(extents))
	for _, e := range extents {
		for _, piece := range within([]Range{{e.Outside, e.Count}}, bounds) {
			out = append(out, plan.Extent{Inside: e.Inside + (piece.Start - e.Outside), Outside: piece.Start, Count: piece.Count})
		}
	}
	sortByInside(out)
	return out
}
