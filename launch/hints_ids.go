package launch

import (
	"fmt"
	"strings"

	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/userns"
)

// idsHint is how a caller comes to more ids than a container's map has.
func idsHint(mode userns.Mode, c userns.Caller, m userns.Maps) string {
	if mode == userns.ModeSingle {
		return "leave --userns=single out: your subordinate ids are mapped then"
	}
	if len(m.UID) == 1 && m.UID[0].Count == 1 {
		if len(c.Subordinate.UID) == 0 || len(c.Subordinate.GID) == 0 {
			return subordinateHint(c)
		}
		return helpersHint(c)
	}
	return fmt.Sprintf("it has the uids %s and the gids %s; --uidmap and --gidmap choose others", inside(m.UID), inside(m.GID))
}

// helpersHint is how the programs that write a map of several ids come to work
// for a caller who has none or lacks the subordinate ids; empty where nothing is
// known to be missing.
func helpersHint(c userns.Caller) string {
	if c.CapSetUID && c.CapSetGID {
		return ""
	}
	for _, h := range []userns.Helper{c.Helpers.UID, c.Helpers.GID} {
		switch {
		case h.Problem == "":
		case h.Path == "":
			return "an administrator can install newuidmap and newgidmap: apt-get install uidmap, or dnf install shadow-utils"
		case h.Privilege == "":
			return "an administrator can give it the privilege: chmod u+s " + h.Path
		}
	}
	if c.Bar != "" && strings.Contains(c.Bar, "no_new_privs") {
		return "start rl-run from a process without no_new_privs (see NoNewPrivs in /proc/self/status)"
	}
	return ""
}

func subordinateHint(c userns.Caller) string {
	who := c.Subordinate.Name
	if who == "" {
		who = fmt.Sprint(c.UID)
	}
	return fmt.Sprintf("an administrator can give you subordinate ids: a line %s:100000:65536 in /etc/subuid and /etc/subgid, with a range that nobody else has", who)
}

// inside lists the ids of a map as the container has them.
func inside(extents []plan.Extent) string {
	const most = 4
	var ranges []string
	for i := 0; i < len(extents); i++ {
		first, last := extents[i].Inside, extents[i].Inside+extents[i].Count-1
		for i+1 < len(extents) && extents[i+1].Inside == last+1 {
			i++
			last += extents[i].Count
		}
		if len(ranges) == most {
			return strings.Join(ranges, ", ") + " and more"
		}
		ranges = append(ranges, fmt.Sprintf("%d-%d", first, last))
	}
	return strings.Join(ranges, ", ")
}
