package main

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/pflag"

	"github.com/rl-run/rl-run/internal/nearest"
	"github.com/rl-run/rl-run/launch"
)

// flagError words an error of pflag as the other messages are.
func flagError(program string, known iter.Seq[*option], err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
		syntax  *pflag.InvalidSyntaxError
	)
	all := program + " --help lists all flags"
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(program, known, unknown, all)
	case errors.As(err, &missing) && missing.GetSpecifiedName() == "h":
		return &launch.Hinted{Err: errors.New("parse -h: it needs a value (it is --hostname, as in docker)"), Hint: all}
	case errors.As(err, &missing):
		name := "--" + missing.GetSpecifiedName()
		if missing.GetSpecifiedShortnames() != "" {
			name = name[1:]
		}
		return &launch.Hinted{Err: fmt.Errorf("parse %s: it needs a value", name), Hint: all}
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s %q: %w", invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap())
	case errors.As(err, &syntax):
		return &launch.Hinted{Err: fmt.Errorf("parse %q: no flag has such a name", syntax.GetSpecifiedFlag()), Hint: all}
	}
	return err
}

// unknownFlag says what there is in the place of others' options, or what one was likely meant for; else that all points
// to all that there are.
func unknownFlag(program string, known iter.Seq[*option], e *pflag.NotExistError, all string) error {
	name, cluster := e.GetSpecifiedName(), e.GetSpecifiedShortnames()
	there := func(name string) string {
		if program != "rl-run" {
			return ""
		}
		return foreignHint(name)
	}
	if cluster == "" {
		if h := there(name); h != "" {
			return &launch.Hinted{Err: fmt.Errorf("unknown flag %s", shown("--"+name)), Hint: h}
		}
		if near := nearestFlag(known, name); near != "" {
			return fmt.Errorf("unknown flag %s (did you mean --%s?)", shown("--"+name), near)
		}
		return &launch.Hinted{Err: fmt.Errorf("unknown flag %s", shown("--"+name)), Hint: all}
	}
	long, _, _ := strings.Cut(cluster, "=")
	for o := range known {
		if o.name == long && len(long) > 1 {
			return fmt.Errorf("unknown flag %s (did you mean --%s?)", shown("-"+cluster), long)
		}
	}
	if h := there(cluster[:1]); h != "" {
		all = h
	}
	if len(cluster) == 1 {
		return &launch.Hinted{Err: fmt.Errorf("unknown flag %s", shown("-"+cluster)), Hint: all}
	}
	return &launch.Hinted{Err: fmt.Errorf("unknown flag %s in %s", shown("-"+cluster[:1]), shown("-"+cluster)), Hint: all}
}

// shown quotes a flag that would not show as it is, or be seen to end.
func shown(flag string) string {
	if strings.Trim(strings.ToLower(flag), "abcdefghijklmnopqrstuvwxyz0123456789-_=./:") == "" {
		return flag
	}
	return fmt.Sprintf("%q", flag)
}

// nearestFlag is the flag that a mistyped name was likely meant for; empty where none is near.
func nearestFlag(known iter.Seq[*option], name string) string {
	return nearest.Word(name, typos, func(yield func(string) bool) {
		if !yield("help") { // pflag's own
			return
		}
		for o := range known {
			if !yield(o.name) {
				return
			}
		}
	})
}

// typos is how many letters of a word may be mistyped for it to be known again.
const typos = 2
