package main

import (
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/net/usermode"
)

// chooseDriver takes the driver that a single container would have. Names are the
// session's own business.
func chooseDriver(link netip.Prefix) (usermode.Driver, error) {
	d, notes, err := usermode.Choose(usermode.Probe(os.Getenv("PATH"), usermode.Auto), usermode.Request{
		Interface: upLink, MTU: session.MTU, Subnet: link, NoDNS: true,
	})
	switch {
	case err != nil:
		return d, err
	case d.Kind == usermode.None:
		return d, fmt.Errorf("%s", notes[0])
	}
	for _, n := range notes {
		say("%s", n)
	}
	return d, nil
}

// waitedPid is si_pid, the first field behind si_signo, si_errno and si_code, at
// the alignment of a pointer.
func waitedPid(info *unix.Siginfo) int {
	const offset = (3*4 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
