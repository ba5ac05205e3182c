package usernet

import (
	"bytes"
	"slices"
	"strconv"
)

// Caller is who asks.
type Caller struct {
	UID    uint32
	Groups []uint32 // the process's own, with the primary one

	// Passwd and Group are the host's /etc/passwd and /etc/group, which tell what the names
	// in the policy stand for. Users of a name service that is not in them are granted
	// links by number.
	Passwd, Group []byte
}

// is tells whether a line is about the caller.
func (c Caller) is(a Allow) bool {
	if a.User != "" {
		id, ok := lookup(c.Passwd, a.User)
		return ok && id == c.UID
	}
	id, ok := lookup(c.Group, a.Group)
	return ok && slices.Contains(c.Groups, id)
}

// lookup is the id of a name in a passwd or group file, passwd(5), group(5): in both it
// is the third field. A number stands for itself unless it is a name.
func lookup(file []byte, name string) (uint32, bool) {
	for line := range bytes.SplitSeq(file, []byte{'\n'}) {
		fields := bytes.SplitN(line, []byte{':'}, 4)
		if len(fields) >= 3 && string(fields[0]) == name {
			return parseID(string(fields[2]))
		}
	}
	return parseID(name)
}

// parseID reads a user or group id. 4294967295 is none, setresuid(2).
func parseID(s string) (uint32, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n != 1<<32-1
}
