package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/rl-run/rl-run/container"
)

const logsHelp = `rl-logs prints what a container that was started with -d has written.

  rl-logs [-f] [--tail N] NAME

Examples:
  rl-logs --tail 20 db
  rl-logs -f db            until it ends

Options:
  -f, --follow         go on with what it writes from now on
  --tail N             no more than the last N lines of what there is (all)

Standard output and error are one stream. Of long logs the last part is kept.
`

// logs is rl-logs.
func logs(args []string) int {
	var follow bool
	lines := tailLines(-1)
	c := command{
		program: "rl-logs", verb: "read the log of", help: logsHelp, usage: "rl-logs [-f] [--tail N] NAME", least: 1, most: 1,
		options: []option{
			{"follow", "f", "true", func(*words) pflag.Value { return (*truth)(&follow) }},
			{"tail", "", "", func(*words) pflag.Value { return &lines }},
		},
	}
	names, code, done := c.read(args)
	if done {
		return code
	}
	return c.each(containers(), names, func(e *container.Entry) error {
		log, err := e.Log()
		if err != nil {
			return err
		}
		log.Lost = func() {
			note(false)("read the log of " + e.Name + ": it was written faster than it was read, and a part of it is left out")
		}
		err = log.Write(os.Stdout, int(lines), follow)
		if n := e.Exit.Dropped; n > 0 {
			note(false)(fmt.Sprintf("read the log of %s: %d bytes are not in it, because the disk was full", e.Name, n))
		}
		return err
	})
}

// tailLines is the value of --tail.
type tailLines int

// Set implements pflag.Value.
func (n *tailLines) Set(value string) error {
	if value == "all" {
		*n = -1
		return nil
	}
	v, err := strconv.Atoi(value)
	if err != nil || v < -1 {
		return errors.New("expected a number of lines, or all")
	}
	*n = tailLines(v)
	return nil
}

func (n *tailLines) String() string { return strconv.Itoa(int(*n)) }

// Type implements pflag.Value.
func (*tailLines) Type() string { return "int" }
