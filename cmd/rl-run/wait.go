package main

import "strconv"

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
	s := containers()
	type end struct {
		code int
		err  error
	}
	// At the same time: those of the foreground vanish when they end.
	ends := make([]chan end, len(names))
	for i, name := range names {
		ends[i] = make(chan end, 1)
		e, err := s.Find(name)
		if err != nil {
			ends[i] <- end{err: err}
			continue
		}
		go func() {
			defer e.Close()
			exit, err := e.Wait()
			ends[i] <- end{exit.Code, damaged(e, err)}
		}()
	}
	for i, name := range names {
		end := <-ends[i]
		if end.err != nil {
			code = fail(c.about(s, name, end.err))
			continue
		}
		say(strconv.Itoa(end.code) + "\n")
	}
	return code
}
