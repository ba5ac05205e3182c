package forward

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A dialer finds the server in the container.
type dialer struct {
	transparent Transparent

	mu   sync.Mutex
	own  [2]netip.Addr // IPv4, IPv6; invalid where there is none
	read time.Time
}

// Only a server whose queue is full does not answer at once.
const (
	dialTime        = 10 * time.Second
	transparentTime = 3 * time.Second
)

// addresses are the container's own. They are set up while the forwarder already runs and
// may change, so what was read holds for a second, and for less while there was nothing.
func (d *dialer) addresses() [2]netip.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	valid := time.Second
	if !d.own[0].IsValid() && !d.own[1].IsValid() {
		valid = 20 * time.Millisecond
	}
	if time.Since(d.read) < valid {
		return d.own
	}
	d.own = [2]netip.Addr{}
	all, _ := net.InterfaceAddrs() // none known: the loopback addresses remain
	for _, a := range all {
		network, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, _ := netip.AddrFromSlice(network.IP)
		addr = addr.Unmap()
		if at := family(addr); addr.IsGlobalUnicast() && !d.own[at].IsValid() {
			d.own[at] = addr
		}
	}
	d.read = time.Now()
	return d.own
}

func (d *dialer) forget() {
	d.mu.Lock()
	d.read = time.Time{}
	d.mu.Unlock()
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// targets are where the server of a client may listen, in the order to try.
func (d *dialer) targets(client netip.Addr) []netip.Addr {
	own, loopback := d.addresses(), [2]netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	first := family(client)
	list := make([]netip.Addr, 0, 4)
	for _, a := range []netip.Addr{own[first], own[1-first], loopback[first], loopback[1-first]} {
		if a.IsValid() {
			list = append(list, a)
		}
	}
	return list
}

// dialTCP connects to the port, with the client's address where that can be.
func (d *dialer) dialTCP(ctx context.Context, client netip.AddrPort, port uint16) (*net.TCPConn, error) {
	client = netip.AddrPortFrom(client.Addr().Unmap(), client.Port())
	var err error
	for _, target := range d.targets(client.Addr()) {
		to := netip.AddrPortFrom(target, port)
		var c *net.TCPConn
		if d.keeps(client.Addr(), target) {
			if c, err = dialAs(ctx, client, to); err == nil {
				return c, nil
			}
			// The address and port may be taken by an earlier connection of that client to
			// another published port; the address alone is what matters.
			if errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EADDRNOTAVAIL) {
				if c, err = dialAs(ctx, netip.AddrPortFrom(client.Addr(), 0), to); err == nil {
					return c, nil
				}
			}
			if errors.Is(err, unix.ECONNREFUSED) {
				continue
			}
		}
		plain := net.Dialer{Timeout: dialTime}
		var conn net.Conn
		if conn, err = plain.DialContext(ctx, "tcp", to.String()); err == nil {
			return conn.(*net.TCPConn), nil
		}
		if !errors.Is(err, unix.ECONNREFUSED) {
			d.forget() // the address may be gone
		}
	}
	return nil, err
}

// keeps says whether a server at target can see the client's address.
func (d *dialer) keeps(client, target netip.Addr) bool {
	if client.Is4() != target.Is4() || !d.transparent.has(client) {
		return false
	}
	// The other addresses have no meaning away from their link or host. One of the
	// container's own would make it a connection of the container to itself.
	return client.IsGlobalUnicast() && client.Zone() == "" && client != target
}

// dialAs connects from an address that is the client's.
func dialAs(ctx context.Context, client, to netip.AddrPort) (*net.TCPConn, error) {
	as := net.Dialer{
		Timeout:   transparentTime,
		LocalAddr: net.TCPAddrFromAddrPort(client),
		Control: func(_, _ string, c syscall.RawConn) error {
			var failed error
			if err := c.Control(func(fd uintptr) { failed = makeTransparent(int(fd), to.Addr().Is4()) }); err != nil {
				return err
			}
			return failed
		},
	}
	c, err := as.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}
