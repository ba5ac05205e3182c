package nameserver

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/rl-run/rl-run/net/session"
)

// ttl of answers about containers, in seconds: none is kept, for the next
// container of a name may have another address.
const ttl = 0

// Names are the containers of one network, by the numbers of their ports.
type Names map[int][]string

// Answer answers a question about the network's own names. own is false when it is
// about other names, or is no question that could be answered: what to do then is
// the caller's.
//
// A container's name is known alone and with the network's behind it, as in
// "pg" and "pg.db", whatever the case of its letters. A name that exists has no
// other records than addresses. Addresses of the network, which nobody outside can
// know, are always its own.
func Answer(n session.Network, names Names, query []byte) (reply []byte, own bool) {
	header, q, ok := question(query)
	if !ok {
		return nil, false
	}
	if number, inside := reverse(n, q.Name.String()); inside {
		return respond(header, q, pointers(q, names[number]), len(names[number]) > 0), true
	}
	ports := lookup(n, names, q.Name.String())
	if len(ports) == 0 {
		return nil, false
	}
	var out []dnsmessage.Resource
	for _, number := range ports {
		p := n.Port(number)
		switch {
		case q.Type == dnsmessage.TypeA:
			out = append(out, resource(q, &dnsmessage.AResource{A: p.Address.Addr().As4()}))
		case q.Type == dnsmessage.TypeAAAA && p.Address6.IsValid():
			out = append(out, resource(q, &dnsmessage.AAAAResource{AAAA: p.Address6.Addr().As16()}))
		}
	}
	return respond(header, q, out, true), true
}

// question parses a query with one question of class IN.
func question(query []byte) (dnsmessage.Header, dnsmessage.Question, bool) {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil || header.Response || header.OpCode != 0 {
		return dnsmessage.Header{}, dnsmessage.Question{}, false
	}
	all, err := p.AllQuestions()
	if err != nil || len(all) != 1 || all[0].Class != dnsmessage.ClassINET {
		return dnsmessage.Header{}, dnsmessage.Question{}, false
	}
	return header, all[0], true
}

// lookup finds the ports of a name, sorted.
func lookup(n session.Network, names Names, name string) []int {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	short, _ := strings.CutSuffix(name, "."+strings.ToLower(n.Name))
	var ports []int
	for number, all := range names {
		if number < 2 || number > n.Ports()+1 {
			continue
		}
		if slices.ContainsFunc(all, func(s string) bool {
			s = strings.ToLower(s)
			return s == name || s == short
		}) {
			ports = append(ports, number)
		}
	}
	slices.Sort(ports)
	return ports
}

// reverse finds the port of a name below in-addr.arpa or ip6.arpa; inside tells
// whether the address is one of the network's subnets at all.
func reverse(n session.Network, name string) (number int, inside bool) {
	name = strings.ToLower(name)
	var a netip.Addr
	if digits, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		parts := strings.Split(digits, ".")
		slices.Reverse(parts)
		a, _ = netip.ParseAddr(strings.Join(parts, "."))
		if !a.Is4() || !n.Subnet.Contains(a) {
			return 0, false
		}
		base, own := n.Subnet.Addr().As4(), a.As4()
		return int(own[2])<<8 + int(own[3]) - int(base[2])<<8 - int(base[3]), true
	}
	digits, ok := strings.CutSuffix(name, ".ip6.arpa.")
	parts := strings.Split(digits, ".")
	if !ok || len(parts) != 32 || !n.Subnet6.IsValid() {
		return 0, false
	}
	var b [16]byte
	for i, digit := range parts {
		v, err := strconv.ParseUint(digit, 16, 4)
		if err != nil || len(digit) != 1 {
			return 0, false
		}
		b[15-i/2] |= byte(v << (4 * (i % 2)))
	}
	a = netip.AddrFrom16(b)
	if !n.Subnet6.Contains(a) {
		return 0, false
	}
	// The upper 6 bytes behind the subnet must be 0.
	if [6]byte(b[8:14]) != [6]byte{} {
		return 0, true
	}
	return int(b[14])<<8 + int(b[15]), true
}

func pointers(q dnsmessage.Question, names []string) (out []dnsmessage.Resource) {
	if q.Type != dnsmessage.TypePTR {
		return nil
	}
	for _, s := range names {
		if name, err := dnsmessage.NewName(s + "."); err == nil {
			out = append(out, resource(q, &dnsmessage.PTRResource{PTR: name}))
		}
	}
	return out
}

func resource(q dnsmessage.Question, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: ttl}, Body: body}
}

// respond encodes the answer to a question: no such name, unless it exists.
func respond(h dnsmessage.Header, q dnsmessage.Question, answers []dnsmessage.Resource, exists bool) []byte {
	code := dnsmessage.RCodeSuccess
	if !exists {
		code = dnsmessage.RCodeNameError
	}
	m := message(h, q, code)
	m.Authoritative = true
	m.Answers = answers
	out, err := m.Pack()
	if err != nil {
		// A registered name that cannot be written in DNS has no pointer.
		m.Answers = nil
		out, _ = m.Pack()
	}
	return out
}

func message(h dnsmessage.Header, q dnsmessage.Question, code dnsmessage.RCode) dnsmessage.Message {
	return dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: h.ID, Response: true, RecursionDesired: h.RecursionDesired, RecursionAvailable: true, RCode: code,
		},
		Questions: []dnsmessage.Question{q},
	}
}

// refuse is the answer with an error code, nil where there was no question.
func refuse(query []byte, code dnsmessage.RCode) []byte {
	h, q, ok := question(query)
	if !ok {
		return nil
	}
	m := message(h, q, code)
	out, _ := m.Pack()
	return out
}

// fit cuts an answer to what a UDP packet to the asker may hold: 512 bytes, or
// what the query says (EDNS0, RFC 6891). A cut one has no records, and says to ask
// again by TCP.
func fit(query, reply []byte) []byte {
	limit := 512
	var p dnsmessage.Parser
	if _, err := p.Start(query); err == nil && p.SkipAllQuestions() == nil && p.SkipAllAnswers() == nil && p.SkipAllAuthorities() == nil {
		for {
			h, err := p.AdditionalHeader()
			if err != nil {
				break
			}
			if h.Type == dnsmessage.TypeOPT {
				limit = max(limit, int(h.Class))
			}
			if p.SkipAdditional() != nil {
				break
			}
		}
	}
	if len(reply) <= limit {
		return reply
	}
	h, q, ok := question(query)
	if !ok {
		return nil
	}
	m := message(h, q, dnsmessage.RCodeSuccess)
	m.Truncated = true
	out, _ := m.Pack()
	return out
}
