// Package showjson writes JSON that people look at in a terminal. What encoding/json leaves as it is, a terminal may
// take for a command (C1 controls such as U+009B), or it turns the rest of the line around (bidirectional controls).
package showjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Encode writes v, indented by two blanks, with a newline behind it. All that does not print is escaped: who reads it
// back gets the same v.
func Encode(w io.Writer, v any) error {
	var b bytes.Buffer
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(false)
	to.SetIndent("", "  ")
	if err := to.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escape(b.Bytes()))
	return err
}

// escape needs not know where strings begin and end: outside of them JSON is ASCII, and of ASCII encoding/json
// escapes all controls but DEL.
func escape(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == '\n' || strconv.IsPrint(r):
			out = append(out, text[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[size:]
	}
	return out
}
