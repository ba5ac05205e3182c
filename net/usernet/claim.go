package usernet

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/rl-run/rl-run/net/veth/rtnl"
)

// The MACs of a pair end in the container's IPv4 address, so that the link claims it from
// its birth. Both are locally administered; the host's begins with fe, because a bridge
// takes the lowest MAC of its ports for its own.
const (
	hostMAC0      = 0xfe
	containerMAC0 = 0x0a
	mac1          = 'r'
)

// MACs are those of the host's end and of the container's.
func MACs(ip netip.Addr) (host, container [6]byte) {
	b := ip.As4()
	copy(host[:], []byte{hostMAC0, mac1})
	copy(host[2:], b[:])
	container = host
	container[0] = containerMAC0
	return host, container
}

// LinkName is the name of a host's end: rl<uid>_ and as many characters of suffix, of
// which there should be eight, as fit into the kernel's 15.
func LinkName(uid uint32, suffix string) string {
	name := "rl" + strconv.FormatUint(uint64(uid), 10) + "_"
	return name + suffix[:min(len(suffix), 15-len(name))]
}

// claim is what a link that rl-veth made says about itself.
type claim struct {
	index  int
	uid    uint32
	master int
	ip     netip.Addr
	done   bool // it has been seen through: no claim can come before it any more
}

// claimOf reads a link. The name alone is no proof that rl-veth made it, but only root
// could have given it.
func claimOf(l rtnl.Link) (claim, bool) {
	digits, _, ok := strings.Cut(strings.TrimPrefix(l.Name, "rl"), "_")
	if !ok || l.Kind != "veth" || !strings.HasPrefix(l.Name, "rl") {
		return claim{}, false
	}
	uid, ok := parseID(digits)
	if !ok || l.MAC[0] != hostMAC0 || l.MAC[1] != mac1 {
		return claim{}, false
	}
	ip := netip.AddrFrom4([4]byte(l.MAC[2:]))
	return claim{l.Index, uid, l.Master, ip, l.Up || l.Alias != ""}, true
}

// Alias is the text that a link shows in `ip link`: whose it is, and its addresses.
func (g Grant) Alias() string {
	s := "rl-run uid=" + strconv.FormatUint(uint64(g.UID), 10)
	if g.Name != "" {
		s += " name=" + g.Name
	}
	s += " ip=" + g.IP.Addr().String()
	if g.IP6.IsValid() {
		s += " ip6=" + g.IP6.Addr().String()
	}
	return s
}
