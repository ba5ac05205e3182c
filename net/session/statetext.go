package session

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/rl-run/rl-run/plan"
)

// A State is written down as lines of words. Every start of a container reads it, and to find out by reflection how JSON
// is to be decoded takes a quarter of a millisecond, a twentieth of a start.

// lastLine says that the text is whole.
const lastLine = "end"

// none stands for a value that there is not.
const none = "-"

func (s State) text() []byte {
	var b strings.Builder
	line := func(words ...any) { fmt.Fprintln(&b, words...) }
	line("pid", s.Pid, s.StartTime, s.BootID)
	line("namespaces", s.UserNS, s.NetNS)
	if s.Outside != 0 {
		line("outside", s.Outside)
	}
	for _, e := range s.UIDMap {
		line("uid", e.Inside, e.Outside, e.Count)
	}
	for _, e := range s.GIDMap {
		line("gid", e.Inside, e.Outside, e.Count)
	}
	if s.Keep {
		line("keep")
	}
	if s.Upstream != "" {
		line("upstream", s.Upstream)
	}
	if s.Problem != "" {
		line("problem", strconv.Quote(s.Problem))
	}
	for _, n := range s.Networks {
		subnet6 := none
		if n.Subnet6.IsValid() {
			subnet6 = n.Subnet6.String()
		}
		line("network", n.Name, n.Index, n.Subnet, subnet6, n.Internal, n.Isolated, n.Bridge, n.IfIndex, n.MTU, n.Created.Format(time.RFC3339Nano))
	}
	line("created", s.Created.Format(time.RFC3339Nano))
	line(lastLine)
	return []byte(b.String())
}

var errCutShort = errors.New("it is cut short")

func parseState(text []byte) (s State, err error) {
	rest, whole := strings.CutSuffix(string(text), "\n"+lastLine+"\n")
	if !whole {
		return s, errCutShort
	}
	for line := range strings.Lines(rest) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		w := words{fields: strings.Fields(value)}
		switch key {
		case "pid":
			s.Pid, s.StartTime, s.BootID = int(w.number(31)), w.number(64), w.next()
		case "namespaces":
			s.UserNS, s.NetNS = w.number(64), w.number(64)
		case "outside":
			s.Outside = w.number(64)
		case "uid":
			s.UIDMap = append(s.UIDMap, w.extent())
		case "gid":
			s.GIDMap = append(s.GIDMap, w.extent())
		case "keep":
			s.Keep = true
		case "upstream":
			s.Upstream = w.next()
		case "problem":
			s.Problem, err = strconv.Unquote(value)
		case "network":
			s.Networks = append(s.Networks, w.network())
		case "created":
			s.Created = w.time()
		}
		if w.err != nil {
			err = w.err
		}
		if err != nil {
			return s, fmt.Errorf("line %q: %w", line, err)
		}
	}
	if s.BootID == "" {
		return s, errCutShort
	}
	return s, nil
}

// words are read one after the other; the first error stays.
type words struct {
	fields []string
	err    error
}

func (w *words) next() string {
	if len(w.fields) == 0 {
		w.err = errors.Join(w.err, errCutShort)
		return ""
	}
	word := w.fields[0]
	w.fields = w.fields[1:]
	return word
}

func (w *words) keep(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *words) number(bits int) uint64 {
	n, err := strconv.ParseUint(w.next(), 10, bits)
	w.keep(err)
	return n
}

func (w *words) truth() bool {
	b, err := strconv.ParseBool(w.next())
	w.keep(err)
	return b
}

func (w *words) time() time.Time {
	t, err := time.Parse(time.RFC3339Nano, w.next())
	w.keep(err)
	return t
}

func (w *words) extent() plan.Extent {
	return plan.Extent{Inside: uint32(w.number(32)), Outside: uint32(w.number(32)), Count: uint32(w.number(32))}
}

func (w *words) subnet() netip.Prefix {
	word := w.next()
	if word == none {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(word)
	w.keep(err)
	return p
}

func (w *words) network() Network {
	return Network{
		Name: w.next(), Index: int(w.number(31)), Subnet: w.subnet(), Subnet6: w.subnet(), Internal: w.truth(), Isolated: w.truth(),
		Bridge: w.next(), IfIndex: int(w.number(31)), MTU: int(w.number(31)), Created: w.time(),
	}
}
