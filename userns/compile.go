package userns

import (
	"errors"
	"fmt"

	"github.com/rl-run/rl-run/plan"
)

// Mode is the value of --userns, as far as it chooses ids.
type Mode string

const (
	// ModeAuto maps 0 to the caller and 1 upwards to his subordinate ids in their
	// order; without subordinate ids, or without a way to map them, it is single.
	// The empty Mode means the same.
	ModeAuto Mode = "auto"
	// ModeSingle maps 0 to the caller and nothing else.
	ModeSingle Mode = "single"
	// ModeKeepID maps the caller's own ids to themselves and all other numbers,
	// from 0 upwards, to his subordinate ids, as podman does.
	ModeKeepID Mode = "keep-id"
)

// ParseMode reads the value of --userns. The values host and container:NAME,
// which name a namespace and no ids, are the caller's to know.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case ModeAuto, ModeSingle, ModeKeepID:
		return m, nil
	}
	return "", fmt.Errorf("%q: expected auto, single or keep-id", s)
}

// Request is what the user asked for.
type Request struct {
	Mode Mode `json:"mode,omitempty"`
	// UID and GID are the extents of --uidmap and --gidmap, in host ids as the
	// caller sees them. With either, Mode must be auto; the other, when empty, is
	// the same extents, as in podman.
	UID []plan.Extent `json:"uid,omitempty"`
	GID []plan.Extent `json:"gid,omitempty"`
}

// Result is the decision for one container.
type Result struct {
	Maps Maps `json:"maps"`
	How  How  `json:"how"`
	// GroupsStay: setgroups(2) will be EPERM inside, so that the caller's
	// supplementary groups stay with the container.
	GroupsStay bool `json:"groups_stay,omitempty"`
	// Fallbacks says, a line each, what is less than was asked for, and why.
	Fallbacks []string `json:"fallbacks,omitempty"`
}

// Compile decides the maps of a container and how they are written. It is a pure
// function.
//
// A privileged caller without subordinate ids is given the ids of his own user
// namespace, each for itself: all of them in a nested one, those below 65536 in
// the initial one. That is what root's containers have elsewhere.
//
// Errors are for what was asked for explicitly and cannot be had, and for a caller
// whose own id does not exist in his user namespace.
func Compile(req Request, c Caller) (Result, error) {
	if err := checkCaller(c); err != nil {
		return Result{}, err
	}
	if len(req.UID) > 0 || len(req.GID) > 0 {
		return compileExplicit(req, c)
	}
	switch req.Mode {
	case "", ModeAuto:
		return compileRanges(c, 0, 0), nil
	case ModeKeepID:
		return compileRanges(c, c.UID, c.GID), nil
	case ModeSingle:
		return finish(single(c, 0, 0), c, nil), nil
	}
	_, err := ParseMode(string(req.Mode))
	return Result{}, err
}

func checkCaller(c Caller) error {
	if len(c.Parent.UID) == 0 || len(c.Parent.GID) == 0 {
		return errors.New("this user namespace has no id map: no id can be mapped from it")
	}
	if _, ok := toOutside(c.Parent.UID, c.UID); !ok {
		return fmt.Errorf("the caller's uid %d does not exist in this user namespace", c.UID)
	}
	if _, ok := toOutside(c.Parent.GID, c.GID); !ok {
		return fmt.Errorf("the caller's gid %d does not exist in this user namespace", c.GID)
	}
	return nil
}

func single(c Caller, uid, gid uint32) Maps {
	return Maps{
		UID: []plan.Extent{{Inside: uid, Outside: c.UID, Count: 1}},
		GID: []plan.Extent{{Inside: gid, Outside: c.GID, Count: 1}},
	}
}

// compileRanges maps uid and gid inside to the caller and fills the other numbers.
func compileRanges(c Caller, uid, gid uint32) Result {
	uids, gids := available(kindUID, c, uid), available(kindGID, c, gid)
	_, reason := chooseWay(c)
	// The lack of ids is told before the lack of a way: who has neither needs the
	// ids first.
	for _, lack := range []string{uids.lack, gids.lack, reason} {
		if lack != "" {
			return finish(single(c, uid, gid), c, []string{"only one id is mapped: " + lack})
		}
	}
	var m Maps
	var notes []string
	if c.Subordinate.Problem != "" {
		notes = append(notes, "subordinate ids: "+c.Subordinate.Problem)
	}
	switch {
	case uids.identity != nil && gids.identity != nil:
		notes = append(notes, fmt.Sprintf("no subordinate ids: the host's stand for themselves (uids %s, gids %s)",
			formatRanges(uids.identity), formatRanges(gids.identity)))
	case uids.identity != nil:
		notes = append(notes, fmt.Sprintf("no subordinate uids: the host's stand for themselves (%s)", formatRanges(uids.identity)))
	case gids.identity != nil:
		notes = append(notes, fmt.Sprintf("no subordinate gids: the host's stand for themselves (%s)", formatRanges(gids.identity)))
	}
	var cut int
	if m.UID, cut = arrange(uids.extents, c.UID, c.Parent.UID); cut > 0 {
		notes = append(notes, tooMany(kindUID, cut))
	}
	if m.GID, cut = arrange(gids.extents, c.GID, c.Parent.GID); cut > 0 {
		notes = append(notes, tooMany(kindGID, cut))
	}
	return finish(m, c, notes)
}

func tooMany(k kind, cut int) string {
	return fmt.Sprintf("%d extents of %ss are left out: the kernel takes %d, in %d bytes", cut, k.name, MaxExtents, maxMapBytes)
}

// finish adds the way to maps that the caller may have.
func finish(m Maps, c Caller, fallbacks []string) Result {
	r := Result{Maps: m, Fallbacks: fallbacks}
	how, _ := chooseWay(c)
	if m.isOwn(c) && how.Way != WayDirect {
		// Not for a privileged caller: with "deny" written he could no longer drop
		// his supplementary groups.
		how = How{Way: WaySelf}
	}
	r.How = how
	r.GroupsStay = c.SetgroupsDenied || how.Way == WaySelf ||
		// newgidmap writes "deny" where no subordinate gid is in the map.
		how.Way == WayHelpers && len(m.GID) == 1 && m.GID[0].Count == 1 && m.GID[0].Outside == c.GID
	return r
}

// compileExplicit checks what --uidmap and --gidmap ask for.
func compileExplicit(req Request, c Caller) (Result, error) {
	if req.Mode != "" && req.Mode != ModeAuto {
		return Result{}, fmt.Errorf("--userns=%s and --uidmap or --gidmap exclude each other", req.Mode)
	}
	var m Maps
	var err error
	if m.UID, err = explicit(kindUID, req.UID, req.GID, c); err != nil {
		return Result{}, err
	}
	if m.GID, err = explicit(kindGID, req.GID, req.UID, c); err != nil {
		return Result{}, err
	}
	r := finish(m, c, nil)
	if r.How == (How{}) {
		_, reason := chooseWay(c)
		return Result{}, fmt.Errorf("--%s %s: %s", kindOf(req).flag, colons(firstOf(req)), reason)
	}
	return r, nil
}

func kindOf(req Request) kind {
	if len(req.UID) > 0 {
		return kindUID
	}
	return kindGID
}

func firstOf(req Request) plan.Extent {
	if len(req.UID) > 0 {
		return req.UID[0]
	}
	return req.GID[0]
}

// explicit is one map out of its flag, or out of the other's where it has none.
func explicit(k kind, asked, other []plan.Extent, c Caller) ([]plan.Extent, error) {
	prefix, suffix := "--"+k.flag+" ", ""
	if len(asked) == 0 {
		asked = other
		prefix = "--" + k.other + " "
		suffix = fmt.Sprintf(", and without --%s the %s map is the same", k.flag, k.name)
	}
	if err := checkExtents(asked); err != nil {
		return nil, fmt.Errorf("%s%w", prefix, err)
	}
	bounds := insideRanges(k.parent(c))
	for _, e := range asked {
		host := Range{e.Outside, e.Count}
		if id, missing := firstMissing(host, bounds); missing {
			return nil, fmt.Errorf("%s%s: host %s %d does not exist in this user namespace%s", prefix, colons(e), k.name, id, suffix)
		}
		if c.privileged() {
			continue
		}
		granted := append([]Range{{k.own(c), 1}}, k.granted(c)...)
		if id, missing := firstMissing(host, granted); missing {
			return nil, fmt.Errorf("%s%s: host %s %d is neither your own (%d) nor one of your subordinate %ss (%s)%s",
				prefix, colons(e), k.name, id, k.own(c), k.name, formatGranted(k.granted(c)), suffix)
		}
	}
	own := k.own(c)
	out, err := Split(merge(isolate(asked, own), own), k.parent(c))
	if err == nil {
		err = checkExtents(out)
	}
	if err != nil {
		return nil, fmt.Errorf("%s%w", prefix, err)
	}
	return out, nil
}

func formatGranted(ranges []Range) string {
	if len(ranges) == 0 {
		return "none"
	}
	return formatRanges(ranges)
}
