package session

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Auto is the network of containers that ask for none by name: each of them
// reaches the outside and none of the others. Every session has it.
const Auto = "auto"

// MaxNetworks is how many networks a session has, beside Auto.
const MaxNetworks = 250

// MinBits and MaxBits bound the size of a network: the filters of all its ports
// are made when it is.
const (
	MinBits = 20
	MaxBits = 29
)

// Network is one named network: a bridge in the session's net namespace.
type Network struct {
	Name string `json:"name"`
	// Index tells networks of one session apart, 0 to MaxNetworks; the names of
	// links, hardware addresses and IPv6 subnets are made of it. 0 is Auto's.
	Index int `json:"index"`
	// Subnet is the IPv4 subnet, masked, of MinBits to MaxBits. Its first address
	// is the bridge's: the gateway, and the name server.
	Subnet netip.Prefix `json:"subnet"`
	// Subnet6 is a unique local subnet of 64 bits (RFC 4193), the zero value where
	// the kernel has no IPv6.
	Subnet6 netip.Prefix `json:"subnet6,omitzero"`
	// Internal networks have no way out.
	Internal bool `json:"internal,omitempty"`
	// Isolated: ports do not reach each other.
	Isolated bool `json:"isolated,omitempty"`
	// Bridge is the link's name, and IfIndex its index in the session's net
	// namespace, 0 while no session runs.
	Bridge  string    `json:"bridge"`
	IfIndex int       `json:"ifindex,omitempty"`
	MTU     int       `json:"mtu"`
	Created time.Time `json:"created"`
}

// reserved are words that --net has another meaning for.
func reserved(name string) bool {
	switch name {
	case Auto, "none", "host", "private", "bridge", "default", "container", "ns", "pasta", "slirp4netns", "veth", "session":
		return true
	}
	return false
}

// CheckName tells whether a network may be called name: letters, digits, _, . and
// -, at most 63, the first a letter or digit, and no word that --net knows.
func CheckName(name string) error {
	if name == "" || len(name) > 63 {
		return fmt.Errorf("network name %q: want 1 to 63 letters", name)
	}
	for i, c := range []byte(name) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '_' && c != '.' && c != '-') {
			return fmt.Errorf("network name %q: want letters, digits, _, . and -, a letter or digit first", name)
		}
	}
	if reserved(name) {
		return fmt.Errorf("network name %q: --net=%s means something else", name, name)
	}
	return nil
}

// CheckSubnet tells whether a network may have the IPv4 subnet p.
func CheckSubnet(p netip.Prefix) error {
	switch {
	case !p.IsValid() || !p.Addr().Is4():
		return fmt.Errorf("subnet %q: want an IPv4 subnet like 10.9.8.0/24", p)
	case p != p.Masked():
		return fmt.Errorf("subnet %s: has bits behind its length (want %s)", p, p.Masked())
	case p.Bits() < MinBits || p.Bits() > MaxBits:
		return fmt.Errorf("subnet %s: want a length of %d to %d bits", p, MinBits, MaxBits)
	case p.Addr().IsMulticast() || p.Addr().IsLoopback() || p.Addr().IsUnspecified() || p.Addr().As4()[0] == 0 || p.Addr().As4()[0] >= 240:
		return fmt.Errorf("subnet %s: holds addresses that no host may have", p)
	}
	return nil
}

// Gateway is the bridge's IPv4 address, the first of the subnet.
func (n Network) Gateway() netip.Addr { return n.Subnet.Addr().Next() }

// Gateway6 is the bridge's IPv6 address, the zero value where there is none.
func (n Network) Gateway6() netip.Addr {
	if !n.Subnet6.IsValid() {
		return netip.Addr{}
	}
	return n.Subnet6.Addr().Next()
}

// BridgeName is the name of a network's bridge.
func BridgeName(index int) string { return "rl" + strconv.Itoa(index) }

// valid is for networks that were read from a file.
func (n Network) valid() error {
	if n.Name != Auto {
		if err := CheckName(n.Name); err != nil {
			return err
		}
	}
	if err := CheckSubnet(n.Subnet); err != nil {
		return err
	}
	switch {
	case n.Index < 0 || n.Index > MaxNetworks:
		return fmt.Errorf("network %s: no index %d", n.Name, n.Index)
	case n.Subnet6.IsValid() && (!n.Subnet6.Addr().Is6() || n.Subnet6.Bits() != 64 || n.Subnet6 != n.Subnet6.Masked()):
		return fmt.Errorf("network %s: no IPv6 subnet of 64 bits: %s", n.Name, n.Subnet6)
	case n.MTU < 1280 || n.MTU > MTU:
		return fmt.Errorf("network %s: no MTU of %d bytes", n.Name, n.MTU)
	}
	return nil
}

// Networks reads the networks that were made, sorted by name, whether a session
// runs or not. What is no network is left out, and told in the error beside the
// networks that are.
func (d Dir) Networks() ([]Network, error) {
	entries, err := os.ReadDir(d.path("networks"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var out []Network
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		var n Network
		path := d.path("networks", e.Name())
		wrong := readJSON(path, &n)
		if wrong == nil {
			wrong = n.valid()
		}
		if wrong == nil && n.Name != name {
			wrong = fmt.Errorf("network %s in the file of %s", n.Name, name)
		}
		if wrong != nil {
			err = errors.Join(err, wrong)
			continue
		}
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b Network) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

// WriteNetwork writes a network down; RemoveNetwork takes it away, with the names
// of its containers. Errors are *os.PathError.
func (d Dir) WriteNetwork(n Network) error {
	n.IfIndex = 0
	return writeJSON(d.path("networks", n.Name+".json"), n)
}

// RemoveNetwork forgets a network.
func (d Dir) RemoveNetwork(name string) error {
	if err := os.RemoveAll(d.path("names", name)); err != nil {
		return err
	}
	return os.Remove(d.path("networks", name+".json"))
}
