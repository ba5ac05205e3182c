package explain

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
)

type entry struct {
	Index int       `json:"index"` // the number that errors and -V use, from 1
	Actor string    `json:"actor"`
	Kind  plan.Kind `json:"kind"`
	Text  string    `json:"text"`
	Why   string    `json:"why,omitempty"`
	Step  plan.Step `json:"step"`
}

// JSON writes the plan as one object: its steps, its cleanup and its notes.
func JSON(to io.Writer, s *launch.Start, secrets bool) error {
	var out struct {
		Plan    []entry  `json:"plan"`
		Cleanup []entry  `json:"cleanup"`
		Notes   []string `json:"notes"`
	}
	out.Notes = append([]string{}, s.Notes...)
	out.Cleanup = []entry{}
	for i, e := range s.Plan.Entries {
		step := e.Step
		if x, ok := step.(plan.Exec); ok {
			env := make([]string, len(x.Env))
			for i, kv := range x.Env {
				env[i] = variable(kv, secrets)
			}
			x.Env = env
			step = x
		}
		out.Plan = append(out.Plan, entry{i + 1, e.Actor.String(), e.Step.Kind(), e.Step.String(), e.Why, step})
	}
	for i, step := range s.Plan.Cleanup {
		out.Cleanup = append(out.Cleanup, entry{len(s.Plan.Entries) + i + 1, plan.Parent.String(), step.Kind(), step.String(), "after the end", step})
	}
	enc := json.NewEncoder(to)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

// variable is a K=V, or K alone where values are to stay secret.
func variable(kv string, secrets bool) string {
	if secrets {
		return kv
	}
	k, _, _ := strings.Cut(kv, "=")
	return k
}
