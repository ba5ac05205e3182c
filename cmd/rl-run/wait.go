package main

import (
	"strconv"

	"github.com/rl-run/rl-run/container"
)

const waitHelp = `rl-wait waits until containers have ended and prints their exit codes.

  rl-wait NAME...

Examples:
  rl-wait build            0, when the build was good
  code=$(rl-wait build)

One line for each container, in the order in which they were named.
`

// wait is rl-wait.
func wait(args []string) int {
	c := command{program: "rl-wait", verb: "wait for", help: waitHelp, usage: "rl-wait NAME...", least: 1}
	names, code, done := c.read(args)
	if done {
		return code
	}
	return c.each(containers(), names, func(e *container.Entry) error {
		exit, err := e.Wait()
		if err == nil {
			say(strconv.Itoa(exit.Code) + "\n")
		}
		return err
	})
}
