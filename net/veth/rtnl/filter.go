package rtnl

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Filter puts a classic BPF program before all that an interface receives, tc-bpf(8).
// The program sees the frame from its Ethernet header on, and its return value is the
// verdict: 0 lets pass (TC_ACT_OK), 2 drops (TC_ACT_SHOT). Qdisc and filter hang on the
// interface and go with it.
//
// It needs CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF, which the kernel loads as
// modules itself, and no action; ENOENT says that one of them is missing. A classic
// program needs no bpf(2), and so neither CAP_BPF nor CAP_SYS_ADMIN.
func (s *Socket) Filter(index int, program []unix.SockFilter) error {
	const (
		ingress    = 0xffff_fff1 // TC_H_INGRESS
		handle     = 0xffff_0000
		parent     = 0xffff_fff2 // TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
		tcaKind    = 1
		tcaOptions = 2
		bpfOpsLen  = 4 // TCA_BPF_OPS_LEN
		bpfOps     = 5 // TCA_BPF_OPS
		bpfFlags   = 8 // TCA_BPF_FLAGS
		direct     = 1 // TCA_BPF_FLAG_ACT_DIRECT
	)
	q := New(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL, tcmsg(index, handle, ingress, 0))
	q.String(tcaKind, "ingress")
	if err := s.Do("add ingress qdisc", q); err != nil {
		return err
	}

	var ops bytes.Buffer
	for _, op := range program {
		ops.Write(binary.NativeEndian.AppendUint16(nil, op.Code))
		ops.Write([]byte{op.Jt, op.Jf})
		ops.Write(binary.NativeEndian.AppendUint32(nil, op.K))
	}
	// The priority is in the upper half, the protocol in the lower, in network order.
	var protocol [2]byte
	binary.BigEndian.PutUint16(protocol[:], unix.ETH_P_ALL)
	info := 1<<16 | uint32(binary.NativeEndian.Uint16(protocol[:]))
	f := New(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL, tcmsg(index, 0, parent, info))
	f.String(tcaKind, "bpf")
	f.Nest(tcaOptions, func() {
		f.Attr(bpfOpsLen, binary.NativeEndian.AppendUint16(nil, uint16(len(program))))
		f.Attr(bpfOps, ops.Bytes())
		f.Uint32(bpfFlags, direct)
	})
	return s.Do("add filter", f)
}

// tcmsg is the fixed header of qdiscs and filters, rtnetlink(7).
func tcmsg(index int, handle, parent, info uint32) []byte {
	b := make([]byte, 4, 20)
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = binary.NativeEndian.AppendUint32(b, handle)
	b = binary.NativeEndian.AppendUint32(b, parent)
	return binary.NativeEndian.AppendUint32(b, info)
}
