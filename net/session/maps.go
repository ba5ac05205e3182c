package session

import (
	"fmt"
	"slices"

	"github.com/rl-run/rl-run/plan"
)

// NestedMaps says what to write to the uid_map, or to the gid_map, of a user
// namespace that is made inside the session's, so that it gets the map wanted,
// whose outside ids are the caller's as session's are. A process with CAP_SETUID
// and CAP_SETGID in the session's user namespace writes it, no helper is needed.
//
// A line of an id map may not span two extents of the parent's map
// (map_id_range_down in kernel/user_namespace.c looks each line up as a whole and
// answers EPERM), so extents are split there. The result is sorted by inside id.
// The error names the first id that the session does not hold; such a container
// cannot nest in it.
func NestedMaps(session, wanted []plan.Extent) ([]plan.Extent, error) {
	out := make([]plan.Extent, 0, len(wanted)+1)
	for _, w := range wanted {
		for done := uint32(0); done < w.Count; {
			id := w.Outside + done
			i := slices.IndexFunc(session, func(s plan.Extent) bool {
				return id >= s.Outside && id-s.Outside < s.Count
			})
			if i < 0 {
				return nil, fmt.Errorf("the session's user namespace does not hold id %d", id)
			}
			s := session[i]
			skip := id - s.Outside
			count := min(w.Count-done, s.Count-skip)
			out = append(out, plan.Extent{Inside: w.Inside + done, Outside: s.Inside + skip, Count: count})
			done += count
		}
	}
	slices.SortFunc(out, func(a, b plan.Extent) int {
		if a.Inside < b.Inside {
			return -1
		}
		return 1
	})
	return out, nil
}
