package passwd

import (
	"bytes"
	"fmt"

	"github.com/rl-run/rl-run/internal/nearest"
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
	e.Near = nearest.Word(name, min((len(name)+1)/3, 2), func(yield func(string) bool) {
		lines := 0
		for line := range bytes.SplitSeq(file, newline) {
			if lines++; lines > nearNames {
				return
			}
			if other, ok := split(line); ok && isPlain(other) && !yield(string(other)) {
				return
			}
		}
	})
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
