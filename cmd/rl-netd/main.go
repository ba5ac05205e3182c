// The runtime would read cgroup files at the start, and again every second.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command rl-netd does what needs a process beside a container for its network. rl-run starts
// it; it is not meant to be called by hand.
package main

import (
	"fmt"
	"os"
)

const usage = `rl-netd keeps networks and forwards ports. rl-run and rl-net start it; nobody needs to.

  rl-netd forward ARG...
  rl-netd session ARG...

forward carries published ports into the net namespace that it runs in; session
holds the named networks of a user: a user and a net namespace, a bridge for each
network, names, and the way out.
`

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 125
	}
	var err error
	switch args[0] {
	case "-h", "--help":
		err = help(usage)
	case "forward":
		if len(args) == 2 && (args[1] == "-h" || args[1] == "--help") {
			err = help(forwardUsage)
			break
		}
		err = runForward(args[1:])
	case "session":
		if len(args) == 2 && (args[1] == "-h" || args[1] == "--help") {
			err = help(sessionUsage)
			break
		}
		err = runSession(args[1:])
	case insideVerb:
		err = runSessionInside(args[1:])
	default:
		err = fmt.Errorf("unknown verb %q (expected forward or session)", args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rl-netd: error:", err)
		return 125
	}
	return 0
}

func help(text string) error {
	_, err := os.Stdout.WriteString(text)
	return err
}
