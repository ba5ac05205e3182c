package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/launch"
)

const doctorHelp = `rl-doctor says what containers can have on this machine, and for what they cannot
have the line that mends it.

  rl-doctor [--json]

Examples:
  rl-doctor
  rl-doctor --json | jq -r '.[] | select(.mend) | .mend'
                           the lines that mend, alone

Options:
  --json               a list of objects with part, health, text and mend

Exit codes: 0 all is usable; 1 containers start but lack something; 2 none starts.
`

var doctorCommand = command{
	program: "rl-doctor", verb: "look at this machine", help: doctorHelp, usage: "rl-doctor [--json]",
	options: []option{{"json", "", "true", func(*words) pflag.Value { return (*truth)(&doctorJSON) }}},
}

var doctorJSON bool

// doctorCodes are the exit codes.
var doctorCodes = map[launch.Health]int{launch.Usable: 0, launch.Degraded: 1, launch.Unusable: 2}

func doctor(args []string) int {
	if _, code, done := doctorCommand.read(args); done {
		return code
	}
	// With fewer Go's runtime would end the program where it wants to poll.
	const fewest = 16
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil && files.Cur < fewest {
		return fail(fmt.Errorf("look at this machine: %w", unix.EMFILE))
	}
	fd, _, runtimeErr := callersRuntime().Sub("c", true)
	if runtimeErr == nil {
		_ = unix.Close(fd)
		callersRuntime().Tidy("c")
	}
	m, err := launch.ProbeMachine(runtimeErr, os.Getenv)
	if err != nil {
		return fail(err)
	}
	list := launch.Diagnose(&m)
	code := doctorCodes[launch.Worst(list)]
	if doctorJSON {
		if c := sayJSON(list); c != 0 {
			return c
		}
		return code
	}
	var b strings.Builder
	for _, f := range list {
		fmt.Fprintf(&b, "%-9s %-22s %s\n", f.Health, f.Part, oneLine(f.Text))
		if f.Mend != "" {
			fmt.Fprintf(&b, "%9s -> %s\n", "", oneLine(f.Mend))
		}
	}
	if c := say(b.String()); c != 0 {
		return c
	}
	return code
}
