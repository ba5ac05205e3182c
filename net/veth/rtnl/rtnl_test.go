package rtnl

import (
	"net"
	"testing"
)

// The host's interfaces and addresses are those that Go's own package sees.
func TestHost(t *testing.T) {
	s, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	links, err := s.Links()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for _, l := range links {
		names[l.Name] = l.Index
	}
	want, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range want {
		// Others may come and go meanwhile.
		if i.Flags&net.FlagLoopback != 0 && names[i.Name] != i.Index {
			t.Errorf("%s has index %d, want %d", i.Name, names[i.Name], i.Index)
		}
	}
	if one, err := s.Named("lo"); err != nil || one.Index != names["lo"] || one.MTU < 1 {
		t.Errorf("lo is %+v, %v", one, err)
	}
	if _, err := s.Named("none-such"); err == nil {
		t.Error("found none-such")
	}
	if _, err := s.Addrs(); err != nil {
		t.Error(err)
	}
	if _, err := s.Routes(); err != nil {
		t.Error(err)
	}
}

// What the kernel sends is believed, but not to be whole.
func FuzzParse(f *testing.F) {
	f.Add(make([]byte, 16))
	f.Add([]byte("\x02\x20\x00\x00\xfe\x03\x00\x01\x00\x00\x00\x00\x08\x00\x01\x00\x0a\x00\x00\x01\x05\x00\x12\x80\x05\x00\x01\x00v\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseLink(b)
		if a, ok := parseAddr(b); ok && !a.Local.IsValid() {
			t.Fatalf("%+v", a)
		}
		if r, ok := parseRoute(b); ok && !r.Dst.IsValid() {
			t.Fatalf("%+v", r)
		}
	})
}

func TestMessage(t *testing.T) {
	m := New(1, 0, make([]byte, 2))
	m.Nest(7, func() { m.String(3, "abcd"); m.Uint32(4, 9) })
	b := m.finish(5)
	if len(b)%4 != 0 || int(b[0]) != len(b) {
		t.Fatalf("%x", b)
	}
	var kinds []uint16
	attributes(b[20:], func(kind uint16, data []byte) {
		kinds = append(kinds, kind)
		attributes(data, func(kind uint16, data []byte) {
			kinds = append(kinds, kind)
			if kind == 3 && text(data) != "abcd" || kind == 4 && number(data) != 9 {
				t.Errorf("%d: %x", kind, data)
			}
		})
	})
	if len(kinds) != 3 || kinds[0] != 7 || kinds[1] != 3 || kinds[2] != 4 {
		t.Errorf("kinds %v in %x", kinds, b)
	}
}
