package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/port/forward"
)

const forwardUsage = `usage: rl-netd forward FD=tcp|udp:PORT...

Forwards what arrives at inherited sockets, listening ones for tcp and bound ones for udp,
to the ports of the net namespace that it runs in. rl-run starts it for -p.
`

// runForward is the port forwarder of one container. It is started inside the container's user
// and net namespaces and ends with the pid namespace that its guard made for it.
func runForward(args []string) error {
	sockets, err := parseSockets(args)
	if err != nil {
		return err
	}
	if err := checkSockets(sockets); err != nil {
		return err
	}
	// Relays spend their time in the kernel; more threads would only take memory.
	if runtime.GOMAXPROCS(0) > maxThreads {
		runtime.GOMAXPROCS(maxThreads)
	}
	// Here: uid 0 and all capabilities in the container's user namespace, none outside.
	// Where servers cannot be shown the client's address they see the container's own.
	transparent, _ := forward.SetUpTransparent()
	capable, err := confine(transparent != forward.Transparent{})
	if err != nil {
		return err
	}
	if !capable {
		transparent = forward.Transparent{}
	}
	// Here: no file can be opened and no program executed; of capabilities at most the one
	// that foreign addresses need, in the container's user namespace.
	return forward.Serve(context.Background(), sockets, forward.Options{Transparent: transparent})
}

const maxThreads = 4

// parseSockets reads FD=PROTO:PORT.
func parseSockets(args []string) ([]forward.Socket, error) {
	if len(args) == 0 {
		return nil, errors.New("forward: no sockets (expected FD=tcp|udp:PORT...)")
	}
	sockets := make([]forward.Socket, 0, len(args))
	seen := make(map[int]bool, len(args))
	for _, arg := range args {
		fd, rest, ok := strings.Cut(arg, "=")
		proto, port, ok2 := strings.Cut(rest, ":")
		n, err := strconv.ParseUint(fd, 10, 31)
		p, err2 := strconv.ParseUint(port, 10, 16)
		if !ok || !ok2 || err != nil || err2 != nil || n < 3 || p == 0 || proto != "tcp" && proto != "udp" {
			return nil, fmt.Errorf("forward: malformed %q (expected FD=tcp|udp:PORT)", arg)
		}
		if seen[int(n)] {
			return nil, fmt.Errorf("forward: descriptor %d twice (expected each once)", n)
		}
		seen[int(n)] = true
		sockets = append(sockets, forward.Socket{FD: int(n), UDP: proto == "udp", Port: uint16(p)})
	}
	return sockets, nil
}

// checkSockets looks whether the descriptors are sockets of the kind they are said to be.
func checkSockets(sockets []forward.Socket) error {
	for _, s := range sockets {
		kind, err := unix.GetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_TYPE)
		want := unix.SOCK_STREAM
		if s.UDP {
			want = unix.SOCK_DGRAM
		}
		if err == nil && kind != want {
			err = unix.EPROTOTYPE
		}
		if err != nil {
			return &os.PathError{Op: "forward", Path: "fd " + strconv.Itoa(s.FD), Err: err}
		}
	}
	return nil
}
