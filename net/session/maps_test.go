package session

import (
	"slices"
	"testing"

	"github.com/rl-run/rl-run/plan"
)

// extents takes three numbers for each: inside, outside, count.
func extents(n ...uint32) (out []plan.Extent) {
	for e := range slices.Chunk(n, 3) {
		out = append(out, plan.Extent{Inside: e[0], Outside: e[1], Count: e[2]})
	}
	return out
}

func TestNestedMaps(t *testing.T) {
	session := extents(0, 1000, 1, 1, 100000, 65536, 65537, 300000, 1000)
	for _, c := range []struct {
		name   string
		wanted []plan.Extent
		want   []plan.Extent
	}{
		{"the same", session, extents(0, 0, 1, 1, 1, 65536, 65537, 65537, 1000)},
		{"the caller alone", extents(0, 1000, 1), extents(0, 0, 1)},
		{
			"keep-id",
			extents(0, 100000, 1000, 1000, 1000, 1, 1001, 101000, 64536),
			extents(0, 1, 1000, 1000, 0, 1, 1001, 1001, 64536),
		},
		{"unsorted", extents(5, 100000, 2, 0, 1000, 1), extents(0, 0, 1, 5, 1, 2)},
	} {
		got, err := NestedMaps(session, c.wanted)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
	// Ranges that continue each other outside are two extents of the session all the same.
	apart := extents(0, 1000, 1, 10, 1001, 5, 100, 1006, 5)
	got, err := NestedMaps(apart, extents(0, 1000, 11))
	if want := extents(0, 0, 1, 1, 10, 5, 6, 100, 5); err != nil || !slices.Equal(got, want) {
		t.Errorf("over a border: %v, %v; want %v", got, err, want)
	}
	for _, wanted := range [][]plan.Extent{extents(0, 0, 1), extents(0, 165530, 10), extents(0, 1000, 2)} {
		if got, err := NestedMaps(session, wanted); err == nil {
			t.Errorf("%v: %v, want an error", wanted, got)
		}
	}
}
