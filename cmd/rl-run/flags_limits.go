package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rl-run/rl-run/cgroup/ulimit"
	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/launch"
)

// limit is the value of an option that sets a limit of a control group.
type limit struct {
	option string
	words  *words
}

// Set implements pflag.Value.
func (l *limit) Set(value string) error {
	l.words.limited = append(l.words.limited, [2]string{l.option, value})
	return nil
}

func (l *limit) String() string { return "" }

// Type implements pflag.Value.
func (*limit) Type() string { return "limit" }

func (f *flags) limits(w *words) error {
	s := &f.spec
	if err := oneOf("limits", w.limits, "require", "best-effort"); err != nil {
		return err
	}
	s.BestEffort = w.limits == "best-effort"
	for _, l := range w.limited {
		if err := s.Limits.Set(l[0], l[1]); err != nil {
			return err
		}
	}
	for _, u := range w.ulimits {
		l, err := ulimit.Parse(u)
		if err != nil {
			return fmt.Errorf("--ulimit %w", err)
		}
		// Of two for the same resource the last one counts: a second one could not raise
		// what the first has lowered.
		s.Ulimits = slices.DeleteFunc(s.Ulimits, func(o ulimit.Limit) bool { return o.Resource == l.Resource })
		s.Ulimits = append(s.Ulimits, l)
	}
	return s.Limits.Check()
}

// limitsOf are the limits as rl-inspect shows them.
func limitsOf(s *launch.Spec, c *launch.Container) container.Limits {
	l := container.Limits{Asked: s.Limits.Asked(), Applied: c.Group.Limits(), Cgroup: c.Group.Path()}
	if len(s.Ulimits) == 0 {
		return l
	}
	var all []string
	for _, u := range s.Ulimits {
		all = append(all, u.String())
	}
	l.Asked["ulimit"] = strings.Join(all, " ")
	l.Applied["ulimit"] = l.Asked["ulimit"] // or the command would not run
	return l
}
