package userns

import (
	"fmt"

	"github.com/rl-run/rl-run/plan"
)

// kind names the two maps, which are made by the same rules out of other ids.
type kind struct {
	name, flag, other, file string
	gid                     bool
}

var (
	kindUID = kind{name: "uid", flag: "uidmap", other: "gidmap", file: "/etc/subuid"}
	kindGID = kind{name: "gid", flag: "gidmap", other: "uidmap", file: "/etc/subgid", gid: true}
)

func (k kind) own(c Caller) uint32 {
	if k.gid {
		return c.GID
	}
	return c.UID
}

func (k kind) parent(c Caller) []plan.Extent {
	if k.gid {
		return c.Parent.GID
	}
	return c.Parent.UID
}

func (k kind) granted(c Caller) []Range {
	if k.gid {
		return disjoint(c.Subordinate.GID)
	}
	return disjoint(c.Subordinate.UID)
}

// identityIDs is how many ids of the initial user namespace a privileged caller
// without subordinate ids is given: as many as a usual subordinate range has.
const identityIDs = 65536

// supply is what a map of one kind can hold.
type supply struct {
	// extents has the caller's own id and others beside it; empty where there are
	// no others. Not yet split for the parent's map.
	extents []plan.Extent
	// lack is why extents is empty.
	lack string
	// identity is the ids that stand for themselves, for want of subordinate ids.
	identity []Range
}

// available lays the ids of one kind out, the caller's own at the inside id pos.
func available(k kind, c Caller, pos uint32) supply {
	own := k.own(c)
	exists := insideRanges(k.parent(c))
	granted := without(k.granted(c), Range{own, 1})
	if len(granted) == 0 && c.privileged() {
		return identity(k, exists, own, pos)
	}
	usable := within(granted, exists)
	switch {
	case len(granted) == 0:
		return supply{lack: nothingGranted(k, c)}
	case len(usable) == 0:
		return supply{lack: fmt.Sprintf("the subordinate %ss %s do not exist in this user namespace", k.name, formatRanges(granted))}
	}
	extents := []plan.Extent{{Inside: pos, Outside: own, Count: 1}}
	next := uint64(0)
	for _, r := range usable {
		for r.Count > 0 && next < noID {
			if next == uint64(pos) {
				next++
				continue
			}
			room := uint64(noID) - next
			if next < uint64(pos) {
				room = uint64(pos) - next
			}
			n := uint32(min(room, uint64(r.Count)))
			extents = append(extents, plan.Extent{Inside: uint32(next), Outside: r.Start, Count: n})
			next += uint64(n)
			r = Range{r.Start + n, r.Count - n}
		}
	}
	return supply{extents: extents}
}

// identity gives each id of the caller's user namespace for itself.
func identity(k kind, exists []Range, own, pos uint32) supply {
	ids := exists
	if len(ids) == 1 && ids[0] == (Range{0, noID}) {
		ids = []Range{{0, identityIDs}}
	}
	// pos is taken inside, own outside.
	ids = without(without(ids, Range{pos, 1}), Range{own, 1})
	if len(ids) == 0 {
		return supply{lack: fmt.Sprintf("this user namespace has no %s but %d", k.name, own)}
	}
	extents := []plan.Extent{{Inside: pos, Outside: own, Count: 1}}
	for _, r := range ids {
		extents = append(extents, plan.Extent{Inside: r.Start, Outside: r.Start, Count: r.Count})
	}
	return supply{extents: extents, identity: ids}
}

func nothingGranted(k kind, c Caller) string {
	who := c.Subordinate.Name
	if who == "" {
		who = "uid " + formatID(c.UID)
	}
	source := k.file
	if c.Subordinate.Source == "getsubids" {
		source = "the source that nsswitch.conf names"
	}
	text := fmt.Sprintf("%s has no subordinate %ss in %s", who, k.name, source)
	if c.Subordinate.Problem != "" {
		text += " (" + c.Subordinate.Problem + ")"
	}
	return text
}

// arrange makes extents fit the kernel: joined where they continue each other,
// split where the parent's map demands it, and no more than it takes. cut is how
// many were left out, from the highest inside id down, never the caller's own.
func arrange(extents []plan.Extent, own uint32, parent []plan.Extent) (out []plan.Extent, cut int) {
	out = split(merge(extents, own), insideRanges(parent))
	for len(out) > MaxExtents || len(Text(out)) > maxMapBytes {
		last := len(out) - 1
		if out[last].Outside == own && out[last].Count == 1 {
			out[last], out[last-1] = out[last-1], out[last]
		}
		out = out[:last]
		cut++
	}
	sortByInside(out)
	return out, cut
}
