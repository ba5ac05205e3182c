package port

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// MaxPorts is how many ports one container may publish. Each costs a descriptor in the
// launcher and in the forwarder, and a word in the forwarder's arguments.
const MaxPorts = 4096

const form = "[HOSTIP:]HOSTPORT:PORT[/tcp|udp]"

// Error says what is wrong with a value of an option.
type Error struct {
	Flag   string // "-p" or "--listen-fd"
	Value  string // as it was given; "" with --listen-fd, which has none
	Reason string
}

func (e *Error) Error() string {
	if e.Flag == "--listen-fd" {
		return e.Flag + ": " + e.Reason
	}
	value := e.Value
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		value = strconv.Quote(value)
	}
	return e.Flag + " " + value + ": " + e.Reason
}

// Parse reads the values of all -p of a command line, each
// [HOSTIP:]HOSTPORT:PORT[/tcp|udp]. Ports may be ranges of equal length (8000-8010:80-90),
// HOSTPORT may be empty or 0 for a free one, and an IPv6 address stands in brackets. A
// lone PORT has a free port on the host, as with docker and podman. Two values that ask for one
// port of the host are refused, as are more than [MaxPorts] ports. The error is an
// *[Error].
func Parse(values []string) ([]Publish, error) {
	if len(values) == 0 {
		return nil, nil
	}
	list := make([]Publish, 0, len(values))
	total := 0
	for _, value := range values {
		p, err := parse(value)
		if err != nil {
			return nil, &Error{"-p", value, err.Error()}
		}
		for j, q := range list {
			if p.overlaps(q) {
				return nil, &Error{"-p", value, fmt.Sprintf("asks for a port of the host that -p %s asks for too (expected each once)", values[j])}
			}
		}
		if total += p.Count; total > MaxPorts {
			return nil, &Error{"-p", value, fmt.Sprintf("makes it %d ports (expected at most %d)", total, MaxPorts)}
		}
		list = append(list, p)
	}
	return list, nil
}

func parse(value string) (Publish, error) {
	rest, word, given := strings.Cut(value, "/")
	p := Publish{Count: 1}
	if given {
		switch strings.ToLower(word) {
		case "tcp":
		case "udp":
			p.Proto = UDP
		default:
			return p, fmt.Errorf("unknown protocol %q (expected tcp or udp)", word)
		}
	}

	host, bracketed := "", false
	if inner, ok := strings.CutPrefix(rest, "["); ok {
		host, rest, bracketed = strings.Cut(inner, "]:")
		if !bracketed {
			return p, fmt.Errorf("no ]: behind the address (expected %s)", form)
		}
	}
	fields := strings.Split(rest, ":")
	switch {
	case bracketed && len(fields) != 2:
		return p, fmt.Errorf("%d ports behind the address (expected [HOSTIP]:HOSTPORT:PORT)", len(fields))
	case len(fields) == 3:
		host, fields = fields[0], fields[1:]
	case len(fields) == 1:
		fields = []string{"", fields[0]}
	case len(fields) > 3:
		return p, fmt.Errorf("too many colons (expected %s; an IPv6 address stands in brackets: [::1]:8080:80)", form)
	}
	var err error
	if p.Host, err = address(host, bracketed); err != nil {
		return p, err
	}

	if p.Port, p.Count, err = portRow(fields[1]); err != nil {
		return p, fmt.Errorf("container port %w", err)
	}
	if fields[0] == "" || fields[0] == "0" {
		return p, nil
	}
	var count int
	if p.HostPort, count, err = portRow(fields[0]); err != nil {
		if a, bad := netip.ParseAddr(fields[0]); bad == nil && a.Is4() {
			return p, fmt.Errorf("no host port (expected %s; %s::%s takes a free one)", form, fields[0], fields[1])
		}
		return p, fmt.Errorf("host port %w", err)
	}
	if count != p.Count {
		return p, fmt.Errorf("host ports %s are %d, container ports %s are %d (expected ranges of one length)", fields[0], count, fields[1], p.Count)
	}
	return p, nil
}

// address reads the host's address. An IPv4 address written as IPv6 is that IPv4 address.
func address(s string, bracketed bool) (netip.Addr, error) {
	if s == "" && !bracketed {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil && bracketed:
		return a, fmt.Errorf("malformed address %q (expected IPv6 in brackets)", s)
	case err != nil:
		return a, fmt.Errorf("malformed address %q (expected IPv4, or IPv6 in brackets; names are not looked up)", s)
	case bracketed != a.Is6():
		return a, fmt.Errorf("address %q in the wrong form (expected IPv6 in brackets, IPv4 without)", s)
	case a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return a, fmt.Errorf("address %s belongs to no single host (expected one of this host's own)", a.WithZone(""))
	case a.IsLinkLocalUnicast() && a.Is6() && a.Zone() == "":
		return a, fmt.Errorf("link-local address %s without its interface (expected [%[1]s%%INTERFACE])", s)
	case a.Zone() != "" && (a.Is4In6() || !a.IsLinkLocalUnicast()):
		return a, fmt.Errorf("interface with address %s, which is not link-local (expected the address alone)", a.WithZone(""))
	}
	return a.Unmap(), nil
}

// portRow reads PORT or FIRST-LAST.
func portRow(s string) (first uint16, count int, err error) {
	low, high, isRange := strings.Cut(s, "-")
	if first, err = portNumber(low); err != nil {
		return 0, 0, err
	}
	if !isRange {
		return first, 1, nil
	}
	last, err := portNumber(high)
	if err != nil {
		return 0, 0, err
	}
	if last < first {
		return 0, 0, fmt.Errorf("range %s runs backwards (expected FIRST-LAST)", s)
	}
	return first, int(last-first) + 1, nil
}

func portNumber(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is malformed (expected 1 to 65535)", s)
	}
	return uint16(n), nil
}
