package session

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// vethInfoPeer is VETH_INFO_PEER of linux/veth.h: a struct ifinfomsg and the
// attributes of the other end.
const vethInfoPeer = 1

// Link is a netlink message, RTM_NEWLINK, for a socket in the session's net
// namespace whose owner has CAP_NET_ADMIN there and over the target namespace.
type Link struct {
	// Message is what to send. Its sequence number is 1.
	Message []byte
	// Target is the offset in Message of the 32-bit number, in the machine's byte
	// order, that names the net namespace, for who learns it late.
	Target int
}

// TargetKind is how the target namespace is named.
type TargetKind uint16

const (
	// ByFD: the number of a descriptor of the net namespace, in the process that
	// sends the message.
	ByFD TargetKind = unix.IFLA_NET_NS_FD
	// ByPid: the pid of a process in it, as the sender's pid namespace has it.
	ByPid TargetKind = unix.IFLA_NET_NS_PID
)

// LinkMessage encodes the message that makes the veth of port p: the outer end
// p.Name, up, on the network's bridge; the inner end, called inner, in the target
// namespace, with p.MAC and still down, because the kernel answers ENOTCONN when
// asked to start one end before there is another. Both have one queue: more cost
// time for each processor.
//
// The kernel answers EEXIST when p is taken (NLM_F_EXCL): then n.Next(p) is to be
// tried. Nothing is left behind when it fails.
func (n Network) LinkMessage(p Port, inner string, kind TargetKind, target int) Link {
	var e encoder
	e.bytes(make([]byte, unix.NLMSG_HDRLEN))
	e.link(unix.IFF_UP)
	e.text(unix.IFLA_IFNAME, p.Name)
	e.number(unix.IFLA_MTU, uint32(p.MTU))
	e.number(unix.IFLA_MASTER, uint32(n.IfIndex))
	e.number(unix.IFLA_NUM_TX_QUEUES, 1)
	e.number(unix.IFLA_NUM_RX_QUEUES, 1)
	info := e.open(unix.IFLA_LINKINFO)
	e.text(unix.IFLA_INFO_KIND, "veth")
	data := e.open(unix.IFLA_INFO_DATA)
	peer := e.open(vethInfoPeer)
	e.link(0)
	e.text(unix.IFLA_IFNAME, inner)
	e.attribute(unix.IFLA_ADDRESS, p.MAC[:])
	e.number(unix.IFLA_MTU, uint32(p.MTU))
	e.number(unix.IFLA_NUM_TX_QUEUES, 1)
	e.number(unix.IFLA_NUM_RX_QUEUES, 1)
	e.number(uint16(kind), uint32(target))
	at := len(e) - 4
	e.close(peer)
	e.close(data)
	e.close(info)

	native := binary.NativeEndian
	native.PutUint32(e[0:], uint32(len(e)))
	native.PutUint16(e[4:], unix.RTM_NEWLINK)
	native.PutUint16(e[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	native.PutUint32(e[8:], 1)
	return Link{Message: e, Target: at}
}

// Answer reads the kernel's answer to a message: nil, or the errno it gives, as
// unix.EEXIST for a port that is taken.
func Answer(b []byte) error {
	if len(b) < unix.NLMSG_HDRLEN+4 || binary.NativeEndian.Uint16(b[4:]) != unix.NLMSG_ERROR {
		return os.NewSyscallError("netlink", errors.New("the answer is none"))
	}
	if code := int32(binary.NativeEndian.Uint32(b[unix.NLMSG_HDRLEN:])); code != 0 {
		return os.NewSyscallError("netlink RTM_NEWLINK", unix.Errno(-code))
	}
	return nil
}

// encoder appends what a netlink message is made of; all of it is aligned to 4
// bytes (netlink(7)).
type encoder []byte

func (e *encoder) bytes(b []byte) {
	*e = append(*e, b...)
	for len(*e)%unix.NLMSG_ALIGNTO != 0 {
		*e = append(*e, 0)
	}
}

// link appends a struct ifinfomsg.
func (e *encoder) link(flags uint32) {
	var b [unix.SizeofIfInfomsg]byte
	binary.NativeEndian.PutUint32(b[8:], flags)
	binary.NativeEndian.PutUint32(b[12:], flags) // the mask of flags that change
	e.bytes(b[:])
}

func (e *encoder) open(kind uint16) int {
	at := len(*e)
	var b [unix.SizeofRtAttr]byte
	binary.NativeEndian.PutUint16(b[2:], kind)
	e.bytes(b[:])
	return at
}

func (e *encoder) close(at int) {
	binary.NativeEndian.PutUint16((*e)[at:], uint16(len(*e)-at))
}

func (e *encoder) attribute(kind uint16, value []byte) {
	at := e.open(kind)
	*e = append(*e, value...)
	e.close(at) // the padding does not count
	e.bytes(nil)
}

func (e *encoder) text(kind uint16, s string) { e.attribute(kind, append([]byte(s), 0)) }

func (e *encoder) number(kind uint16, v uint32) {
	e.attribute(kind, binary.NativeEndian.AppendUint32(nil, v))
}
