package passwd

import "bytes"

// MaxID is the largest user or group id. 4294967295 is (uid_t)-1, which
// setresuid(2) and chown(2) take to mean "leave as it is".
const MaxID = 4294967294

// Entry is one line of a passwd file, passwd(5), without its password and
// comment fields.
type Entry struct {
	Name  string
	UID   uint32
	GID   uint32
	Home  string // "/" where the line has none
	Shell string // "" where the line has none, which means /bin/sh
}

// ByUID returns the first entry with that user id.
func ByUID(passwd []byte, uid uint32) (Entry, bool) {
	for line := range bytes.SplitSeq(passwd, newline) {
		if f, ok := splitUser(line); ok && f.uid == uid {
			return f.entry(), true
		}
	}
	return Entry{}, false
}

// ByName returns the first entry with that login name.
func ByName(passwd []byte, name string) (Entry, bool) {
	for line := range bytes.SplitSeq(passwd, newline) {
		if len(line) <= len(name) || line[len(name)] != ':' || string(line[:len(name)]) != name {
			continue
		}
		if f, ok := splitUser(line); ok {
			return f.entry(), true
		}
	}
	return Entry{}, false
}

var (
	newline = []byte{'\n'}
	colon   = []byte{':'}
	comma   = []byte{','}
)

// userLine is a passwd line cut into fields that still lie in the file.
type userLine struct {
	name, home, shell []byte
	uid, gid          uint32
}

func (l userLine) entry() Entry {
	e := Entry{Name: string(l.name), UID: l.uid, GID: l.gid, Home: string(l.home), Shell: string(l.shell)}
	if e.Home == "" {
		e.Home = "/"
	}
	return e
}

// splitUser cuts a line of a passwd file. Home and shell may be missing, as
// glibc and musl allow; a comment, a NIS line ("+::::::"), an id that is no
// number or too large, and a NUL, which no path or variable can hold, make the
// line no entry.
func splitUser(line []byte) (l userLine, ok bool) {
	var uid, gid []byte
	l.name, line, ok = bytes.Cut(line, colon)
	if !ok || !isName(l.name) {
		return l, false
	}
	if _, line, ok = bytes.Cut(line, colon); !ok { // the password
		return l, false
	}
	if uid, line, ok = bytes.Cut(line, colon); !ok {
		return l, false
	}
	gid, line, _ = bytes.Cut(line, colon)
	_, line, _ = bytes.Cut(line, colon) // the comment
	l.home, l.shell, _ = bytes.Cut(line, colon)

	if l.uid, ok = parseID(uid); !ok {
		return l, false
	}
	if l.gid, ok = parseID(gid); !ok {
		return l, false
	}
	return l, bytes.IndexByte(line, 0) < 0
}

// groupLine is a group line cut into fields that still lie in the file.
type groupLine struct {
	name, members []byte
	gid           uint32
}

// splitGroup cuts a line of a group file, by the rules of splitUser. The list
// of members may be missing.
func splitGroup(line []byte) (l groupLine, ok bool) {
	var gid []byte
	l.name, line, ok = bytes.Cut(line, colon)
	if !ok || !isName(l.name) {
		return l, false
	}
	if _, line, ok = bytes.Cut(line, colon); !ok {
		return l, false
	}
	gid, l.members, _ = bytes.Cut(line, colon)
	l.gid, ok = parseID(gid)
	return l, ok
}

// hasMember tells whether a comma-separated list holds name.
func hasMember(list []byte, name string) bool {
	for len(list) >= len(name) {
		var member []byte
		member, list, _ = bytes.Cut(list, comma)
		if string(member) == name {
			return true
		}
	}
	return false
}

// isName tells a name from an empty field, a comment and a NIS inclusion.
func isName(b []byte) bool {
	return len(b) > 0 && b[0] != '#' && b[0] != '+' && b[0] != '-' && bytes.IndexByte(b, 0) < 0
}

// parseID reads a decimal id of at most MaxID: digits alone, no sign and no
// space.
func parseID[T ~string | ~[]byte](digits T) (uint32, bool) {
	if len(digits) == 0 {
		return 0, false
	}
	var id uint64
	for i := range len(digits) {
		d := digits[i] - '0'
		if d > 9 {
			return 0, false
		}
		if id = id*10 + uint64(d); id > MaxID {
			return 0, false
		}
	}
	return uint32(id), true
}
