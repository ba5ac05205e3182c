package forward

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A client is one that datagrams came from, with a socket in the container that speaks for it.
type client struct {
	key    clientKey
	from   unix.Sockaddr
	server *net.UDPConn
	used   atomic.Int64 // when, in nanoseconds of Unix time
}

// clients remembers as many as max, of all sockets together.
type clients struct {
	max int

	mu  sync.Mutex
	all map[clientKey]*client
}

func newClients(limit int) *clients {
	return &clients{max: limit, all: make(map[clientKey]*client)}
}

// send hands a datagram on for a client that is known and whose server still lives.
func (cs *clients) send(key clientKey, datagram []byte) bool {
	cs.mu.Lock()
	c := cs.all[key]
	cs.mu.Unlock()
	if c == nil {
		return false
	}
	c.used.Store(time.Now().UnixNano())
	_, err := c.server.Write(datagram)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, net.ErrClosed) {
		cs.forget(c)
		return false
	}
	return true // or lost, as datagrams may be
}

// add remembers a client; the one that was silent longest makes room. It is false, and
// the client's socket closed, when its own socket on the host is being closed.
func (cs *clients) add(c *client) bool {
	c.used.Store(time.Now().UnixNano())
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.all == nil {
		_ = c.server.Close()
		return false
	}
	if len(cs.all) >= cs.max {
		var oldest *client
		for _, other := range cs.all {
			if oldest == nil || other.used.Load() < oldest.used.Load() {
				oldest = other
			}
		}
		delete(cs.all, oldest.key)
		_ = oldest.server.Close()
	}
	cs.all[c.key] = c
	return true
}

func (cs *clients) forget(c *client) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.all[c.key] == c {
		delete(cs.all, c.key)
	}
	_ = c.server.Close()
}

// close forgets all, and whoever is added from now on.
func (cs *clients) close() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.all {
		_ = c.server.Close()
	}
	cs.all = nil
}

// reply carries the server's datagrams back until both have been silent for as long as
// idle, or the server is gone.
func (c *client) reply(to syscall.RawConn, all *clients, idle time.Duration) {
	defer all.forget(c)
	from, err := c.server.SyscallConn()
	if err != nil {
		return
	}
	var b *buffer
	var n int
	var failed error
	receive := func(fd uintptr) bool {
		b = takeBuffer()
		for {
			if n, failed = unix.Read(int(fd), b[:]); !errors.Is(failed, unix.EINTR) {
				break
			}
		}
		if failed != nil {
			putBuffer(b)
		}
		return !errors.Is(failed, unix.EAGAIN)
	}
	control := c.key.control[:c.key.length]
	send := func(fd uintptr) bool {
		for {
			_, err := unix.SendmsgN(int(fd), b[:n], control, c.from, unix.MSG_DONTWAIT)
			switch {
			case errors.Is(err, unix.EINVAL) && control != nil:
				control = nil // what the client wrote to can be no source: a broadcast address
			case !errors.Is(err, unix.EINTR):
				return !errors.Is(err, unix.EAGAIN)
			}
		}
	}
	for {
		_ = c.server.SetReadDeadline(time.Unix(0, c.used.Load()).Add(idle))
		err := from.Read(receive)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if time.Since(time.Unix(0, c.used.Load())) >= idle {
				return
			}
			continue
		}
		if err != nil || failed != nil {
			return
		}
		c.used.Store(time.Now().UnixNano())
		err = to.Write(send)
		putBuffer(b)
		if err != nil {
			return
		}
	}
}
