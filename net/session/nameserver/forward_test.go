package nameserver

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A resolver that is lied about: packets with another id, another question, or no
// answer at all come before the true one.
func TestAskPassesOverForgeries(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	asked := make(chan uint16, 2)
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := c.ReadFromUDP(b)
			if err != nil {
				return
			}
			h, q, _ := question(b[:n])
			asked <- h.ID
			send := func(h dnsmessage.Header, q dnsmessage.Question, address byte) {
				m := message(h, q, dnsmessage.RCodeSuccess)
				m.Answers = []dnsmessage.Resource{resource(q, &dnsmessage.AResource{A: [4]byte{192, 0, 2, address}})}
				out, _ := m.Pack()
				_, _ = c.WriteToUDP(out, from)
			}
			other := h
			other.ID++
			send(other, q, 1)
			wrong := q
			wrong.Name = dnsmessage.MustNewName("other.example.")
			send(h, wrong, 2)
			_, _ = c.WriteToUDP(b[:n], from)
			_, _ = c.WriteToUDP([]byte{1}, from)
			send(h, q, 3)
		}
	}()
	server := netip.MustParseAddrPort(c.LocalAddr().String())
	for range 2 {
		reply, err := ask(context.Background(), server, query(t, "x.example.", dnsmessage.TypeA), false)
		if err != nil {
			t.Fatal(err)
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil || m.ID != 77 || len(m.Answers) != 1 || m.Answers[0].Body.(*dnsmessage.AResource).A[3] != 3 {
			t.Errorf("answer: %+v %v", m, err)
		}
	}
	if a, b := <-asked, <-asked; a == 77 && b == 77 {
		t.Error("the asker's id goes out")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	silent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	start := time.Now()
	if _, err := ask(ctx, netip.MustParseAddrPort(silent.LocalAddr().String()), query(t, "x.", dnsmessage.TypeA), false); err == nil || time.Since(start) > time.Second {
		t.Errorf("one who is silent: %v after %v", err, time.Since(start))
	}
}
