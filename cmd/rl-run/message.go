package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
)

// fail prints an error and its hint, and returns the exit code that goes with it.
func fail(err error) int {
	var step *plan.StepError
	text := err.Error()
	if errors.As(err, &step) {
		if plan.HelperSpoke(step) {
			return failure
		}
		text = launch.Explain(step)
	}
	complain(text)
	if h := launch.Hint(err); h != "" {
		fmt.Fprintf(os.Stderr, "rl-run: hint: %s\n", oneLine(h))
	}
	if step != nil && step.Step.Kind() == plan.KindExec {
		if errors.Is(step.Err, unix.ENOENT) || errors.Is(step.Err, unix.ENOTDIR) {
			return 127
		}
		return 126
	}
	return failure
}

// complain prints the line of an error.
func complain(text string) { fmt.Fprintf(os.Stderr, "rl-run: error: %s\n", oneLine(text)) }

// longest is how many letters of a message are shown: a path may have 4096.
const longest = 1000

// oneLine keeps a hostile name from writing lines or escape sequences of its own,
// and from reordering those of rl-run (bidirectional controls do not print).
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) <= longest {
		return s
	}
	if r := []rune(s); len(r) > longest {
		return string(r[:longest/2]) + "…" + string(r[len(r)-longest/2:])
	}
	return s
}

func note(quiet bool) func(string) {
	return func(text string) {
		if !quiet {
			fmt.Fprintf(os.Stderr, "rl-run: note: %s\n", oneLine(text))
		}
	}
}

// say writes what was asked for to stdout, and returns the exit code.
func say(text string) int {
	if _, err := os.Stdout.WriteString(text); err != nil {
		return fail(err)
	}
	return 0
}
