package nameserver

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/rl-run/rl-run/net/session"
)

func db() session.Network {
	return session.Network{
		Name: "Db", Index: 1, Subnet: netip.MustParsePrefix("10.9.8.0/23"),
		Subnet6: netip.MustParsePrefix("fd00:1:2:3::/64"), MTU: session.MTU,
	}
}

var people = Names{2: {"pg", "postgres"}, 7: {"Web"}, 300: {"pg"}, 9: nil, 9999: {"far"}, 1: {"bridge"}}

func query(t testing.TB, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 77, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnswer(t *testing.T) {
	const nobody = "no such name"
	for _, c := range []struct {
		name string
		kind dnsmessage.Type
		want []string // nil: the question is not about the network
	}{
		{"pg.", dnsmessage.TypeA, []string{"10.9.8.2", "10.9.9.44"}},
		{"PG.", dnsmessage.TypeA, []string{"10.9.8.2", "10.9.9.44"}},
		{"postgres.dB.", dnsmessage.TypeA, []string{"10.9.8.2"}},
		{"web.", dnsmessage.TypeAAAA, []string{"fd00:1:2:3::7"}},
		{"web.", dnsmessage.TypeMX, []string{}},
		{"far.", dnsmessage.TypeA, nil},
		{"bridge.", dnsmessage.TypeA, nil},
		{"pg.other.", dnsmessage.TypeA, nil},
		{".", dnsmessage.TypeA, nil},
		{"2.8.9.10.in-addr.arpa.", dnsmessage.TypePTR, []string{"pg.", "postgres."}},
		{"44.9.9.10.IN-ADDR.arpa.", dnsmessage.TypePTR, []string{"pg."}},
		{"9.8.9.10.in-addr.arpa.", dnsmessage.TypePTR, []string{nobody}},
		{"2.10.9.10.in-addr.arpa.", dnsmessage.TypePTR, nil},
		{"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa.", dnsmessage.TypePTR, []string{"Web."}},
		{"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.3.0.0.0.2.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa.", dnsmessage.TypePTR, []string{nobody}},
		{"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.0.0.0.2.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa.", dnsmessage.TypePTR, nil},
	} {
		reply, own := Answer(db(), people, query(t, c.name, c.kind))
		if own != (c.want != nil) {
			t.Errorf("%s: own %v", c.name, own)
		}
		if !own {
			continue
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, r := range m.Answers {
			switch b := r.Body.(type) {
			case *dnsmessage.AResource:
				got = append(got, netip.AddrFrom4(b.A).String())
			case *dnsmessage.AAAAResource:
				got = append(got, netip.AddrFrom16(b.AAAA).String())
			case *dnsmessage.PTRResource:
				got = append(got, b.PTR.String())
			}
		}
		if m.RCode == dnsmessage.RCodeNameError {
			got = append(got, nobody)
		}
		if m.ID != 77 || !m.Response || !slices.Equal(got, c.want) {
			t.Errorf("%s %v: %v, want %v (%+v)", c.name, c.kind, got, c.want, m.Header)
		}
	}
}

func TestFit(t *testing.T) {
	many := Names{}
	for i := range 60 {
		many[2+i] = []string{"x"}
	}
	q := query(t, "x.", dnsmessage.TypeA)
	reply, _ := Answer(db(), many, q)
	var m dnsmessage.Message
	if err := m.Unpack(fit(q, reply)); err != nil || !m.Truncated || len(m.Answers) != 0 {
		t.Errorf("an answer of %d bytes: %+v %v", len(reply), m.Header, err)
	}
	var opt dnsmessage.ResourceHeader
	if err := opt.SetEDNS0(4096, 0, false); err != nil {
		t.Fatal(err)
	}
	if err := m.Unpack(q); err != nil {
		t.Fatal(err)
	}
	m.Additionals = []dnsmessage.Resource{{Header: opt, Body: &dnsmessage.OPTResource{}}}
	large, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Unpack(fit(large, reply)); err != nil || m.Truncated || len(m.Answers) != 60 {
		t.Errorf("to one who takes 4096 bytes: %+v %v", m.Header, err)
	}
}

func TestParseResolvers(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "[127.0.0.1:53]",
		"nameserver 127.0.0.53\n": "[127.0.0.53:53]",
		"# x\nnameserver\nnameserver x\n nameserver  192.0.2.1 # c\nnameserver fe80::1%eth0": "[192.0.2.1:53 [fe80::1%eth0]:53]",
		"nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4\n":   "[1.1.1.1:53 2.2.2.2:53 3.3.3.3:53]",
	} {
		if got := fmt.Sprint(ParseResolvers([]byte(text))); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// Whatever a container sends, the answer can be read.
func FuzzAnswer(f *testing.F) {
	f.Add(query(f, "pg.", dnsmessage.TypeA))
	f.Add(query(f, "2.8.9.10.in-addr.arpa.", dnsmessage.TypePTR))
	f.Add([]byte{0, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		reply, own := Answer(db(), people, b)
		if !own {
			reply = refuse(b, dnsmessage.RCodeServerFailure)
			if reply == nil {
				return
			}
		}
		var m dnsmessage.Message
		if err := m.Unpack(fit(b, reply)); err != nil {
			t.Errorf("%x: %v", reply, err)
		}
	})
}
