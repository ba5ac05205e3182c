// Package explain prints a plan before anything is run: as text, as JSON, and
// as a shell script that builds the same container by hand.
package explain

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
)

// Text writes a line for each step: its number, its actor, what it does and why.
// Long words are cut, which JSON does not do. secrets shows the values of the
// command's variables, not only their names.
func Text(to io.Writer, s *launch.Start, secrets bool) error {
	w := bufio.NewWriter(to)
	for i, e := range s.Plan.Entries {
		line(w, i+1, e.Actor, Words(e.Step, secrets), e.Why)
	}
	for i, step := range s.Plan.Cleanup {
		line(w, len(s.Plan.Entries)+i+1, plan.Parent, Words(step, secrets), "after the end")
	}
	return w.Flush()
}

func line(w io.Writer, n int, a plan.Actor, what, why string) {
	if why != "" {
		why = "   # " + visible(why)
	}
	fmt.Fprintf(w, "%3d %-7s %s%s\n", n, a, what, why)
}

// Words are a step's own words on one line, and for an exec the names of its
// variables, or with secrets their values too. They show what a shell would have
// to be given, and no control character.
func Words(s plan.Step, secrets bool) string {
	e, ok := s.(plan.Exec)
	if !ok {
		return cut(visible(s.String()))
	}
	text := "exec"
	for _, a := range e.Argv {
		text += " " + string(quote(a))
	}
	text = cut(visible(text)) + " with"
	for _, kv := range e.Env {
		text += " " + visible(variable(kv, secrets))
	}
	return text
}

// longest is how many bytes of a step's words a line has.
const longest = 240

// cut shortens words that are a script rather than a line of text.
func cut(s string) string {
	if len(s) <= longest {
		return s
	}
	at := longest
	for !utf8.RuneStart(s[at]) {
		at--
	}
	return fmt.Sprintf("%s… (%d bytes more)", s[:at], len(s)-at)
}

// variable is a K=V, or K alone where values are to stay secret.
func variable(kv string, secrets bool) string {
	k, v, ok := strings.Cut(kv, "=")
	if !secrets || !ok {
		return k
	}
	return k + "=" + string(quote(v))
}
