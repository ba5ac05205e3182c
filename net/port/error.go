package port

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// BindError is a port of the host that could not be had.
type BindError struct {
	// Publish is the one port, Count 1; HostPort is 0 where no free one was found.
	Publish Publish
	// Owner is who has the port, as "nginx (process 12)" or "a container of yours"; "" where it is not known.
	Owner string
	// Ending says that the owner may have given the port up in a moment.
	Ending bool
	// LowPorts is the first port that users may bind, net.ipv4.ip_unprivileged_port_start,
	// where the port lies below; else 0.
	LowPorts int
	// Err is the *os.SyscallError.
	Err error
}

func newBindError(p Publish, err error) *BindError {
	e := &BindError{Publish: p, Err: err}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		e.Owner, e.Ending = findOwner(p)
	case errors.Is(err, unix.EACCES):
		text, _ := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
		if first, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && int(p.HostPort) < first {
			e.LowPorts = first
		}
	}
	return e
}

func (e *BindError) Error() string {
	host := e.Publish.Host
	if !host.IsValid() {
		host = netip.IPv4Unspecified()
	}
	object := "bind " + netip.AddrPortFrom(host, e.Publish.HostPort).String() + "/" + e.Publish.Proto.String() + ": "
	var errno unix.Errno
	if !errors.As(e.Err, &errno) {
		return object + e.Err.Error()
	}
	switch {
	case e.Owner != "":
		return object + "in use by " + e.Owner
	case e.LowPorts != 0:
		return fmt.Sprintf("%sports below %d are the administrator's", object, e.LowPorts)
	case errno == unix.EADDRNOTAVAIL:
		return object + "not an address of this host"
	case errno == unix.ENODEV:
		return object + "no such interface: " + host.Zone()
	}
	return object + errno.Error()
}

func (e *BindError) Unwrap() error { return e.Err }

// Hint is one line with the remedies, or "".
func (e *BindError) Hint() string {
	p := e.Publish
	higher := func() string {
		p.HostPort += 8000
		return strings.TrimSuffix(p.String(), "/tcp")
	}
	switch {
	case e.LowPorts != 0:
		return fmt.Sprintf("-p %s takes a port that is free to all; sudo sysctl net.ipv4.ip_unprivileged_port_start=%d opens the low ones to all users; "+
			"a systemd socket of the system passes one in with --listen-fd", higher(), e.Publish.HostPort)
	case errors.Is(e.Err, unix.EADDRINUSE) && p.HostPort != 0:
		p.HostPort = 0
		return fmt.Sprintf("-p %s takes a free port, which rl-inspect shows", strings.TrimSuffix(p.String(), "/tcp"))
	case errors.Is(e.Err, unix.EADDRNOTAVAIL):
		return "ip addr lists the host's addresses; without one the port is open on all of them"
	case errors.Is(e.Err, unix.EMFILE):
		return "each port takes an open file: ulimit -n raises the limit"
	}
	return ""
}
