package explain

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// word is text of a shell script: what is written by the script's author, or
// what quote has made of a value. A value cannot become one by accident.
type word string

// bare are the bytes that mean themselves in the arguments of a command.
const bare = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,+@%="

// quote returns an argument that a POSIX shell reads as s, whatever bytes s has;
// only a NUL cannot be said (Shell Command Language, Single-Quotes). That s begins
// with a dash is for the command to see to that gets it.
func quote(s string) word {
	if s != "" && strings.Trim(s, bare) == "" {
		return word(s)
	}
	return word("'" + strings.ReplaceAll(s, "'", `'\''`) + "'")
}

// under returns the word for a path below the directory that a shell variable
// names.
func under(variable, path string) word {
	if strings.Trim(path, bare) == "" {
		return word(`"$` + variable + "/" + path + `"`)
	}
	return word(`"$`+variable+`/"`) + quote(path)
}

// assignment returns the word NAME=VALUE as an argument of env(1).
func assignment(name, value string) word {
	if !identifier(name) {
		return quote(name + "=" + value)
	}
	if value == "" {
		return word(name + "=")
	}
	return word(name+"=") + quote(value)
}

// identifier reports whether a shell can have a variable of that name.
func identifier(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" &&
		(name[0] < '0' || name[0] > '9')
}

// visible returns s on one line and without what a terminal obeys: control
// characters, and bytes that are no UTF-8, are shown as escapes. Names come from
// a hostile rootfs, too.
func visible(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, control) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !control(r):
			b.WriteString(s[i : i+n])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		default:
			fmt.Fprintf(&b, `\x%02x`, r)
		}
		i += n
	}
	return b.String()
}

// control reports whether a terminal acts upon r: C0, DEL and C1.
func control(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }
