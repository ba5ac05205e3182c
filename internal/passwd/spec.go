package passwd

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Spec is what `-u USER[:GROUP]` asked for. The zero Spec is what holds without
// -u: user id 0, with no supplementary groups. Each part is a name or a decimal
// id; one made of digits alone is always an id, as with podman and docker, even
// where the container has a user of that name.
type Spec struct {
	User  string `json:"user,omitempty"`
	Group string `json:"group,omitempty"`
}

// ParseSpec reads the value of -u. It checks the form and the range of numbers;
// whether names exist is for [Spec.Resolve] to say.
func ParseSpec(value string) (Spec, error) {
	user, group, hasGroup := strings.Cut(value, ":")
	switch {
	case user == "", hasGroup && group == "", strings.Contains(group, ":"):
		return Spec{}, fmt.Errorf("malformed user %q (expected USER[:GROUP], each a name or an id)", value)
	}
	if err := checkPart("user", user); err != nil {
		return Spec{}, err
	}
	if hasGroup {
		if err := checkPart("group", group); err != nil {
			return Spec{}, err
		}
	}
	return Spec{User: user, Group: group}, nil
}

// checkPart refuses what can be neither a name nor an id.
func checkPart(kind, part string) error {
	digits := strings.TrimPrefix(part, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return nil
	}
	if _, ok := parseID(part); !ok {
		return fmt.Errorf("%s id %s out of range (expected 0 to %d)", kind, part, uint32(MaxID))
	}
	return nil
}

// User is the identity that a command gets.
type User struct {
	Entry // Name and Shell are empty for an id without an entry; its Home is "/"

	// Groups are the supplementary groups, ascending and each once. They hold
	// GID as well: without it a set-group-ID program could shake off the group,
	// and with it a denial that files express by "group may not"
	// (CVE-2022-2989). Empty for the zero Spec.
	Groups []uint32
}

// maxGroups is NGROUPS_MAX, the limit of setgroups(2).
const maxGroups = 65536

var errTooManyGroups = errors.New("more than 65536 supplementary groups")

// Resolve looks a Spec up in the contents of a passwd and a group file; either
// is nil where the root has none. As with podman and docker:
//
//   - a user with an entry has its group, home and shell, and is in the groups
//     whose lists name it;
//   - an id without an entry has group 0 and home "/";
//   - a GROUP that is given replaces both, the group of the entry and the
//     lists.
//
// The error is an *[UnknownError], or says that the groups are too many.
func (s Spec) Resolve(passwd, group []byte) (User, error) {
	if s == (Spec{}) {
		return User{Entry: rootEntry(passwd)}, nil
	}
	u := User{Entry: Entry{Home: "/"}}
	if id, ok := parseID(s.User); ok {
		u.UID = id
		if e, found := ByUID(passwd, id); found {
			u.Entry = e
		}
	} else if u.Entry, ok = ByName(passwd, s.User); !ok {
		return User{}, unknownUser(s.User, passwd)
	}

	if s.Group != "" {
		gid, err := GroupID(group, s.Group)
		if err != nil {
			return User{}, err
		}
		u.GID, u.Groups = gid, []uint32{gid}
		return u, nil
	}

	u.Groups = []uint32{u.GID}
	if u.Name != "" {
		for line := range bytes.SplitSeq(group, newline) {
			if l, ok := splitGroup(line); ok && hasMember(l.members, u.Name) {
				u.Groups = append(u.Groups, l.gid)
			}
		}
	}
	return u.ascending()
}

// rootEntry is who the caller is inside when nothing was asked for. Its group is
// 0 whatever the file says: with a map of a single id there is no other.
func rootEntry(passwd []byte) Entry {
	e, ok := ByUID(passwd, 0)
	if !ok {
		return Entry{Home: "/"}
	}
	e.GID = 0
	return e
}

// AddGroups returns the user with the groups of `--group-add` as well, each a
// name or an id of the group file.
func (u User) AddGroups(group []byte, names ...string) (User, error) {
	if len(names) == 0 {
		return u, nil
	}
	u.Groups = append(slices.Clone(u.Groups), u.GID)
	for _, name := range names {
		if err := checkPart("group", name); err != nil {
			return User{}, err
		}
		gid, err := GroupID(group, name)
		if err != nil {
			return User{}, err
		}
		u.Groups = append(u.Groups, gid)
	}
	return u.ascending()
}

// ascending sorts the groups and drops repetitions, as the kernel sorts them.
func (u User) ascending() (User, error) {
	slices.Sort(u.Groups)
	u.Groups = slices.Compact(u.Groups)
	if len(u.Groups) > maxGroups {
		return User{}, errTooManyGroups
	}
	return u, nil
}

// GroupID returns the id of a group, given as a name of the group file or as a
// decimal id, which needs no line there. The error is an *[UnknownError].
func GroupID(group []byte, name string) (uint32, error) {
	if id, ok := parseID(name); ok {
		return id, nil
	}
	for line := range bytes.SplitSeq(group, newline) {
		if l, ok := splitGroup(line); ok && string(l.name) == name {
			return l.gid, nil
		}
	}
	return 0, unknownGroup(name, group)
}
