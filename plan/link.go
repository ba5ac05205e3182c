package plan

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Link is what ConfigureLink gives a link; zero values are left out.
type Link struct {
	IP, IP6           netip.Prefix
	Gateway, Gateway6 netip.Addr
}

// maxPieces bounds the parts of the message, between which the link's index stands.
const maxPieces = 16

// linkRequest is a message to the kernel (rtnetlink(7)) that is put together from
// pieces: the link's index is known to the child alone, who has it from ifr.
type linkRequest struct {
	ifr    ifreqIndex
	msg    unix.Msghdr
	iov    [maxPieces]unix.Iovec
	text   [1024]byte
	answer [1024]byte
}

// ifreqIndex is struct ifreq of netdevice(7) with an index.
type ifreqIndex struct {
	name  [unix.IFNAMSIZ]byte
	index int32
	_     [20]byte
}

func (s ConfigureLink) lower(p *program) {
	r := (*linkRequest)(p.a.alloc(int(unsafe.Sizeof(linkRequest{}))))
	copy(r.ifr.name[:unix.IFNAMSIZ-1], s.From)
	r.msg.Iov = &r.iov[0]
	*(*uint64)(p.a.at(p.memory.link)) = address(r)

	fd := p.keep(p.call(unix.SYS_SOCKET, lit(unix.AF_NETLINK), lit(unix.SOCK_RAW|unix.SOCK_CLOEXEC), lit(unix.NETLINK_ROUTE)))
	p.call(unix.SYS_IOCTL, fd, lit(unix.SIOCGIFINDEX), lit(address(&r.ifr)))
	p.call(unix.SYS_SENDMSG, fd, lit(address(&r.msg)), lit(0))
	// The kernel answers the first part that fails, and the last one in any case.
	p.call(unix.SYS_RECVFROM, fd, lit(address(&r.answer)), lit(len(r.answer)), lit(0), lit(0), lit(0))
	p.close(fd)
	p.judge(&r.answer[unix.SizeofNlMsghdr])
}

// judge fails with the negative errno of an answer of netlink, unless that is 0.
func (p *program) judge(answer *byte) {
	result := address(answer)
	o := p.compare(at(result), 1<<32-1, 0, 0)
	o.arg[3], o.deref = result, o.deref|1<<3
}

// SetLink says what ConfigureLink gives its link. It must come before the Go that
// leads to that step.
func (c *Child) SetLink(to string, l Link) error {
	at := *(*uint64)(c.arena.at(c.link))
	if at == 0 {
		return errors.New("BUG: the plan configures no link")
	}
	r := (*linkRequest)(c.arena.at(at))
	b := linkMessage{r: r, text: r.text[:0]}
	name := append([]byte(to), 0)
	b.begin(unix.RTM_NEWLINK, 0)
	b.bytes(unix.AF_UNSPEC, 0, 0, 0)
	b.index()
	b.uint32(unix.IFF_UP)
	b.uint32(unix.IFF_UP)
	b.attr(unix.IFLA_IFNAME, name)
	for _, ip := range []netip.Prefix{l.IP, l.IP6} {
		if !ip.IsValid() {
			continue
		}
		family, flags := byte(unix.AF_INET), byte(0)
		if ip.Addr().Is6() {
			// nobody else has it: no second of waiting for who might (RFC 4862)
			family, flags = unix.AF_INET6, unix.IFA_F_NODAD
		}
		b.begin(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
		b.bytes(family, byte(ip.Bits()), flags, unix.RT_SCOPE_UNIVERSE)
		b.index()
		b.attr(unix.IFA_LOCAL, ip.Addr().AsSlice())
		b.attr(unix.IFA_ADDRESS, ip.Addr().AsSlice())
		if ip.Addr().Is4() && ip.Bits() < 31 {
			b.attr(unix.IFA_BROADCAST, broadcast(ip))
		}
	}
	for _, gateway := range []netip.Addr{l.Gateway, l.Gateway6} {
		if !gateway.IsValid() {
			continue
		}
		family := byte(unix.AF_INET)
		if gateway.Is6() {
			family = unix.AF_INET6
		}
		b.begin(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
		b.bytes(family, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST)
		b.uint32(0)
		b.attr(unix.RTA_GATEWAY, gateway.AsSlice())
		b.head(unix.RTA_OIF, 4)
		b.index()
	}
	return b.end()
}

func broadcast(p netip.Prefix) []byte {
	a := p.Addr().As4()
	all := binary.BigEndian.Uint32(a[:]) | (1<<(32-p.Bits()) - 1)
	return binary.BigEndian.AppendUint32(nil, all)
}

// linkMessage puts a linkRequest together.
type linkMessage struct {
	r      *linkRequest
	text   []byte // all but the indexes
	from   int    // where the piece under way begins
	start  int    // where the message under way has its header; its length comes first
	pieces int
	within int // bytes of indexes in the message under way
	open   bool
}

func (b *linkMessage) bytes(list ...byte) { b.text = append(b.text, list...) }
func (b *linkMessage) uint32(n uint32)    { b.text = binary.NativeEndian.AppendUint32(b.text, n) }

func (b *linkMessage) begin(kind, flags uint16) {
	b.finish(0)
	b.open, b.start, b.within = true, len(b.text), 0
	b.uint32(0)
	b.text = binary.NativeEndian.AppendUint16(b.text, kind)
	b.text = binary.NativeEndian.AppendUint16(b.text, flags|unix.NLM_F_REQUEST)
	b.uint32(1)
	b.uint32(0)
}

// finish writes the length of the message under way.
func (b *linkMessage) finish(flags uint16) {
	if !b.open {
		return
	}
	head := b.text[b.start:]
	binary.NativeEndian.PutUint32(head, uint32(len(head)+b.within))
	binary.NativeEndian.PutUint16(head[6:], binary.NativeEndian.Uint16(head[6:])|flags)
}

func (b *linkMessage) head(kind uint16, size int) {
	b.text = binary.NativeEndian.AppendUint16(b.text, uint16(unix.SizeofRtAttr+size))
	b.text = binary.NativeEndian.AppendUint16(b.text, kind)
}

func (b *linkMessage) attr(kind uint16, value []byte) {
	b.head(kind, len(value))
	b.text = append(b.text, value...)
	for len(b.text)%4 != 0 {
		b.text = append(b.text, 0)
	}
}

// piece ends the piece under way, so that something else may follow.
func (b *linkMessage) piece(base *byte, size int) {
	if b.pieces < maxPieces {
		b.r.iov[b.pieces].Base = base
		b.r.iov[b.pieces].SetLen(size)
	}
	b.pieces++
}

func (b *linkMessage) flush() {
	if len(b.text) > b.from && len(b.text) <= len(b.r.text) {
		b.piece(&b.r.text[b.from], len(b.text)-b.from)
	}
	b.from = len(b.text)
}

// index puts in the link's index, 4 bytes that are read when the message is sent.
func (b *linkMessage) index() {
	b.flush()
	b.piece((*byte)(unsafe.Pointer(&b.r.ifr.index)), 4)
	b.within += 4
}

func (b *linkMessage) end() error {
	b.finish(unix.NLM_F_ACK)
	b.flush()
	if b.pieces > maxPieces || len(b.text) > len(b.r.text) {
		return unix.EMSGSIZE
	}
	b.r.msg.SetIovlen(b.pieces)
	return nil
}
