package session

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/rl-run/rl-run/plan"
)

func states() []State {
	now := time.Date(2026, 5, 4, 3, 2, 1, 123456789, time.UTC)
	return []State{
		{Pid: 1, BootID: "x", Created: now},
		{
			Pid: 4711, StartTime: 1 << 60, BootID: "0c3bb3b4-9b0e-4a2e-8b0a-000000000000", UserNS: 4026532178, NetNS: 4026532180, Outside: 4026531840,
			UIDMap: []plan.Extent{{Inside: 0, Outside: 1000, Count: 1}, {Inside: 1, Outside: 100000, Count: 4294967295}},
			GIDMap: []plan.Extent{{Inside: 0, Outside: 1000, Count: 1}},
			Keep:   true, Problem: "two\nlines and \"quotes\" end\nend",
			Networks: []Network{
				{Name: Auto, Subnet: netip.MustParsePrefix("10.231.0.0/22"), Isolated: true, Bridge: "rl0", IfIndex: 3, MTU: MTU, Created: now},
				{
					Name: "a.b-c", Index: 250, Subnet: netip.MustParsePrefix("10.9.8.0/24"), Subnet6: netip.MustParsePrefix("fd00:1::/64"),
					Internal: true, Bridge: "rl250", MTU: 1500, Created: now,
				},
			},
			Created: now,
		},
		{Pid: 2, BootID: "y", Upstream: "pasta", Created: now},
	}
}

func TestStateText(t *testing.T) {
	for _, s := range states() {
		text := s.text()
		if got, err := parseState(text); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("%+v\nis read as\n%+v, %v", s, got, err)
		}
		for i := range text {
			if got, err := parseState(text[:i]); err == nil {
				t.Errorf("cut short to %q it is read as %+v", text[:i], got)
			}
		}
	}
	for _, text := range []string{"", "end\n", "pid x 1 b\nend\n", "pid 1\nend\n", "uid 1 2\nend\n", "network a\nend\n", "problem x\nend\n", `{"pid":1}` + "\nend"} {
		if s, err := parseState([]byte(text)); err == nil {
			t.Errorf("%q is read as %+v", text, s)
		}
	}
}

func FuzzState(f *testing.F) {
	for _, s := range states() {
		f.Add(s.text())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseState(text)
		if err != nil {
			return
		}
		// What can be read can be written, and read again.
		again, err := parseState(s.text())
		if err != nil || !bytes.Equal(again.text(), s.text()) {
			t.Errorf("%+v, %v", again, err)
		}
	})
}
