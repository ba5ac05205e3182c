package mountspec

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Error says what is wrong with the value of an option.
type Error struct {
	Flag   string // "-v", "--mount", "--tmpfs" or "--device"
	Value  string // as it was given
	Reason string
}

func (e *Error) Error() string {
	return e.Flag + " " + printable(e.Value) + ": " + e.Reason
}

func reject(flag, value, format string, args ...any) *Error {
	return &Error{Flag: flag, Value: value, Reason: fmt.Sprintf(format, args...)}
}

// printable quotes a value that would not show as it is, or be seen to end.
func printable(value string) string {
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(value)
	}
	return value
}
