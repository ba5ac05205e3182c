package usernet

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// addresses sets the IPv4 addresses: the ones that were asked for, the others out of the
// pools.
func (d *decision) addresses(g *Grant) error {
	r := d.request
	switch {
	case d.master != 0 && r.IP.IsValid():
		return d.take(g, netip.Prefix{}, r.IP)
	case d.master != 0:
		return d.search(1, func(first netip.Addr, pool netip.Prefix) error {
			net := d.bridgeNet(first, pool)
			if !isHost(pool, first) || !isHost(net, first) {
				return refuse(Taken)
			}
			return d.take(g, netip.Prefix{}, netip.PrefixFrom(first, net.Bits()))
		})
	case r.IP.IsValid() && r.Host.IsValid():
		return d.take(g, r.Host, r.IP)
	case r.IP.IsValid():
		return d.partner(r.IP, func(host netip.Prefix) error { return d.take(g, host, r.IP) })
	case r.Host.IsValid():
		return d.partner(r.Host, func(ip netip.Prefix) error { return d.take(g, r.Host, ip) })
	}
	// Two neighbours are a net of their own, RFC 3021: links do not meet in a wider one.
	return d.search(2, func(first netip.Addr, pool netip.Prefix) error {
		second := first.Next()
		if !isHost(pool, first) || !isHost(pool, second) {
			return refuse(Taken)
		}
		return d.take(g, netip.PrefixFrom(first, 31), netip.PrefixFrom(second, 31))
	})
}

// partner looks for the other end's address in the net of the one that was asked for.
func (d *decision) partner(asked netip.Prefix, try func(netip.Prefix) error) error {
	return d.search(1, func(addr netip.Addr, pool netip.Prefix) error {
		if addr == asked.Addr() || !isHost(pool, addr) || !isHost(asked, addr) {
			return refuse(Taken)
		}
		return try(netip.PrefixFrom(addr, asked.Bits()))
	}, asked)
}

// take sets addresses that are free and lead nowhere else.
func (d *decision) take(g *Grant, host, ip netip.Prefix) error {
	if d.used[ip.Addr()] || host.IsValid() && d.used[host.Addr()] {
		return refuse(Taken)
	}
	if err := d.clash(ip.Masked()); err != nil {
		return err
	}
	g.IP = ip
	if host.IsValid() {
		if err := d.clash(host.Masked()); err != nil {
			return err
		}
		g.Host, g.Gateway = host.Addr(), host.Addr()
		return nil
	}
	for _, a := range d.addrs {
		if a.Local.Addr().Is4() && ip.Contains(a.Local.Addr()) {
			g.Gateway = a.Local.Addr()
			break
		}
	}
	return nil
}

// bridgeNet is the bridge's net that an address lies in, else the pool.
func (d *decision) bridgeNet(addr netip.Addr, pool netip.Prefix) netip.Prefix {
	for _, a := range d.addrs {
		if a.Local.Contains(addr) {
			return a.Local
		}
	}
	return pool
}

// most is how many addresses are tried. A pool may be much larger.
const most = 1 << 16

// search tries the addresses of the pools, within a net if one is given, in steps of 1 or
// 2. It begins somewhere, so that parallel calls seldom want the same one, and goes around.
// Without any that can be had it returns a clash if there was one, for that is what an
// administrator can do something about.
func (d *decision) search(step uint32, try func(netip.Addr, netip.Prefix) error, within ...netip.Prefix) error {
	result := refuse(Taken)
	for _, pool := range d.pools {
		low, high := number4(pool.Addr()), number4(last(pool))
		for _, net := range within {
			low, high = max(low, number4(net.Masked().Addr())), min(high, number4(last(net)))
		}
		if low > high {
			continue
		}
		// At most 2^24 addresses, as the shortest pool is a /8.
		n := (high - low + 1) / step
		start := uint32(d.pick(int(n)))
		for i := range min(n, most) {
			err := try(addr4(low+(start+i)%n*step), pool)
			if err == nil {
				return nil
			}
			if r, ok := errors.AsType[*Refusal](err); ok && r.Word == Clash {
				result = err
			}
		}
	}
	return result
}

func number4(a netip.Addr) uint32 { b := a.As4(); return binary.BigEndian.Uint32(b[:]) }

func addr4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

// addresses6 derives IPv6 addresses from the IPv4 ones, which makes them as unique as
// those.
func (d *decision) addresses6(g *Grant, pools []netip.Prefix) error {
	if len(pools) == 0 {
		return nil
	}
	pool := pools[0]
	if err := d.clash(pool); err != nil {
		return err
	}
	g.IP6 = netip.PrefixFrom(addr6(pool, g.IP.Addr()), pool.Bits())
	if d.master == 0 {
		g.Host6 = addr6(pool, g.Host)
		g.Gateway6 = g.Host6
		return nil
	}
	for _, a := range d.addrs {
		if a.Local.Addr().Is6() && !a.Local.Addr().IsLinkLocalUnicast() && a.Local.Contains(g.IP6.Addr()) {
			g.IP6 = netip.PrefixFrom(g.IP6.Addr(), a.Local.Bits())
			g.Gateway6 = a.Local.Addr()
			break
		}
	}
	return nil
}

func addr6(pool netip.Prefix, ip netip.Addr) netip.Addr {
	b, low := pool.Addr().As16(), ip.As4()
	copy(b[12:], low[:])
	return netip.AddrFrom16(b)
}
