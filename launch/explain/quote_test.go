package explain

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// unquote reads a shell's tokens as POSIX tells (Shell Command Language, Token
// Recognition), as far as scripts made here need it: single quotes, a backslash
// outside of quotes, and double quotes, whose text is left as it is. Operators are
// tokens; a comment is one, with its mark.
func unquote(text string) (tokens []string, err error) {
	var word []byte
	begun := false
	end := func() {
		if begun {
			tokens = append(tokens, string(word))
		}
		word, begun = word[:0], false
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'':
			n := strings.IndexByte(text[i+1:], '\'')
			if n < 0 {
				return nil, errors.New("a quote is not closed")
			}
			word, begun = append(word, text[i+1:i+1+n]...), true
			i += n + 1
		case c == '"':
			n := strings.IndexByte(text[i+1:], '"')
			if n < 0 {
				return nil, errors.New("a double quote is not closed")
			}
			word, begun = append(word, text[i:i+n+2]...), true
			i += n + 1
		case c == '\\' && i+1 < len(text) && text[i+1] == '\n':
			i++
		case c == '\\' && i+1 < len(text):
			i++
			word, begun = append(word, text[i]), true
		case c == '#' && !begun:
			n := strings.IndexByte(text[i:], '\n')
			if n < 0 {
				n = len(text) - i
			}
			tokens = append(tokens, text[i:i+n])
			i += n - 1
		case c == ' ' || c == '\t':
			end()
		case strings.IndexByte("\n;&|<>()", c) >= 0:
			end()
			tokens = append(tokens, string(c))
		default:
			word, begun = append(word, c), true
		}
	}
	end()
	return tokens, nil
}

// readBack has a real shell read words.
func readBack(t *testing.T, words ...word) []string {
	t.Helper()
	line := "printf '%s\\0'"
	for _, w := range words {
		line += " " + string(w)
	}
	out, err := exec.Command("/bin/sh", "-c", line).Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

var odd = []string{
	"", "-", "-n", "--", "'", "''", `"`, `\`, `\\`, "$HOME", "$(id)", "`id`", "a b", "*", "?", "[a]", "{a,b}", "~", "~root",
	"\n", "a\nb\n", "\r", "\t", "\x01\x7f", "\x80\x81\x82\x88\xff", "ä€", "#", "a#b", "#!/bin/sh", "!", "!!", "a=b", "=", ";", "&", "|",
	"<", ">", "(", ")", "if", "%s", "%", `a'b"c\d$e`, "'\n'", "\\\n", "x\x00y"[:1],
}

func TestQuoteIsReadBack(t *testing.T) {
	words := make([]word, len(odd))
	for i, s := range odd {
		words[i] = quote(s)
	}
	for i, got := range readBack(t, words...) {
		if got != odd[i] {
			t.Errorf("%q is quoted as %s and read as %q", odd[i], words[i], got)
		}
	}
}

func TestQuoteLeavesPlainWords(t *testing.T) {
	for _, s := range []string{"a", "/usr/bin/x-1.2_3", "mode=0755,size=64k", "0:1000:1", "user@host", "-n"} {
		if got := quote(s); string(got) != s {
			t.Errorf("%q is quoted as %s", s, got)
		}
	}
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä":          "plain ä",
		"a\nb\tc":          `a\nb\tc`,
		"\x1b[31m\x7f\x00": `\x1b[31m\x7f\x00`,
		"\x9b\xff":         `\x9b\xff`,
		"\u009b31m":        `\x9b31m`,
	} {
		if got := visible(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, s := range odd {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "\x00") {
			return
		}
		w := quote(s)
		got, err := unquote(string(w))
		if err != nil || len(got) != 1 || got[0] != s {
			t.Fatalf("%q is quoted as %s, which is %q, %v", s, w, got, err)
		}
		// no word of the script is read otherwise because of its neighbours
		between := []word{"a", w, under("HOME", s), assignment("NAME", s), "z"}
		out := readBack(t, between...)
		if len(out) != 5 || out[0] != "a" || out[1] != s || !strings.HasSuffix(out[2], "/"+s) || out[3] != "NAME="+s || out[4] != "z" {
			t.Fatalf("%q is quoted as %s and read as %q", s, between, out)
		}
	})
}

// FuzzComment: what a plan says in a comment stays in it.
func FuzzComment(f *testing.F) {
	for _, s := range odd {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w := &script{}
		w.open(inside)
		w.remark("step 1 init: enter %s", s)
		text := w.at.body.String()
		if strings.Count(text, "\n") != 1 || bytes.ContainsAny([]byte(text[1:len(text)-1]), "\x00\x1b\r\t") {
			t.Errorf("%q", text)
		}
	})
}
