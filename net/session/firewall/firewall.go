package firewall

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/session"
)

// links begins the names of all links that are the session's; the way out has
// another name.
const links = "rl"

// Firewall is the rules of the net namespace that the calling thread is in.
type Firewall struct {
	conn *nftables.Conn

	hardware     *nftables.Set // of the ports
	pair4, pair6 *nftables.Set // of the ports: what addresses belong to whose hardware address
	outward      *nftables.Set // bridges with a way out
	gateways     *nftables.Set // bridges with their own address
}

// New makes the tables, without any network in them. The thread that calls, here
// and later, must be in the net namespace, and have CAP_NET_ADMIN there. Errors are
// those of netlink, as of a kernel without nf_tables.
func New() (*Firewall, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nf_tables: %w", err)
	}
	f := &Firewall{conn: conn}
	if err := f.bridge(); err != nil {
		return nil, err
	}
	if err := f.route(); err != nil {
		return nil, err
	}
	f.masquerade()
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("make nf_tables rules: %w", err)
	}
	return f, nil
}

// bridge guards the ports, and keeps those of Auto apart.
func (f *Firewall) bridge() error {
	table := f.conn.AddTable(&nftables.Table{Family: nftables.TableFamilyBridge, Name: links})
	for _, s := range []struct {
		into  **nftables.Set
		name  string
		kinds []nftables.SetDatatype
	}{
		{&f.hardware, "hardware", []nftables.SetDatatype{nftables.TypeIFName, nftables.TypeEtherAddr}},
		{&f.pair4, "pair4", []nftables.SetDatatype{nftables.TypeIFName, nftables.TypeEtherAddr, nftables.TypeIPAddr}},
		{&f.pair6, "pair6", []nftables.SetDatatype{nftables.TypeIFName, nftables.TypeEtherAddr, nftables.TypeIP6Addr}},
	} {
		set, err := f.set(table, s.name, s.kinds...)
		if err != nil {
			return err
		}
		*s.into = set
	}
	from := f.chain(table, "from-ports", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, -200, nftables.ChainPolicyDrop)
	rule := func(parts ...part) { f.rule(table, from, parts...) }
	arp, ip, ip6 := protocol(unix.ETH_P_ARP), protocol(unix.ETH_P_IP), protocol(unix.ETH_P_IPV6)
	tcp, udp, icmp6 := layer4(unix.IPPROTO_TCP), layer4(unix.IPPROTO_UDP), layer4(unix.IPPROTO_ICMPV6)

	// Nearly all frames are these, and nothing below forbids any of them: what a frame costs
	// is one lookup, not a dozen rules.
	rule(tcp, ip, ip4Source.pairIn(f.pair4), accept())
	rule(tcp, ip6, ip6Source.pairIn(f.pair6), accept())

	rule(etherSource.notIn(f.hardware), drop())

	// Ethernet and IPv4, with addresses of 6 and 4 bytes. An address of its own
	// claims nothing, whether it asks or answers.
	rule(arp, arpKind.isNot(0, 1, 8, 0, 6, 4), drop())
	rule(arp, arpAddress.withIn(arpHardware, f.pair4), accept())

	rule(udp, ip, sourcePort.is(big16(67)...), drop()) // DHCP server
	rule(ip, ip4Source.pairIn(f.pair4), accept())

	// A host that looks whether its address is free asks from :: (RFC 4862, 5.4.2).
	rule(icmp6, ip6, ip6Source.is(make([]byte, 16)...), icmpType.is(neighbourSolicitation), accept())
	rule(icmp6, ip6, icmpType.is(routerAdvertisement), drop())
	rule(icmp6, ip6, icmpType.is(redirect), drop())
	rule(icmp6, ip6, icmpType.is(neighbourAdvertisement), neighbour.pairNotIn(f.pair6), drop())
	rule(udp, ip6, sourcePort.is(big16(547)...), drop()) // DHCPv6 server
	rule(ip6, ip6Source.pairIn(f.pair6), accept())

	// Frames between two ports, not those for the bridge itself.
	between := f.chain(table, "between-ports", nftables.ChainTypeFilter, nftables.ChainHookForward, -200, nftables.ChainPolicyAccept)
	f.rule(table, between, linkBegins(expr.MetaKeyIIFNAME, expr.CmpOpEq, session.BridgeName(0)+"p"), drop())
	return nil
}

// Types of ICMPv6 messages (RFC 4443, RFC 4861).
const (
	echoRequest6           = 128
	routerAdvertisement    = 134
	neighbourSolicitation  = 135
	neighbourAdvertisement = 136
	redirect               = 137
)

// route lets packets of networks that are not internal out, and their answers in;
// nothing passes from one network to another. The namespace itself answers on
// each bridge what is asked at that bridge's address: names and pings.
func (f *Firewall) route() error {
	table := f.conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: links})
	var err error
	if f.outward, err = f.set(table, "outward", nftables.TypeIFName); err != nil {
		return err
	}
	if f.gateways, err = f.set(table, "gateways", nftables.TypeIFName, nftables.TypeIPAddr); err != nil {
		return err
	}
	forward := f.chain(table, "forward", nftables.ChainTypeFilter, nftables.ChainHookForward, 0, nftables.ChainPolicyDrop)
	f.rule(table, forward, answered(), accept())
	f.rule(table, forward, linkIn(f.outward), linkBegins(expr.MetaKeyOIFNAME, expr.CmpOpNeq, links), accept())

	input := f.chain(table, "input", nftables.ChainTypeFilter, nftables.ChainHookInput, 0, nftables.ChainPolicyDrop)
	ip4 := is(expr.MetaKeyNFPROTO, []byte{unix.NFPROTO_IPV4})
	icmp6 := layer4(unix.IPPROTO_ICMPV6)
	f.rule(table, input, linkIs(expr.MetaKeyIIFNAME, "lo"), accept())
	f.rule(table, input, answered(), accept())
	f.rule(table, input, ip4, ip4Target.in(f.gateways), layer4(unix.IPPROTO_UDP), targetPort.is(big16(53)...), accept())
	f.rule(table, input, ip4, ip4Target.in(f.gateways), layer4(unix.IPPROTO_TCP), targetPort.is(big16(53)...), accept())
	f.rule(table, input, ip4, ip4Target.in(f.gateways), layer4(unix.IPPROTO_ICMP), icmpType.is(8), accept())
	f.rule(table, input, icmp6, icmpType.is(neighbourSolicitation), accept())
	f.rule(table, input, icmp6, icmpType.is(neighbourAdvertisement), accept())
	f.rule(table, input, linkBegins(expr.MetaKeyIIFNAME, expr.CmpOpEq, links), icmp6, icmpType.is(echoRequest6), accept())
	return nil
}

// masquerade gives packets the address of the link they leave by, where that is
// not one of the session's. Two tables: inet has no nat chains before Linux 5.2.
func (f *Firewall) masquerade() {
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		table := f.conn.AddTable(&nftables.Table{Family: family, Name: links})
		chain := f.chain(table, "out", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, 100, nftables.ChainPolicyAccept)
		f.rule(table, chain, linkBegins(expr.MetaKeyOIFNAME, expr.CmpOpNeq, links), part{&expr.Masq{}})
	}
}

func (f *Firewall) set(table *nftables.Table, name string, kinds ...nftables.SetDatatype) (*nftables.Set, error) {
	s := &nftables.Set{Table: table, Name: name, KeyType: kinds[0]}
	if len(kinds) > 1 {
		kind, err := nftables.ConcatSetType(kinds...)
		if err != nil {
			return nil, fmt.Errorf("make nf_tables set %s: %w", name, err)
		}
		s.KeyType = kind
	}
	if err := f.conn.AddSet(s, nil); err != nil {
		return nil, fmt.Errorf("make nf_tables set %s: %w", name, err)
	}
	return s, nil
}

func (f *Firewall) chain(table *nftables.Table, name string, kind nftables.ChainType, hook *nftables.ChainHook, priority int, policy nftables.ChainPolicy) *nftables.Chain {
	return f.conn.AddChain(&nftables.Chain{
		Table: table, Name: name, Type: kind, Hooknum: hook,
		Priority: new(nftables.ChainPriority(priority)), Policy: &policy,
	})
}

func (f *Firewall) rule(table *nftables.Table, chain *nftables.Chain, parts ...part) {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	f.conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: all})
}

// Add lets a network's ports send, before its bridge is made. A network of the
// largest size takes a tenth of a second.
func (f *Firewall) Add(n session.Network) error {
	return f.change(n, f.conn.SetAddElements)
}

// Remove is the reverse of Add, when the bridge is gone.
func (f *Firewall) Remove(n session.Network) error {
	return f.change(n, f.conn.SetDeleteElements)
}

func (f *Firewall) change(n session.Network, do func(*nftables.Set, []nftables.SetElement) error) error {
	var hardware, pair4, pair6 []nftables.SetElement
	for i := range n.Ports() {
		p := n.Port(i + 2)
		hardware = append(hardware, element(p.Name, p.MAC[:]))
		pair4 = append(pair4, element(p.Name, p.MAC[:], p.Address.Addr().AsSlice()))
		if p.Address6.IsValid() {
			pair6 = append(pair6, element(p.Name, p.MAC[:], p.Address6.Addr().AsSlice()), element(p.Name, p.MAC[:], p.LinkLocal().AsSlice()))
		}
	}
	gateways := []nftables.SetElement{element(n.Bridge, n.Gateway().AsSlice())}
	var outward []nftables.SetElement
	if !n.Internal {
		outward = append(outward, nftables.SetElement{Key: ifname(n.Bridge)})
	}
	for _, s := range []struct {
		set      *nftables.Set
		elements []nftables.SetElement
	}{{f.hardware, hardware}, {f.pair4, pair4}, {f.pair6, pair6}, {f.gateways, gateways}, {f.outward, outward}} {
		// The list of elements is one attribute, of less than 64 kB.
		for some := range slices.Chunk(s.elements, 500) {
			if err := do(s.set, some); err != nil {
				return fmt.Errorf("fill nf_tables set %s: %w", s.set.Name, err)
			}
			if err := f.conn.Flush(); err != nil {
				return fmt.Errorf("fill nf_tables set %s: %w", s.set.Name, err)
			}
		}
	}
	return nil
}

// element is a key of a link's name and addresses, each padded to 4 bytes.
func element(link string, addresses ...[]byte) nftables.SetElement {
	key := ifname(link)
	for _, a := range addresses {
		key = append(key, a...)
		for len(key)%4 != 0 {
			key = append(key, 0)
		}
	}
	return nftables.SetElement{Key: key}
}
