package session

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Verb is what rl-net asks rl-netd for.
type Verb string

const (
	// Create makes a network: Name, Internal, and Subnet or one that is free.
	Create Verb = "create"
	// Remove removes the network Name, where no container is on it.
	Remove Verb = "remove"
	// Keep lets the session stay without a network.
	Keep Verb = "keep"
	// Stop ends the session, where no container lives in it. Networks stay
	// written down.
	Stop Verb = "stop"
)

// Request is one question on the control socket, Reply its answer: JSON, one of
// each on a connection.
type Request struct {
	Verb     Verb         `json:"verb"`
	Name     string       `json:"name,omitempty"`
	Internal bool         `json:"internal,omitempty"`
	Subnet   netip.Prefix `json:"subnet,omitzero"`
}

// Reply says what went wrong, in one line, or nothing.
type Reply struct {
	Error   string   `json:"error,omitempty"`
	InUse   bool     `json:"inUse,omitempty"` // it is about containers that are in the way
	Network *Network `json:"network,omitempty"`
}

// InUseError is a network that cannot be removed, for containers are on it. It says which.
type InUseError string

func (e InUseError) Error() string { return string(e) }

// ErrEnded is the error of Ask where the session has ended before it answered. Another one may answer.
var ErrEnded = errors.New("the session ended before it answered")

// Ends is what a session that is just ending answers, whatever it is asked for.
const Ends = "the session ends"

// MaxRequest bounds a message on the control socket, in bytes.
const MaxRequest = 4096

// patience is how long rl-netd may take for an answer.
const patience = 20 * time.Second

// Ask puts a request to the session and waits for the answer. The error is what
// the session says, an InUseError where it is that, an *os.PathError or *net.OpError where it cannot be asked,
// ErrEnded, and ErrNone where nobody is there.
func Ask(d Dir, r Request) (Reply, error) {
	path, done, err := d.short()
	if err != nil {
		return Reply{}, err
	}
	defer done()
	c, err := net.DialTimeout("unix", path, patience)
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
		return Reply{}, ErrNone
	case err != nil:
		return Reply{}, err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return Reply{}, err
	}
	if err := json.NewEncoder(c).Encode(r); err != nil {
		return Reply{}, ended(err)
	}
	var reply Reply
	if err := json.NewDecoder(io.LimitReader(c, MaxRequest)).Decode(&reply); err != nil {
		return Reply{}, ended(err)
	}
	if reply.Error == Ends {
		return Reply{}, ErrEnded
	}
	if reply.InUse {
		return reply, InUseError(reply.Error)
	}
	if reply.Error != "" {
		return reply, errors.New(reply.Error)
	}
	return reply, nil
}

// ended is ErrEnded in place of what a connection fails with when its other end is gone.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
		return ErrEnded
	}
	return err
}

// Listen makes the control socket, in place of one that an earlier session left.
func Listen(d Dir) (net.Listener, error) {
	if err := os.Remove(d.Control()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	path, done, err := d.short()
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return l, nil
}

// short is the control socket's path through a descriptor of its directory: the
// address of a socket has room for 107 bytes (unix(7)).
func (d Dir) short() (path string, done func(), err error) {
	fd, err := unix.Open(string(d), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return "", nil, ErrNone
	case err != nil:
		return "", nil, &os.PathError{Op: "open", Path: string(d), Err: err}
	}
	return "/proc/self/fd/" + strconv.Itoa(fd) + "/control", func() { _ = unix.Close(fd) }, nil
}
