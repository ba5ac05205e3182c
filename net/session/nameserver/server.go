package nameserver

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/rl-run/rl-run/net/session"
)

const (
	// busy is how many questions, and how many connections, a network may have
	// under way; more are dropped, and asked again by who wants the answer.
	busy = 128
	// idle is how long a connection may be silent.
	idle = 10 * time.Second
	// largest is the longest message of DNS.
	largest = 65535
)

// Server answers on one network's bridge.
type Server struct {
	Network session.Network
	// Names tells who lives on the network now.
	Names func() Names
	// Forward asks the machine's resolvers, by TCP where tcp is set; nil where
	// names outside may not be asked for.
	Forward func(ctx context.Context, query []byte, tcp bool) ([]byte, error)

	packets net.PacketConn
	streams net.Listener

	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{}
	all    sync.WaitGroup
}

// Start serves on two sockets that lie in the session's net namespace. They are
// the server's from then on.
func (s *Server) Start(packets net.PacketConn, streams net.Listener) {
	s.packets, s.streams = packets, streams
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.slots = make(chan struct{}, busy)
	s.all.Go(s.servePackets)
	s.all.Go(s.serveStreams)
}

// Close ends the server, and returns when nothing of it runs any more.
func (s *Server) Close() {
	s.cancel()
	_ = s.packets.Close()
	_ = s.streams.Close()
	s.all.Wait()
}

func (s *Server) servePackets() {
	buffer := make([]byte, largest)
	for {
		n, from, err := s.packets.ReadFrom(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// an ICMP error of an earlier answer
			time.Sleep(time.Millisecond)
			continue
		}
		query := append([]byte(nil), buffer[:n]...)
		if reply, own := Answer(s.Network, s.Names(), query); own {
			_, _ = s.packets.WriteTo(fit(query, reply), from)
			continue
		}
		select {
		case s.slots <- struct{}{}:
		default:
			continue
		}
		s.all.Go(func() {
			defer func() { <-s.slots }()
			if reply := s.elsewhere(query, false); reply != nil {
				_, _ = s.packets.WriteTo(fit(query, reply), from)
			}
		})
	}
}

// elsewhere answers what is not about the network.
func (s *Server) elsewhere(query []byte, tcp bool) []byte {
	if s.Forward == nil {
		return refuse(query, dnsmessage.RCodeNameError)
	}
	if _, _, ok := question(query); !ok {
		return nil
	}
	reply, err := s.Forward(s.ctx, query, tcp)
	if err != nil {
		return refuse(query, dnsmessage.RCodeServerFailure)
	}
	return reply
}

func (s *Server) serveStreams() {
	slots := make(chan struct{}, busy)
	for {
		c, err := s.streams.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(10 * time.Millisecond) // no descriptor is left
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = c.Close()
			continue
		}
		s.all.Go(func() {
			defer func() { <-slots }()
			stop := context.AfterFunc(s.ctx, func() { _ = c.Close() })
			defer stop()
			defer func() { _ = c.Close() }()
			s.serveStream(c)
		})
	}
}

// serveStream answers one question after the other (RFC 1035, 4.2.2).
func (s *Server) serveStream(c net.Conn) {
	for {
		if c.SetDeadline(time.Now().Add(idle)) != nil {
			return
		}
		query, err := readMessage(c)
		if err != nil {
			return
		}
		reply, own := Answer(s.Network, s.Names(), query)
		if !own {
			reply = s.elsewhere(query, true)
		}
		if reply == nil || writeMessage(c, reply) != nil {
			return
		}
	}
}

func readMessage(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeMessage(w io.Writer, b []byte) error {
	if len(b) > largest {
		return errors.New("the message is too long")
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}
