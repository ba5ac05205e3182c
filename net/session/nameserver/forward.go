package nameserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// patience is how long one resolver is waited for.
const patience = 3 * time.Second

// Resolvers asks the name servers that a resolv.conf lists. It is to be used on
// threads that are in the machine's own net namespace: so 127.0.0.53 works too.
// The file is read for each question, as it changes while the machine moves from
// one network to another.
type Resolvers struct {
	Path string // of resolv.conf
}

// Forward asks one resolver after the other and returns the first answer. The
// error is that of the last one, or says that there is none.
//
// The question goes out from a port and with an id of chance, whatever the asker
// chose, so that nobody can guess them and answer in a resolver's place.
func (r Resolvers) Forward(ctx context.Context, query []byte, tcp bool) ([]byte, error) {
	text, err := os.ReadFile(r.Path)
	if err != nil {
		return nil, err
	}
	servers := ParseResolvers(text)
	last := errors.New("no resolver is configured")
	for _, server := range servers {
		reply, err := ask(ctx, server, query, tcp)
		if err == nil {
			return reply, nil
		}
		last = err
	}
	return nil, last
}

// ParseResolvers reads the nameserver lines of resolv.conf(5), of which the first
// three count; where there is none it is 127.0.0.1.
func ParseResolvers(text []byte) (out []netip.AddrPort) {
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		if len(f) < 2 || f[0] != "nameserver" || len(out) == 3 {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			out = append(out, netip.AddrPortFrom(a, 53))
		}
	}
	if len(out) == 0 {
		out = append(out, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53))
	}
	return out
}

func ask(ctx context.Context, server netip.AddrPort, query []byte, tcp bool) ([]byte, error) {
	kind := "udp"
	if tcp {
		kind = "tcp"
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, kind, server.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	asked := append([]byte(nil), query...)
	var id [2]byte
	_, _ = rand.Read(id[:]) // it never fails
	copy(asked, id[:])
	reply, err := exchange(c, asked, tcp)
	if err != nil {
		return nil, err
	}
	copy(reply, query[:2])
	return reply, nil
}

// exchange passes over what is no answer to the question.
func exchange(c net.Conn, query []byte, tcp bool) ([]byte, error) {
	if tcp {
		if err := writeMessage(c, query); err != nil {
			return nil, err
		}
	} else if _, err := c.Write(query); err != nil {
		return nil, err
	}
	buffer := make([]byte, largest)
	for {
		var reply []byte
		if tcp {
			b, err := readMessage(c)
			if err != nil {
				return nil, err
			}
			reply = b
		} else {
			n, err := c.Read(buffer)
			if err != nil {
				return nil, err
			}
			reply = buffer[:n]
		}
		if answers(query, reply) {
			return reply, nil
		}
	}
}

// answers tells whether reply is about query: the same id and the same question.
func answers(query, reply []byte) bool {
	if len(query) < 2 || len(reply) < 2 || binary.BigEndian.Uint16(query) != binary.BigEndian.Uint16(reply) {
		return false
	}
	_, asked, ok := question(query)
	if !ok {
		return false
	}
	var p dnsmessage.Parser
	header, err := p.Start(reply)
	if err != nil || !header.Response {
		return false
	}
	q, err := p.Question()
	if errors.Is(err, dnsmessage.ErrSectionDone) {
		return header.RCode != dnsmessage.RCodeSuccess // some leave it out of an error
	}
	return err == nil && q.Type == asked.Type && q.Class == asked.Class &&
		strings.EqualFold(q.Name.String(), asked.Name.String())
}
