// The runtime would open cgroup files to learn how many processors it may use.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command rl-veth makes one veth pair between the host's net namespace, in which it
// runs, and the one of a container, which is descriptor 3. It is the only program of
// rl-run with a privilege: the file capability CAP_NET_ADMIN. Its caller is not trusted.
//
// What it does is all in this order: it looks at its arguments, at descriptor 3, at the
// policy /etc/rl-run/usernet; it makes the pair, down; it gives the host's end its address
// and its filter; it looks whether another call came first; it sets the host's end up. It
// executes nothing, opens no path but that of the policy and of the two files that tell
// its names, passwd and group, enters no namespace, and removes no link but the one that
// it has just made.
//
// Whatever ends it in between leaves a link that is down, belongs to the caller's count
// and goes away with the container's namespace.
package main

import (
	"errors"
	"math"
	"os"
	"os/signal"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/usernet"
)

const help = `rl-veth makes one veth pair into the host's network. rl-run --net=veth starts it.

  rl-veth [bridge=NAME] [host=ADDRESS/LENGTH] [ip=ADDRESS/LENGTH] [name=NAME]
          [mtu=N] 3< NETNS

Descriptor 3 is a net namespace of a user namespace of the caller. The policy
/etc/rl-run/usernet says who may have which links. Prints one line: "ok" and what
was made, or "refused" and one word.

It needs the file capability cap_net_admin: "sudo make install-veth" sets it.
`

// target is the descriptor of the container's net namespace.
const target = 3

func main() {
	// Nothing of the caller's is used but arguments, user and group ids, and descriptors 1
	// and 3. (The environment has reached the Go runtime, which takes the GODEBUG and GOGC
	// of its caller; none of these makes it open, write or execute a file.)
	os.Clearenv() //nolint:forbidigo // it is this process alone that needs none
	if err := unix.CloseRange(target+1, math.MaxUint32, 0); err != nil {
		os.Exit(exitCode(usernet.System))
	}
	// A reader that is gone is an error of write, not the end half-way.
	signal.Ignore(unix.SIGPIPE)

	if len(os.Args) == 2 && (os.Args[1] == "--help" || os.Args[1] == "-h") {
		if _, err := os.Stdout.WriteString(help); err != nil {
			os.Exit(exitCode(usernet.System))
		}
		return
	}
	err := run(os.Args[1:], os.Stdout)
	if err == nil {
		return
	}
	refusal, ok := errors.AsType[*usernet.Refusal](err)
	if !ok {
		// The kernel's own words would tell of what is there.
		refusal = &usernet.Refusal{Word: usernet.System}
	}
	_, _ = os.Stdout.WriteString(usernet.FormatRefusal(refusal))
	os.Exit(exitCode(refusal.Word))
}

// exitCode is 2 for the first word, 3 for the next, …
func exitCode(w usernet.Word) int { return 2 + slices.Index(usernet.Words(), w) }

func refuse(w usernet.Word) error { return &usernet.Refusal{Word: w} }
