package launch

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/session"
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

// A name that a named network knows stands for the container's address there, for itself as for others; name servers of one's own
// do not know it.
func TestOwnName(t *testing.T) {
	const loopback, gateway = "127.0.1.1\tpg\n", "nameserver 10.231.4.1\n"
	for _, c := range []struct {
		name         string
		change       func(*Spec)
		hosts        string // what it is to contain; "" that the name is not there
		resolv, note string
	}{
		{"by name", func(s *Spec) { s.Name, s.Hostname = "pg", "pg" }, "", gateway, ""},
		{"by host name", func(s *Spec) { s.Hostname = "pg" }, "", gateway, ""},
		{"address", func(s *Spec) { s.Hostname, s.IP = "pg", netip.MustParseAddr("10.231.4.9") }, "10.231.4.9\tpg\n", gateway, ""},
		{"dns", func(s *Spec) { s.Hostname, s.DNS = "pg", []string{"192.0.2.99"} }, loopback, "nameserver 192.0.2.99\n", "--dns: name servers of your own do not know the containers of network db; its own is at 10.231.4.1"},
		{"auto", func(s *Spec) { s.Hostname, s.Net = "pg", NetAuto }, loopback, "nameserver 10.231.0.1\n", ""},
		{"none", func(s *Spec) { s.Hostname, s.Net = "pg", NetNone }, loopback, "", ""},
	} {
		s, h := basic(), desktop()
		warm(&s, &h)
		s.Net = "db"
		c.change(&s)
		start, err := Compile(&s, &h, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.hosts == "" && strings.Contains(start.Hosts, "pg") || !strings.Contains(start.Hosts, c.hosts) {
			t.Errorf("%s: /etc/hosts is\n%s", c.name, start.Hosts)
		}
		if !strings.Contains(start.Resolv, c.resolv) {
			t.Errorf("%s: /etc/resolv.conf is\n%s", c.name, start.Resolv)
		}
		if notes := strings.Join(start.Notes, "\n"); notes != c.note {
			t.Errorf("%s: %q, want %q", c.name, notes, c.note)
		}
	}
}

// A named network that is to lead out and does not is announced.
func TestNoWayOut(t *testing.T) {
	for _, internal := range []bool{false, true} {
		s, h := basic(), desktop()
		warm(&s, &h)
		s.Net, h.Session.Upstream, h.Session.Problem, h.Session.Networks[1].Internal = "db", "", "no network: it rains", internal
		start, err := Compile(&s, &h, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := "network db has no way out: it rains"
		if internal {
			want = ""
		}
		if got := strings.Join(start.Notes, "\n"); got != want {
			t.Errorf("internal %v: %q, want %q", internal, got, want)
		}
	}
}

// A session that ends while a container starts in it is done without, unless the container is to be on a network of it.
func TestSessionGone(t *testing.T) {
	join := func(of string) *plan.StepError {
		return &plan.StepError{Actor: plan.Joiner, Step: plan.Join{Of: of}, Err: unix.EPERM}
	}
	if !ofSession(join(TheSession)) || ofSession(join("web")) || ofSession(&plan.StepError{Actor: plan.Joiner, Step: plan.StartInit{}, Err: unix.ENOSYS}) ||
		!ofSession(&plan.StepError{Step: plan.MakePort{}, Err: os.NewSyscallError("mkdir", unix.ENOENT)}) ||
		ofSession(&plan.StepError{Step: plan.MakePort{}, Err: errors.New("--ip 10.9.8.7: container pg has this address")}) {
		t.Error("which steps need the session is not told apart")
	}
	for _, c := range []struct{ net, want string }{{NetAuto, ""}, {NetNone, ""}, {"db", "--net=db: the network session ended meanwhile"}} {
		s, h := basic(), desktop()
		warm(&s, &h)
		s.Net, h.SessionDir, h.Session.Pidfd = c.net, session.DirIn(t.TempDir()), -1 // where no session is
		again, gone := h.withoutSession(&s, nil)
		if c.want != "" {
			if again || gone == nil || gone.Error() != c.want {
				t.Errorf("--net=%s: again %v, %v", c.net, again, gone)
			}
			continue
		}
		if !again || gone != nil || h.Session != nil {
			t.Errorf("--net=%s: again %v, %v, session %v", c.net, again, gone, h.Session)
		}
	}
}
