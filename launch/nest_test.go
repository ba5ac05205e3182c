package launch

import (
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/plan"
)

// The session's way out begins in another net namespace than the caller's: only a network that has none is joined there.
func TestSessionElsewhere(t *testing.T) {
	for _, c := range []struct {
		net      string
		internal bool
		bridge   bool
		want     string
	}{
		{net: NetAuto},
		{net: "db", want: "--net=db: its way out begins in another net namespace than this one"},
		{net: "db", internal: true, bridge: true},
		{net: NetNone},
	} {
		s, h := basic(), desktop()
		warm(&s, &h)
		s.Net, h.Session.Elsewhere, h.Session.Networks[1].Internal = c.net, true, c.internal
		start, err := Compile(&s, &h, nil)
		switch {
		case c.want != "":
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("--net=%s: %v, want %s", c.net, err, c.want)
			}
		case err != nil:
			t.Errorf("--net=%s: %v", c.net, err)
		case start.nesting == nil:
			t.Errorf("--net=%s does without the session's ids", c.net)
		case start.nesting.network != nil != c.bridge:
			t.Errorf("--net=%s, internal %v: on a bridge: %v", c.net, c.internal, !c.bridge)
		}
	}
}

// A memo of a container on a bridge holds in the net namespace alone in which it was made.
func TestMemoOfSession(t *testing.T) {
	s, h := basic(), desktop()
	warm(&s, &h)
	for _, net := range []string{NetAuto, "db"} {
		s.Net = net
		here := plan.SameFile("/proc/self/ns/net", 0)
		if !slices.ContainsFunc(s.premises(&h, t.TempDir()), func(p plan.Premise) bool { return p.Is(&here) }) {
			t.Errorf("--net=%s: the net namespace is no premise", net)
		}
	}
}
