package firewall

import (
	"bytes"
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers hold 16 bytes each and lie behind one another, so that a key that
// begins with the name of a link, 16 bytes, goes on in the second. The small ones, of 4
// bytes, are places in them: an address behind a hardware address, which takes 8 in a key,
// begins in the middle of the second.
const (
	first  = unix.NFT_REG_1
	second = unix.NFT_REG_2
	middle = unix.NFT_REG32_06
)

// A part is what one condition or verdict is made of; a rule is a list of parts.
type part []expr.Any

func load(key expr.MetaKey) *expr.Meta { return &expr.Meta{Key: key, Register: first} }

func is(key expr.MetaKey, value []byte) part {
	return part{load(key), &expr.Cmp{Op: expr.CmpOpEq, Register: first, Data: value}}
}

// protocol reads the frame itself: of one with a VLAN tag the kernel has taken the
// tag off before, as a network card would, and calls its protocol the inner one.
func protocol(ethertype uint16) part { return etherType.is(big16(ethertype)...) }

func layer4(number byte) part { return is(expr.MetaKeyL4PROTO, []byte{number}) }

// linkIs compares the whole name; linkBegins its beginning.
func linkIs(key expr.MetaKey, name string) part { return is(key, ifname(name)) }

func linkBegins(key expr.MetaKey, op expr.CmpOp, prefix string) part {
	return part{load(key), &expr.Cmp{Op: op, Register: first, Data: []byte(prefix)}}
}

// field is a place in a packet.
type field struct {
	base        expr.PayloadBase
	offset, len uint32
}

var (
	etherSource = field{expr.PayloadBaseLLHeader, 6, 6}
	etherType   = field{expr.PayloadBaseLLHeader, 12, 2}
	arpKind     = field{expr.PayloadBaseNetworkHeader, 0, 6}
	arpHardware = field{expr.PayloadBaseNetworkHeader, 8, 6}
	arpAddress  = field{expr.PayloadBaseNetworkHeader, 14, 4}
	ip4Source   = field{expr.PayloadBaseNetworkHeader, 12, 4}
	ip4Target   = field{expr.PayloadBaseNetworkHeader, 16, 4}
	ip6Source   = field{expr.PayloadBaseNetworkHeader, 8, 16}
	sourcePort  = field{expr.PayloadBaseTransportHeader, 0, 2}
	targetPort  = field{expr.PayloadBaseTransportHeader, 2, 2}
	icmpType    = field{expr.PayloadBaseTransportHeader, 0, 1}
	neighbour   = field{expr.PayloadBaseTransportHeader, 8, 16}
)

func (f field) load(register uint32) *expr.Payload {
	return &expr.Payload{DestRegister: register, Base: f.base, Offset: f.offset, Len: f.len}
}

func (f field) is(value ...byte) part {
	return part{f.load(first), &expr.Cmp{Op: expr.CmpOpEq, Register: first, Data: value}}
}

func (f field) isNot(value ...byte) part {
	return part{f.load(first), &expr.Cmp{Op: expr.CmpOpNeq, Register: first, Data: value}}
}

// in looks the incoming link and the field up in a set of both.
func (f field) in(s *nftables.Set) part {
	return part{load(expr.MetaKeyIIFNAME), f.load(second), lookup(s)}
}

func (f field) notIn(s *nftables.Set) part { return inverted(f.in(s)) }

// withIn looks the incoming link, a hardware address and the field up in a set of the three.
func (f field) withIn(hardware field, s *nftables.Set) part {
	return part{load(expr.MetaKeyIIFNAME), hardware.load(second), f.load(middle), lookup(s)}
}

// pairIn is withIn the frame's own source.
func (f field) pairIn(s *nftables.Set) part { return f.withIn(etherSource, s) }

func (f field) pairNotIn(s *nftables.Set) part { return inverted(f.pairIn(s)) }

func lookup(s *nftables.Set) *expr.Lookup {
	return &expr.Lookup{SourceRegister: first, SetName: s.Name, SetID: s.ID}
}

// inverted is what holds where a lookup finds nothing.
func inverted(p part) part {
	last := *p[len(p)-1].(*expr.Lookup)
	last.Invert = true
	return append(p[:len(p)-1:len(p)-1], &last)
}

func linkIn(s *nftables.Set) part {
	return part{load(expr.MetaKeyIIFNAME), lookup(s)}
}

// answered are packets of a connection that was let through before, and errors
// that belong to one.
func answered() part {
	native := binary.NativeEndian.AppendUint32
	return part{
		&expr.Ct{Key: expr.CtKeySTATE, Register: first},
		&expr.Bitwise{
			SourceRegister: first, DestRegister: first, Len: 4,
			Mask: native(nil, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), Xor: native(nil, 0),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: first, Data: native(nil, 0)},
	}
}

func accept() part { return part{&expr.Verdict{Kind: expr.VerdictAccept}} }
func drop() part   { return part{&expr.Verdict{Kind: expr.VerdictDrop}} }

func big16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

// ifname pads a link's name to the 16 bytes of IFNAMSIZ.
func ifname(name string) []byte {
	return append([]byte(name), bytes.Repeat([]byte{0}, 16-len(name))...)
}
