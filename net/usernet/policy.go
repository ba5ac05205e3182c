package usernet

import (
	"fmt"
	"net/netip"
	"strings"
)

// MaxSize is the largest policy that is read, in bytes.
const MaxSize = 64 << 10

// Policy is what a file grants.
type Policy struct {
	Allows []Allow
	Pools  []Pool
}

// LineError is a line that cannot be read.
type LineError struct {
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// Parse reads a policy. A line with an error makes the whole policy one: what its author
// wanted is not known, and a policy that holds in part would go unnoticed. The error is a
// *LineError.
func Parse(text string) (Policy, error) {
	var p Policy
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		entry, err := ParseLine(line)
		if err != nil {
			return Policy{}, &LineError{number, err}
		}
		switch {
		case entry.Allow.Bridge != "":
			p.Allows = append(p.Allows, entry.Allow)
		case entry.Pool.Bridge != "":
			p.Pools = append(p.Pools, entry.Pool)
		}
	}
	return p, nil
}

// Count is how many links a caller may have to a bridge: what the lines that name him or
// one of his groups add up to.
func (p Policy) Count(c Caller, bridge string) int {
	n := 0
	for _, a := range p.Allows {
		if a.Bridge == bridge && c.is(a) {
			n += a.Count
		}
	}
	return n
}

// pools are the subnets of a bridge, of one family.
func (p Policy) pools(bridge string, six bool) []netip.Prefix {
	var found []netip.Prefix
	for _, pool := range p.Pools {
		if pool.Bridge == bridge && pool.Subnet.Addr().Is6() == six {
			found = append(found, pool.Subnet)
		}
	}
	return found
}
