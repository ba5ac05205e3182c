package passwd

import (
	"bytes"
	"fmt"
)

// UnknownError says that the container has no user or group of a name.
type UnknownError struct {
	Kind    string // "user" or "group"
	Name    string // as it was asked for
	Near    string // a name that exists and looks like it, or ""
	Missing bool   // the file is empty or not there at all
}

func (e *UnknownError) Error() string {
	switch {
	case e.Near != "":
		return fmt.Sprintf("unknown %s %q (did you mean %q?)", e.Kind, e.Name, e.Near)
	case e.Missing && e.Kind == "user":
		return fmt.Sprintf("unknown user %q (the root has no /etc/passwd entries; an id works)", e.Name)
	case e.Missing:
		return fmt.Sprintf("unknown group %q (the root has no /etc/group entries; an id works)", e.Name)
	}
	return fmt.Sprintf("unknown %s %q", e.Kind, e.Name)
}

const (
	nearNames = 10000 // lines looked at for a near name: a hostile file may have 200 000
	nearBytes = 32    // longest name that is offered, as useradd(8) limits them
)

func unknownUser(name string, passwd []byte) error {
	return unknown("user", name, passwd, func(line []byte) ([]byte, bool) {
		l, ok := splitUser(line)
		return l.name, ok
	})
}

func unknownGroup(name string, group []byte) error {
	return unknown("group", name, group, func(line []byte) ([]byte, bool) {
		l, ok := splitGroup(line)
		return l.name, ok
	})
}

// unknown makes the error for a name that file lacks. The nearest name is
// offered, of equal ones the first: within one edit for a name of two to four
// letters, within two for a longer one.
func unknown(kind, name string, file []byte, split func(line []byte) (name []byte, ok bool)) error {
	e := &UnknownError{Kind: kind, Name: name, Missing: len(bytes.TrimSpace(file)) == 0}
	if len(name) > nearBytes {
		return e
	}
	best := min(1+(len(name)+1)/3, 3)
	lines := 0
	for line := range bytes.SplitSeq(file, newline) {
		if lines++; lines > nearNames {
			break
		}
		other, ok := split(line)
		if !ok || !isPlain(other) {
			continue
		}
		if d := distance(name, string(other)); d < best {
			best, e.Near = d, string(other)
		}
	}
	return e
}

// isPlain tells a name that a terminal shows as it is. The file is the
// container's: an escape sequence in it must not reach the caller's terminal.
func isPlain(name []byte) bool {
	if len(name) == 0 || len(name) > nearBytes {
		return false
	}
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
	}
	return true
}

// distance counts the letters to insert, drop, replace or swap with their
// neighbour to make b of a; both have at most nearBytes bytes.
func distance(a, b string) int {
	var rows [3][nearBytes + 1]int
	before, above, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := above[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
