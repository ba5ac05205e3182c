// The runtime would read cgroup files at the start, and again every second, to
// learn how many processors it may use: rl-run needs one.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command rl-run starts a container for a user without root. By its other names it is the commands that look after
// containers (rl-exec, rl-ps, rl-logs, rl-stop, …), rl-net, rl-doctor, rl-unshare, and the helpers that it starts itself:
// each has a file of its own here, and its options are in flags*.go and option.go.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
)

// failure is the exit code of rl-run's own errors.
const failure = 125

// grow has the stack grow once, while it is nearly empty: to let it grow step by step costs a twentieth of a start.
//
//go:noinline
func grow() byte {
	var room [24 << 10]byte
	return room[len(os.Args)&1]
}

func main() {
	grow()
	name := filepath.Base(os.Args[0])
	switch name {
	case plan.CopyVerb:
		os.Exit(copyTree(os.Args[1:]))
	case launch.RemoveVerb:
		os.Exit(removeTree(os.Args[1:]))
	case container.HeirVerb:
		os.Exit(inherit(os.Args[1:]))
	case "rl-unshare":
		os.Exit(unshare(os.Args[1:]))
	case "rl-exec":
		os.Exit(execute(os.Args[1:]))
	case "rl-ps":
		os.Exit(ps(os.Args[1:]))
	case "rl-logs":
		os.Exit(logs(os.Args[1:]))
	case "rl-stop":
		os.Exit(stop(os.Args[1:]))
	case "rl-kill":
		os.Exit(kill(os.Args[1:]))
	case "rl-wait":
		os.Exit(wait(os.Args[1:]))
	case "rl-inspect":
		os.Exit(inspect(os.Args[1:]))
	case "rl-rm":
		os.Exit(remove(os.Args[1:]))
	case "rl-doctor":
		os.Exit(doctor(os.Args[1:]))
	case "rl-net":
		os.Exit(network(os.Args[1:]))
	case "rl-run":
		os.Exit(run(os.Args[1:]))
	}
	fmt.Fprintf(os.Stderr, "rl-run: error: start as %q: no such command (expected rl-run, rl-exec, rl-ps, rl-logs, rl-stop, rl-kill, rl-wait, rl-inspect, rl-rm, rl-net, rl-doctor or rl-unshare)\n", name)
	os.Exit(failure)
}
