package leak

import (
	"encoding/binary"
	"regexp"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLinkAndRules(t *testing.T) {
	if !inside(t, unix.CLONE_NEWNET) {
		return
	}
	before := Snapshot(t)
	kind := attribute(unix.IFLA_LINKINFO, attribute(unix.IFLA_INFO_KIND, []byte("veth")))
	change(t, unix.NETLINK_ROUTE, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL,
		append(make([]byte, unix.SizeofIfInfomsg), append(attribute(unix.IFLA_IFNAME, []byte("planted\x00")), kind...)...))
	sees(t, before, Link, `^link planted \(index \d+\): veth$`, `^link veth0 \(index \d+\): veth$`)

	address := append(make([]byte, unix.SizeofIfAddrmsg), attribute(unix.IFA_LOCAL, []byte{192, 0, 2, 1})...)
	address[0], address[1] = unix.AF_INET, 24
	binary.NativeEndian.PutUint32(address[4:], 1)
	change(t, unix.NETLINK_ROUTE, unix.RTM_NEWADDR, unix.NLM_F_CREATE, address)
	sees(t, before, Address, `^address 192.0.2.1/24 on link index 1$`)
	with := Snapshot(t)
	change(t, unix.NETLINK_ROUTE, unix.RTM_DELADDR, 0, address)
	sees(t, with, Address, `^address 192.0.2.1/24 on link index 1 is gone$`)

	loopback := make([]byte, sizeofTcmsg)
	binary.NativeEndian.PutUint32(loopback[4:], 1)
	clsact := slices.Clone(loopback)
	binary.NativeEndian.PutUint32(clsact[8:], 0xffff0000)
	binary.NativeEndian.PutUint32(clsact[12:], 0xfffffff1) // TC_H_CLSACT
	change(t, unix.NETLINK_ROUTE, unix.RTM_NEWQDISC, unix.NLM_F_CREATE, append(clsact, attribute(tcaKind, []byte("clsact\x00"))...))
	u32 := slices.Clone(loopback)
	binary.NativeEndian.PutUint32(u32[12:], ingressParent)
	binary.NativeEndian.PutUint32(u32[16:], 7<<16|0x0300) // priority 7, ETH_P_ALL in network order
	// TCA_OPTIONS with TCA_U32_SEL: no key, so everything matches.
	options := attribute(2, attribute(5, make([]byte, 16)))
	change(t, unix.NETLINK_ROUTE, unix.RTM_NEWTFILTER, unix.NLM_F_CREATE, append(u32, append(attribute(tcaKind, []byte("u32\x00")), options...)...))
	leaks, err := before.Since()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`^rule tc qdisc clsact ffff0000 on link index 1$`, `^rule tc filter u32 \w+, priority 7, parent fffffff2, on link index 1$`} {
		if !slices.ContainsFunc(leaks, func(l Leak) bool { return regexp.MustCompile(want).MatchString(l.String()) }) {
			t.Errorf("%s not in %q", want, leaks)
		}
	}
	change(t, unix.NETLINK_ROUTE, unix.RTM_DELQDISC, 0, append(clsact, attribute(tcaKind, []byte("clsact\x00"))...))

	change(t, unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE,
		append([]byte{unix.NFPROTO_INET, 0, 0, 0}, attribute(unix.NFTA_TABLE_NAME, []byte("planted\x00"))...))
	sees(t, before, Rule, `^rule nft table of family 1 planted$`)
	change(t, unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE,
		append([]byte{unix.NFPROTO_INET, 0, 0, 0}, append(attribute(unix.NFTA_CHAIN_TABLE, []byte("planted\x00")), attribute(unix.NFTA_CHAIN_NAME, []byte("row\x00"))...)...))
	change(t, unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND,
		append([]byte{unix.NFPROTO_INET, 0, 0, 0}, append(attribute(unix.NFTA_RULE_TABLE, []byte("planted\x00")), attribute(unix.NFTA_RULE_CHAIN, []byte("row\x00"))...)...))
	sees(t, before, Rule, `nft table of family 1 planted$`, `nft chain of family 1 planted row$`, `nft rule of family 1 planted row handle [0-9a-f]+$`)
	change(t, unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_DELTABLE, 0,
		append([]byte{unix.NFPROTO_INET, 0, 0, 0}, attribute(unix.NFTA_TABLE_NAME, []byte("planted\x00"))...))

	during := Snapshot(t)
	change(t, unix.NETLINK_ROUTE, unix.RTM_DELLINK, 0, append(make([]byte, unix.SizeofIfInfomsg), attribute(unix.IFLA_IFNAME, []byte("planted\x00"))...))
	sees(t, during, Link, `^link planted .* is gone`, `^link veth0 .* is gone`)
	clean(t, before)
}

// attribute is one netlink attribute, padded.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, align4(len(value))-len(value))...)
}

// change sends one request, for nftables inside the batch that it demands, and
// waits for its acknowledgement.
func change(t *testing.T, protocol int, kind, flags uint16, body []byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	request := appendMessage(nil, kind, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags, body)
	if protocol == unix.NETLINK_NETFILTER {
		mark := []byte{0, 0, 0, unix.NFNL_SUBSYS_NFTABLES}
		request = append(appendMessage(nil, unix.NFNL_MSG_BATCH_BEGIN, unix.NLM_F_REQUEST, mark), request...)
		request = appendMessage(request, unix.NFNL_MSG_BATCH_END, unix.NLM_F_REQUEST, mark)
	}
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < unix.NLMSG_HDRLEN+4 {
		t.Fatalf("answer of %d bytes: %v", n, err)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:])); code != 0 {
		t.Fatalf("netlink request %d: %v", kind, unix.Errno(-code))
	}
}
