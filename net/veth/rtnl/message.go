package rtnl

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Message is a request under construction: nlmsghdr, the fixed header of its kind,
// attributes.
type Message struct{ b []byte }

// New starts a request of a kind, like RTM_NEWLINK. NLM_F_REQUEST is always among its
// flags. header is the kind's fixed part.
func New(kind, flags uint16, header []byte) *Message {
	m := &Message{b: make([]byte, unix.NLMSG_HDRLEN, 512)}
	binary.NativeEndian.PutUint16(m.b[4:], kind)
	binary.NativeEndian.PutUint16(m.b[6:], flags|unix.NLM_F_REQUEST)
	m.append(header)
	return m
}

// append adds bytes, and zeros up to the next multiple of four.
func (m *Message) append(data []byte) {
	m.b = append(m.b, data...)
	m.b = append(m.b, make([]byte, align4(len(m.b))-len(m.b))...)
}

// Attr adds an attribute.
func (m *Message) Attr(kind uint16, data []byte) {
	m.b = binary.NativeEndian.AppendUint16(m.b, uint16(unix.SizeofRtAttr+len(data)))
	m.b = binary.NativeEndian.AppendUint16(m.b, kind)
	m.append(data)
}

// Uint32 adds an attribute of a number in the machine's byte order.
func (m *Message) Uint32(kind uint16, n uint32) {
	m.Attr(kind, binary.NativeEndian.AppendUint32(nil, n))
}

// String adds an attribute of a string with the zero byte that ends it.
func (m *Message) String(kind uint16, s string) { m.Attr(kind, append([]byte(s), 0)) }

// Nest adds an attribute that holds what inner adds.
func (m *Message) Nest(kind uint16, inner func()) {
	start := len(m.b)
	m.Attr(kind, nil)
	inner()
	binary.NativeEndian.PutUint16(m.b[start:], uint16(len(m.b)-start))
}

// Header adds a fixed header inside an attribute, as VETH_INFO_PEER has one.
func (m *Message) Header(header []byte) { m.append(header) }

// acknowledged asks for the kernel's verdict.
func (m *Message) acknowledged() *Message {
	flags := binary.NativeEndian.Uint16(m.b[6:])
	binary.NativeEndian.PutUint16(m.b[6:], flags|unix.NLM_F_ACK)
	return m
}

// finish sets length and sequence number.
func (m *Message) finish(sequence uint32) []byte {
	binary.NativeEndian.PutUint32(m.b, uint32(len(m.b)))
	binary.NativeEndian.PutUint32(m.b[8:], sequence)
	return m.b
}

// attributes calls found for each attribute of an answer, with its type stripped of
// flags. What is cut short ends it.
func attributes(b []byte, found func(kind uint16, data []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return
		}
		kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		found(kind, b[unix.SizeofRtAttr:size])
		b = b[min(align4(size), len(b)):]
	}
}

func align4(n int) int { return (n + 3) &^ 3 }
