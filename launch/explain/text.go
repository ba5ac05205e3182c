// Package explain prints a plan before anything is run: as text, as JSON, and
// as a shell script that builds the same container by hand.
package explain

import (
	"bufio"
	"fmt"
	"io"

	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
)

// Text writes a line for each step: its number, its actor, what it does and why.
func Text(to io.Writer, s *launch.Start, secrets bool) error {
	w := bufio.NewWriter(to)
	for i, e := range s.Plan.Entries {
		line(w, i+1, e.Actor, Words(e.Step, secrets), e.Why)
	}
	for i, step := range s.Plan.Cleanup {
		line(w, len(s.Plan.Entries)+i+1, plan.Parent, step.String(), "after the end")
	}
	return w.Flush()
}

func line(w io.Writer, n int, a plan.Actor, what, why string) {
	if why != "" {
		why = "   # " + why
	}
	fmt.Fprintf(w, "%3d %-7s %s%s\n", n, a, what, why)
}

// Words are a step's own words, with the environment of an exec: its names
// alone, unless secrets are asked for.
func Words(s plan.Step, secrets bool) string {
	e, ok := s.(plan.Exec)
	if !ok {
		return s.String()
	}
	text := s.String() + " with"
	for _, kv := range e.Env {
		text += " " + variable(kv, secrets)
	}
	return text
}
