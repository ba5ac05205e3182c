package usermode

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// Flags of a route, of linux/route.h.
const (
	routeUp     = 0x1
	routeReject = 0x200
)

// parseRoutes reads /proc/net/route: the destinations of the main table, and whether one of them is the default. Lines that
// make no sense are left out, and so is a last one that is cut off.
func parseRoutes(b []byte) (list []netip.Prefix, byDefault bool) {
	whole := b[:strings.LastIndexByte(string(b), '\n')+1]
	for line := range strings.Lines(string(whole)) {
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		to, err1 := strconv.ParseUint(f[1], 16, 32)
		flags, err2 := strconv.ParseUint(f[3], 16, 32)
		mask, err3 := strconv.ParseUint(f[7], 16, 32)
		if err1 != nil || err2 != nil || err3 != nil || flags&routeUp == 0 || flags&routeReject != 0 {
			continue
		}
		// The kernel prints what lies in memory as a number of the machine's own byte order.
		var addr [4]byte
		binary.NativeEndian.PutUint32(addr[:], uint32(to))
		p := netip.PrefixFrom(netip.AddrFrom4(addr), bits.OnesCount32(uint32(mask)))
		if p.Bits() == 0 {
			byDefault = true
			continue
		}
		list = append(list, p)
	}
	return list, byDefault
}
