package userns

import (
	"fmt"
	"slices"

	"github.com/rl-run/rl-run/plan"
)

// Maps is what a user namespace is given: the extents of its uid_map and of its
// gid_map, sorted by inside id.
type Maps struct {
	UID []plan.Extent `json:"uid"`
	GID []plan.Extent `json:"gid"`
}

// Validate tells whether the kernel would take both maps, as far as their form
// goes: between 1 and MaxExtents extents, less than a page of text, no empty,
// overflowing or overlapping range. It does not ask whose ids they are.
func (m Maps) Validate() error {
	if err := checkExtents(m.UID); err != nil {
		return fmt.Errorf("uid map: %w", err)
	}
	if err := checkExtents(m.GID); err != nil {
		return fmt.Errorf("gid map: %w", err)
	}
	return nil
}

// InsideUID is the uid that the host's uid has inside; ok is false where it has
// none and shows as the overflow uid, 65534. Give it st_uid of a rootfs to learn
// whether its owner exists in the container.
func (m Maps) InsideUID(host uint32) (inside uint32, ok bool) { return toInside(m.UID, host) }

// InsideGID is InsideUID for groups.
func (m Maps) InsideGID(host uint32) (inside uint32, ok bool) { return toInside(m.GID, host) }

// HostUID is the host's uid for a uid of the container.
func (m Maps) HostUID(inside uint32) (host uint32, ok bool) { return toOutside(m.UID, inside) }

// HostGID is the host's gid for a gid of the container.
func (m Maps) HostGID(inside uint32) (host uint32, ok bool) { return toOutside(m.GID, inside) }

// Linear search: nearly all maps have one, two or three extents.
func toInside(extents []plan.Extent, host uint32) (uint32, bool) {
	for _, e := range extents {
		if host >= e.Outside && host-e.Outside < e.Count {
			return e.Inside + (host - e.Outside), true
		}
	}
	return 0, false
}

func toOutside(extents []plan.Extent, inside uint32) (uint32, bool) {
	for _, e := range extents {
		if inside >= e.Inside && inside-e.Inside < e.Count {
			return e.Outside + (inside - e.Inside), true
		}
	}
	return 0, false
}

// InitialMaps is the map of the initial user namespace, as its processes read it:
// every id stands for itself.
func InitialMaps() Maps {
	return Maps{UID: []plan.Extent{{Count: noID}}, GID: []plan.Extent{{Count: noID}}}
}

// whole reports whether a namespace has every id and so is the initial one, or as
// good as.
func whole(extents []plan.Extent) bool {
	return len(extents) == 1 && extents[0].Inside == 0 && extents[0].Count == noID
}

// HostRoot reports whether the caller is root of the machine itself, not of a user namespace below.
func (c *Caller) HostRoot() bool { return c.UID == 0 && whole(c.Parent.UID) }

// sameMap compares two maps as sets: with more than five extents the kernel shows
// them sorted by inside id, whatever order they were written in.
func sameMap(a, b []plan.Extent) bool {
	if len(a) != len(b) {
		return false
	}
	a, b = slices.Clone(a), slices.Clone(b)
	sortByInside(a)
	sortByInside(b)
	return slices.Equal(a, b)
}
