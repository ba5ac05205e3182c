package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/session"
)

// serve opens the control socket, and writes down that the session is there.
func (s *host) serve() error {
	l, err := session.Listen(s.dir)
	if err != nil {
		return err
	}
	s.control = l
	if err := s.watchLinks(); err != nil {
		return err
	}
	s.startUpstream()
	if err := s.write(); err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			go s.answer(c)
		}
	}()
	return nil
}

// endingTime is for how long a session that is to stop looks again whether what it has is ending.
const endingTime = 500 * time.Millisecond

// answer serves one connection. The socket lies where containers cannot see it; the
// peer's uid is looked at for the case that the directory was opened to others.
func (s *host) answer(c net.Conn) {
	defer func() { _ = c.Close() }()
	if c.SetDeadline(time.Now().Add(10*time.Second)) != nil || !isCaller(c) {
		return
	}
	var r session.Request
	if json.NewDecoder(io.LimitReader(c, session.MaxRequest)).Decode(&r) != nil {
		return
	}
	reply := session.Reply{Error: session.Ends}
	end := false
	try := func() {
		if s.ending {
			return // what is done now would be gone in a moment
		}
		network, err := s.do(r)
		reply = session.Reply{Network: network}
		if err != nil {
			reply.Error = err.Error()
			_, reply.InUse = errors.AsType[session.InUseError](err)
		}
		// A session that was started for a network that cannot be is of no use either.
		end = err == nil && r.Verb == session.Stop ||
			(r.Verb == session.Remove && err == nil || r.Verb == session.Create && err != nil) && s.purposeless()
		if s.ending = end; end {
			// Whoever reads the answer finds no session any more.
			s.dir.RemoveState()
		}
	}
	s.on(try)
	// The helpers of a container end some milliseconds behind it, and its link goes when the kernel gets round to it.
	for until := time.Now().Add(endingTime); r.Verb == session.Stop && !end && time.Now().Before(until); {
		time.Sleep(endingTime / 20)
		s.on(try)
	}
	_ = json.NewEncoder(c).Encode(reply)
	if end {
		s.stop()
	}
}

// isCaller: uid 0 of the session's user namespace is the one who started it.
func isCaller(c net.Conn) bool {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return false
	}
	var cred *unix.Ucred
	if raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil {
		return false
	}
	return err == nil && int(cred.Uid) == os.Getuid()
}

func (s *host) stop() {
	s.on(func() {
		select {
		case <-s.ended:
		default:
			close(s.ended)
		}
	})
}

// do is one request. The errors are what the user reads.
func (s *host) do(r session.Request) (*session.Network, error) {
	switch r.Verb {
	case session.Create:
		return s.create(r)
	case session.Remove:
		return nil, s.remove(r.Name)
	case session.Keep:
		s.state.Keep = true
		return nil, s.write()
	case session.Stop:
		return nil, s.mayStop()
	}
	return nil, fmt.Errorf("request %q: no such verb", r.Verb)
}

func (s *host) create(r session.Request) (*session.Network, error) {
	if err := session.CheckName(r.Name); err != nil {
		return nil, err
	}
	if _, there := s.networks[r.Name]; there {
		return nil, fmt.Errorf("create network %s: it exists", r.Name)
	}
	n, err := s.define(r, namedBits)
	if err != nil {
		return nil, err
	}
	if err := s.up(n); err != nil {
		return nil, err
	}
	err = s.dir.WriteNetwork(n)
	if err == nil {
		err = s.write()
	}
	if err != nil {
		s.networks[n.Name].remove(s)
		delete(s.networks, n.Name)
		return nil, err
	}
	n = s.networks[n.Name].network
	return &n, nil
}

func (s *host) remove(name string) error {
	b, there := s.networks[name]
	if !there || name == session.Auto {
		return fmt.Errorf("remove network %s: there is none of this name", name)
	}
	used, err := s.ports(b.network)
	if err != nil {
		return fmt.Errorf("remove network %s: %w", name, err)
	}
	if len(used) > 0 {
		return session.InUseError(fmt.Sprintf("remove network %s: %s on it", name, s.whoIs(name, used)))
	}
	delete(s.networks, name)
	b.remove(s)
	if err := s.dir.RemoveNetwork(name); err != nil {
		return err
	}
	return s.write()
}

// whoIs names the containers at some ports, or counts them.
func (s *host) whoIs(network string, used []int) string {
	names, _ := s.dir.Names(network)
	var out []string
	for _, number := range used {
		if len(names[number]) > 0 {
			out = append(out, names[number][0])
		}
	}
	if len(out) < len(used) {
		return count(len(used), "container", "containers")
	}
	slices.Sort(out)
	if len(out) == 1 {
		return "container " + out[0] + " is"
	}
	return "containers " + strings.Join(out, ", ") + " are"
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one + " is"
	}
	return fmt.Sprintf("%d %s are", n, many)
}

// mayStop is an error while containers live in the session.
func (s *host) mayStop() error {
	pids, err := session.Members(s.state.UserNS)
	if err != nil || len(pids) == 0 {
		return err
	}
	var known []string
	for name, b := range s.networks {
		used, err := s.ports(b.network)
		if err == nil && len(used) > 0 {
			known = append(known, s.whoIs(name, used)+" on network "+name)
		}
	}
	slices.Sort(known)
	if len(known) == 0 {
		known = []string{count(len(pids), "process", "processes") + " in it"}
	}
	return fmt.Errorf("stop the session: %s", strings.Join(known, ", "))
}

// purposeless: nobody asked for the session itself, and it has no network; or nobody can ask for it any more. Containers
// are a purpose of their own.
func (s *host) purposeless() bool {
	if (s.state.Keep || len(s.networks) > 1) && !s.forgotten() {
		return false
	}
	pids, err := session.Members(s.state.UserNS)
	return err == nil && len(pids) == 0
}

// forgotten: what says that there is a session was removed, or says so of another one. A runtime directory goes when its
// user logs out.
func (s *host) forgotten() bool {
	if pid, ok := s.dir.Pid(); ok {
		return pid != s.state.Pid
	}
	_, err := os.Lstat(s.dir.PidFile())
	return errors.Is(err, fs.ErrNotExist)
}

func (s *host) endWithoutPurpose() {
	if s.purposeless() {
		s.ending = true
		go s.stop()
	}
}
