package leak

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// listLinks names the network links of the net namespace that the test program is in.
func listLinks(*scope) (map[string]string, error) {
	links, err := dump(unix.NETLINK_ROUTE, unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg))
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, m := range links {
		if len(m.body) < unix.SizeofIfInfomsg {
			continue
		}
		attrs := m.attributes(unix.SizeofIfInfomsg)
		kind := message{body: attrs[unix.IFLA_LINKINFO]}.attributes(0)[unix.IFLA_INFO_KIND]
		name := fmt.Sprintf("%s (index %d)", unix.ByteSliceToString(attrs[unix.IFLA_IFNAME]), binary.NativeEndian.Uint32(m.body[4:]))
		names[name] = unix.ByteSliceToString(kind)
	}
	return names, nil
}

// listAddresses names the addresses of those links, but for the link-local ones that the
// kernel gives to a link by itself, some time after it has been set up.
func listAddresses(*scope) (map[string]string, error) {
	addresses, err := dump(unix.NETLINK_ROUTE, unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg))
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, m := range addresses {
		if len(m.body) < unix.SizeofIfAddrmsg {
			continue
		}
		attrs := m.attributes(unix.SizeofIfAddrmsg)
		raw, local := attrs[unix.IFA_LOCAL]
		if !local { // IPv6 without a peer
			raw = attrs[unix.IFA_ADDRESS]
		}
		if a, ok := netip.AddrFromSlice(raw); ok && !a.IsLinkLocalUnicast() {
			names[fmt.Sprintf("%s/%d on link index %d", a, m.body[1], binary.NativeEndian.Uint32(m.body[4:]))] = ""
		}
	}
	return names, nil
}

// listRules names tc queueing disciplines and filters, which everybody may list, and
// nftables tables, chains and rules, where the caller may.
func listRules(*scope) (map[string]string, error) {
	names := map[string]string{}
	if err := listTraffic(names); err != nil {
		return nil, err
	}
	if err := listNFT(names); err != nil {
		return nil, err
	}
	return names, nil
}

// Where filters of a clsact or ingress discipline hang, <linux/pkt_sched.h>.
const (
	ingressParent = 0xfffffff2 // TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
	egressParent  = 0xfffffff3 // TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)

	sizeofTcmsg = 20 // family, 3 of padding, ifindex, handle, parent, info
	tcaKind     = 1  // TCA_KIND
)

func listTraffic(names map[string]string) error {
	disciplines, err := dump(unix.NETLINK_ROUTE, unix.RTM_GETQDISC, make([]byte, sizeofTcmsg))
	if err != nil {
		return err
	}
	for _, m := range disciplines {
		if len(m.body) < sizeofTcmsg {
			continue
		}
		index, handle := binary.NativeEndian.Uint32(m.body[4:]), binary.NativeEndian.Uint32(m.body[8:])
		if handle == 0 {
			continue // what the kernel gives to every link by itself
		}
		kind := unix.ByteSliceToString(m.attributes(sizeofTcmsg)[tcaKind])
		names[fmt.Sprintf("tc qdisc %s %x on link index %d", kind, handle, index)] = ""
		if kind != "clsact" && kind != "ingress" {
			continue
		}
		for _, parent := range []uint32{ingressParent, egressParent} {
			header := make([]byte, sizeofTcmsg)
			binary.NativeEndian.PutUint32(header[4:], index)
			binary.NativeEndian.PutUint32(header[12:], parent)
			filters, err := dump(unix.NETLINK_ROUTE, unix.RTM_GETTFILTER, header)
			if err != nil {
				return err
			}
			for _, f := range filters {
				if len(f.body) < sizeofTcmsg {
					continue
				}
				names[fmt.Sprintf("tc filter %s %x, priority %d, parent %x, on link index %d",
					unix.ByteSliceToString(f.attributes(sizeofTcmsg)[tcaKind]),
					binary.NativeEndian.Uint32(f.body[8:]),
					binary.NativeEndian.Uint32(f.body[16:])>>16, parent, index)] = ""
			}
		}
	}
	return nil
}

// listNFT names each object as a person would, family numbers as in <linux/netfilter.h>.
func listNFT(names map[string]string) error {
	const sizeofNfgenmsg = 4
	for _, q := range []struct {
		get  uint16
		name func(family byte, attrs map[uint16][]byte) string
	}{
		{unix.NFT_MSG_GETTABLE, func(family byte, a map[uint16][]byte) string {
			return fmt.Sprintf("nft table of family %d %s", family, unix.ByteSliceToString(a[unix.NFTA_TABLE_NAME]))
		}},
		{unix.NFT_MSG_GETCHAIN, func(family byte, a map[uint16][]byte) string {
			return fmt.Sprintf("nft chain of family %d %s %s", family, unix.ByteSliceToString(a[unix.NFTA_CHAIN_TABLE]), unix.ByteSliceToString(a[unix.NFTA_CHAIN_NAME]))
		}},
		{unix.NFT_MSG_GETRULE, func(family byte, a map[uint16][]byte) string {
			return fmt.Sprintf("nft rule of family %d %s %s handle %x", family, unix.ByteSliceToString(a[unix.NFTA_RULE_TABLE]), unix.ByteSliceToString(a[unix.NFTA_RULE_CHAIN]), a[unix.NFTA_RULE_HANDLE])
		}},
	} {
		answers, err := dump(unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|q.get, make([]byte, sizeofNfgenmsg))
		switch {
		case errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
			return nil // not CAP_NET_ADMIN here, or a kernel without nftables: not visible
		case err != nil:
			return err
		}
		for _, m := range answers {
			if len(m.body) >= sizeofNfgenmsg {
				names[q.name(m.body[0], m.attributes(sizeofNfgenmsg))] = ""
			}
		}
	}
	return nil
}
