package usernet

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// PointToPoint is the name of no bridge: a link between the host and one container.
const PointToPoint = "-"

// MaxCount is the largest number of links that a line can grant.
const MaxCount = 9999

// Grant line and pool line of the policy. Exactly one of the two is set in an Entry.
type (
	// Entry is what one line says. The zero value is that of a blank line or a comment.
	Entry struct {
		Allow Allow
		Pool  Pool
	}

	// Allow lets a user or a group have links.
	Allow struct {
		User   string // a name or a number; "" where it is a group
		Group  string // the same, without the @
		Bridge string
		Count  int // 0 to MaxCount
	}

	// Pool is a range of addresses for the links of a bridge.
	Pool struct {
		Bridge string
		Subnet netip.Prefix // IPv4 of /8 to /30, or IPv6 of /16 to /96
	}
)

// ParseLine reads one line. It knows nothing of other lines. Fields are separated by
// blanks; a line that starts with # is a comment, and # is no comment elsewhere.
func ParseLine(line string) (Entry, error) {
	for i := range len(line) {
		if c := line[i]; c != '\t' && (c < ' ' || c > '~') {
			return Entry{}, fmt.Errorf("character %#02x", c)
		}
	}
	fields := strings.Fields(line)
	switch {
	case len(fields) == 0 || strings.HasPrefix(fields[0], "#"):
		return Entry{}, nil
	case len(fields) == 3 && fields[0] == "pool":
		return parsePool(fields[1], fields[2])
	case len(fields) == 4:
		return parseAllow(fields[0], fields[1], fields[2], fields[3])
	}
	return Entry{}, errors.New(`want "USER veth BRIDGE COUNT", "@GROUP veth BRIDGE COUNT" or "pool BRIDGE SUBNET"`)
}

func parseAllow(who, kind, bridge, count string) (Entry, error) {
	var a Allow
	if group, ok := strings.CutPrefix(who, "@"); ok {
		a.Group = group
	} else {
		a.User = who
	}
	if name := a.User + a.Group; name == "" || strings.ContainsAny(name, "@:#") {
		return Entry{}, fmt.Errorf("user or group %q: no such name", who)
	}
	if kind != "veth" {
		return Entry{}, fmt.Errorf("kind %q: only veth is known", kind)
	}
	if !isBridge(bridge) {
		return Entry{}, fmt.Errorf("bridge %q: no name of an interface", bridge)
	}
	n, ok := parseNumber(count, MaxCount)
	if !ok {
		return Entry{}, fmt.Errorf("count %q: want a number of at most %d", count, MaxCount)
	}
	a.Bridge, a.Count = bridge, n
	return Entry{Allow: a}, nil
}

func parsePool(bridge, subnet string) (Entry, error) {
	if !isBridge(bridge) {
		return Entry{}, fmt.Errorf("bridge %q: no name of an interface", bridge)
	}
	p, err := netip.ParsePrefix(subnet)
	if err != nil {
		return Entry{}, fmt.Errorf("subnet %q: want one like 192.168.47.0/24", subnet)
	}
	if p != p.Masked() {
		return Entry{}, fmt.Errorf("subnet %q: has bits behind its length; %v would be one", subnet, p.Masked())
	}
	least, most := 8, 30
	if p.Addr().Is6() {
		// The lower 32 bits are the IPv4 address.
		least, most = 16, 96
	}
	if p.Bits() < least || p.Bits() > most {
		return Entry{}, fmt.Errorf("subnet %q: want a length of /%d to /%d", subnet, least, most)
	}
	for _, special := range special() {
		if special.Overlaps(p) {
			return Entry{}, fmt.Errorf("subnet %q: %v is not for hosts", subnet, special)
		}
	}
	return Entry{Pool: Pool{Bridge: bridge, Subnet: p}}, nil
}

// special are ranges with a meaning of their own, RFC 6890.
func special() []netip.Prefix {
	v4 := func(a byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{a}), bits)
	}
	v6 := func(a, b byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{a, b}), bits)
	}
	return []netip.Prefix{
		v4(0, 8), v4(127, 8), v4(224, 3), // this network; loopback; multicast and reserved
		netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16),
		v6(0, 0, 16), v6(0xfe, 0x80, 10), v6(0xff, 0, 8), // loopback and mapped; link-local; multicast
	}
}

// isBridge tells what a policy may call a bridge: a plain name of an interface, or "-".
func isBridge(s string) bool { return s == PointToPoint || IsInterface(s) }

// IsInterface tells whether s is a plain name of an interface: at most 15 of the
// characters A–Z a–z 0–9 _ . -, with a letter, digit or _ first. The kernel takes others
// too; they are not worth the trouble in a policy.
func IsInterface(s string) bool {
	if s == "" || len(s) >= 16 || s[0] == '.' || s[0] == '-' {
		return false
	}
	return only(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
}

// only tells whether a string is made of some characters.
func only(s, characters string) bool {
	for i := range len(s) {
		if strings.IndexByte(characters, s[i]) < 0 {
			return false
		}
	}
	return true
}

// parseNumber reads decimal digits, without sign, up to a limit.
func parseNumber(s string, limit int) (int, bool) {
	if s == "" || len(s) > 10 || s[0] == '+' || s[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return int(n), err == nil && n <= int64(limit)
}
