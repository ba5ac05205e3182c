package launch

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/userns"
)

// idsError is that an id has none in the container's map.
type idsError struct {
	error
	mode   userns.Mode
	caller userns.Caller
	maps   userns.Maps
}

func (e *idsError) Unwrap() error { return e.error }

// Hint looks for free ids where the caller needs some.
func (e *idsError) Hint() string { return idsHint(e.mode, e.caller, e.maps) }

func (c *compiler) lacksIDs(err error) error {
	return &idsError{err, c.spec.Userns.Mode, c.host.Caller, c.IDs.Maps}
}

// idsHint is how a caller comes to more ids than a container's map has.
func idsHint(mode userns.Mode, c userns.Caller, m userns.Maps) string {
	if mode == userns.ModeSingle {
		return "leave --userns=single out: your subordinate ids are mapped then"
	}
	if len(m.UID) == 1 && m.UID[0].Count == 1 {
		if len(c.Subordinate.UID) == 0 || len(c.Subordinate.GID) == 0 {
			return subordinateHint(c, nextSubordinate())
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
		case strings.Contains(h.Problem, "not root of this user namespace"):
			return "the host's " + filepath.Base(h.Path) + " is of no use in a user namespace that root has no id in: start rl-run outside of it"
		case strings.Contains(h.Problem, "nosuid"):
			return `an administrator can mount it anew: mount -o remount,suid "$(findmnt -no TARGET -T ` + h.Path + `)"`
		case h.Privilege == "":
			return "an administrator can give it the privilege: chmod u+s " + h.Path
		}
	}
	switch {
	case strings.Contains(c.Bar, "no_new_privs"):
		return "start rl-run from a process without no_new_privs (see NoNewPrivs in /proc/self/status)"
	case c.Bar != "":
		return "start rl-run from a process with all of the bounding set (see CapBnd in /proc/self/status); in a container: start that with --cap-add SETUID,SETGID"
	}
	return ""
}

// subordinateHint is how a caller comes to subordinate ids; next is the first that nobody has.
func subordinateHint(c userns.Caller, next uint32) string {
	who, first := c.Subordinate.Name, ""
	if who == "" && c.Subordinate.Problem == "" {
		who, first = nameFor(c), nameLine(c)+" && " // usermod and newuidmap want one
	} else if who == "" {
		who = fmt.Sprint(c.UID)
	}
	line := first + fmt.Sprintf("usermod --add-subuids %[1]d-%[2]d --add-subgids %[1]d-%[2]d %[3]s", next, next+65535, who)
	switch {
	case strings.Contains(c.Subordinate.Problem, "getsubids: not found"):
		return "an administrator can install what asks for them: apt-get install uidmap"
	case c.Subordinate.Source == "getsubids":
		return "an administrator can give " + who + " ids where nsswitch.conf looks for subid, or have it look into /etc/subuid: sed -i '/^subid:/d' /etc/nsswitch.conf && " + line
	}
	if first != "" {
		return "an administrator can give you a name and subordinate ids: " + line
	}
	return "an administrator can give you subordinate ids: " + line
}

// nameFor is a login name for a uid that has none.
func nameFor(c userns.Caller) string { return fmt.Sprintf("u%d", c.UID) }

// nameLine gives a uid that name. useradd would give it subordinate ids, too, or not, as login.defs has it.
func nameLine(c userns.Caller) string {
	return fmt.Sprintf("sh -c 'echo %s:x:%d:%d::/:/bin/sh >>/etc/passwd'", nameFor(c), c.UID, c.GID)
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
