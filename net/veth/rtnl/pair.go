package rtnl

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// End is one end of a veth pair to be made.
type End struct {
	Name string
	MAC  [6]byte
	MTU  int
}

// MakePair makes a veth pair by one message: the outer end here, the inner one in the
// net namespace of the descriptor. Both are down. master is the index of the outer
// end's bridge, or 0. Each end has one queue: that is the fastest to make, and enough
// for one container.
//
// The errors are rtnetlink(7)'s: EEXIST for either name, EPERM without CAP_NET_ADMIN
// over one of the namespaces.
func (s *Socket) MakePair(outer, inner End, master, netns int) error {
	m := New(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, make([]byte, unix.SizeofIfInfomsg))
	outer.attributes(m)
	if master != 0 {
		m.Uint32(unix.IFLA_MASTER, uint32(master))
	}
	m.Nest(unix.IFLA_LINKINFO, func() {
		m.String(unix.IFLA_INFO_KIND, "veth")
		m.Nest(unix.IFLA_INFO_DATA, func() {
			const peer = 1 // VETH_INFO_PEER, linux/veth.h
			m.Nest(peer, func() {
				m.Header(make([]byte, unix.SizeofIfInfomsg))
				inner.attributes(m)
				m.Uint32(unix.IFLA_NET_NS_FD, uint32(netns))
			})
		})
	})
	return s.Do("make veth pair", m)
}

func (e End) attributes(m *Message) {
	m.String(unix.IFLA_IFNAME, e.Name)
	m.Attr(unix.IFLA_ADDRESS, e.MAC[:])
	m.Uint32(unix.IFLA_MTU, uint32(e.MTU))
	m.Uint32(unix.IFLA_NUM_TX_QUEUES, 1)
	m.Uint32(unix.IFLA_NUM_RX_QUEUES, 1)
}

// SetUp gives an interface its alias and sets it up, by one message.
func (s *Socket) SetUp(index int, alias string) error {
	header := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	binary.NativeEndian.PutUint32(header[8:], unix.IFF_UP)
	binary.NativeEndian.PutUint32(header[12:], unix.IFF_UP)
	m := New(unix.RTM_NEWLINK, 0, header)
	m.Attr(unix.IFLA_IFALIAS, []byte(alias))
	return s.Do("set link up", m)
}

// Remove removes an interface, and a veth's other end with it.
func (s *Socket) Remove(name string) error {
	m := New(unix.RTM_DELLINK, 0, make([]byte, unix.SizeofIfInfomsg))
	m.String(unix.IFLA_IFNAME, name)
	return s.Do("remove link", m)
}

// AddPeer gives an interface an address with the other end's as its peer: the one route
// that follows leads to that one address, whatever the width of the net is.
func (s *Socket) AddPeer(index int, local, peer netip.Addr) error {
	header := make([]byte, unix.SizeofIfAddrmsg)
	header[0] = unix.AF_INET
	if local.Is6() {
		header[0] = unix.AF_INET6
		header[2] = unix.IFA_F_NODAD // nobody else is on the link
	}
	header[1] = byte(local.BitLen())
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	m := New(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, header)
	m.Attr(unix.IFA_LOCAL, local.AsSlice())
	m.Attr(unix.IFA_ADDRESS, peer.AsSlice())
	return s.Do("add address", m)
}
