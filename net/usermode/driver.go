package usermode

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
)

// Driver is a program that carries what leaves a net namespace with sockets of the host. [Choose] makes one.
type Driver struct {
	// Kind is None, Pasta or Slirp4netns. With None all other fields are empty.
	Kind Kind
	// Path is the program's absolute path.
	Path string
	// Interface is the name of the tap device, and MTU its MTU in bytes.
	Interface string
	MTU       int
	// Subnet is the tap device's IPv4 subnet. Address, Gateway and DNS are in it. Address is not valid where the host
	// has IPv6 alone.
	Subnet                netip.Prefix
	Address, Gateway, DNS netip.Addr
	// Address6, Gateway6 and DNS6 are the same of IPv6, in a /64, and not valid where the host has none. slirp4netns
	// announces its prefix, and the kernel makes an address: Address6 is not valid there.
	Address6, Gateway6, DNS6 netip.Addr

	isNew, stays       bool // of pasta
	hasNames           bool // of slirp4netns
	resolver           Resolver
	outward4, outward6 netip.Addr
}

// The descriptors that a driver is started with. [Namespace] is the net namespace, open for reading. [Ready] is the write
// end of a pipe: what arrives there tells [Driver.IsReady]; its end is that of the driver. [Messages] takes what it has to
// say; /dev/null will do. There shall be no others.
const (
	Namespace = 0
	Ready     = 1
	Messages  = 2
)

const (
	namespacePath = "/proc/self/fd/0"
	readyPath     = "/proc/self/fd/1"
)

// pasta's IPv6 subnet; that of slirp4netns is fixed.
var (
	prefix6      = netip.AddrFrom16([16]byte{0xfd, 'r', 'l', '-', 'r', 'u', 'n'})
	slirpPrefix6 = netip.AddrFrom16([16]byte{0xfd})
)

// families sets the addresses of those families of IP that the host has: an address without a way out would make
// programs wait for it.
func (d *Driver) families(dns bool) {
	prefix := prefix6
	if d.Kind == Slirp4netns {
		prefix = slirpPrefix6
	}
	server4, has4 := d.resolver.first(false)
	server6, has6 := d.resolver.first(true)
	// Without any route, the first is as good as none, and slirp4netns has no switch for IPv6 alone.
	with4 := d.outward4.IsValid() || !d.outward6.IsValid() || d.Kind == Slirp4netns
	// A server that is reached over IPv6 on the host alone, like one at ::1, still needs it inside.
	with6 := d.outward6.IsValid() || dns && !has4 && server6.IsLoopback()
	if dns && !with4 && !has6 && server4.IsLoopback() {
		with4 = true
	}
	if with4 {
		d.Address, d.Gateway = offset(d.Subnet.Masked().Addr(), 100), offset(d.Subnet.Masked().Addr(), 2)
		// Where the host has none yet, it may get one later.
		if dns && (has4 || !has6) {
			d.DNS = offset(d.Subnet.Masked().Addr(), 3)
		}
	}
	if with6 {
		d.Gateway6 = offset(prefix, 2)
		if d.Kind != Slirp4netns {
			d.Address6 = offset(prefix, 100)
		}
		if dns && has6 {
			d.DNS6 = offset(prefix, 3)
		}
	}
}

// offset adds to the last byte.
func offset(a netip.Addr, n byte) netip.Addr {
	b := a.AsSlice()
	b[len(b)-1] += n
	sum, _ := netip.AddrFromSlice(b)
	return sum
}

// Argv returns the arguments of a driver that forwards no port towards the container; the first is [Driver.Path]. See
// [Namespace], [Ready] and [Messages] for its descriptors. Another start with the same arguments sets the tap device
// up again.
func (d Driver) Argv() []string {
	switch d.Kind {
	case Pasta:
		return d.pasta()
	case Slirp4netns:
		return d.slirp()
	case Auto, None:
	}
	return nil
}

// ReadOnce returns the path of the file that the driver reads when it starts, and not again: whoever starts it starts it
// again when that has another text. It is empty for a driver that follows by itself, or has no names to ask for.
func (d Driver) ReadOnce() string {
	if d.Kind == Pasta && len(d.Servers()) > 0 {
		return resolvPath
	}
	return ""
}

// pasta gives all addresses: by itself pasta takes the host's own, which then cannot be reached from inside, and
// a link-local DNS address. The host's loopback stays out of reach.
func (d Driver) pasta() []string {
	argv := []string{
		d.Path, "--foreground", "--quiet", "--config-net", "--no-map-gw",
	}
	if !d.stays {
		argv = append(argv, "--no-netns-quit")
	}
	argv = append(
		argv, "--no-dhcp", "--no-dhcpv6", "--no-ra",
		"--mtu", strconv.Itoa(d.MTU), "--ns-ifname", d.Interface, "--pid", readyPath,
	)
	if d.isNew {
		argv = append(argv, "--map-host-loopback", "none", "--map-guest-addr", "none")
	}
	// Without these it looks for ports that are open in the container, and forwards all of them.
	argv = append(argv, "-t", "none", "-u", "none", "-T", "none", "-U", "none")
	if d.Address.IsValid() {
		argv = append(argv, "--address", d.Address.String(), "--netmask", strconv.Itoa(d.Subnet.Bits()), "--gateway", d.Gateway.String())
	} else {
		argv = append(argv, "--ipv6-only")
	}
	if d.Address6.IsValid() {
		argv = append(argv, "--address", d.Address6.String(), "--gateway", d.Gateway6.String())
	} else {
		argv = append(argv, "--ipv4-only")
	}
	for _, dns := range d.Servers() {
		argv = append(argv, "--dns-forward", dns.String())
	}
	return append(argv, "--netns-only", "--netns", namespacePath)
}

func (d Driver) slirp() []string {
	argv := []string{
		d.Path, "--configure", "--mtu=" + strconv.Itoa(d.MTU), "--disable-host-loopback",
		"--enable-sandbox", "--enable-seccomp", "--cidr=" + d.Subnet.Masked().String(),
		"--ready-fd=" + strconv.Itoa(Ready), "--netns-type=path",
	}
	if d.Gateway6.IsValid() {
		argv = append(argv, "--enable-ipv6")
	}
	if !d.hasNames && len(d.Servers()) == 0 {
		argv = append(argv, "--disable-dns")
	}
	return append(argv, namespacePath, d.Interface)
}

// IsReady reports whether what has arrived at [Ready] tells that the tap device has its addresses and routes. pasta writes
// its process number there, and slirp4netns a single 1, behind whatever it prints on its standard output.
func (d Driver) IsReady(arrived []byte) bool {
	if d.Kind == Slirp4netns {
		arrived = arrived[bytes.LastIndexByte(arrived, '\n')+1:]
		return len(arrived) == 1 && arrived[0] == '1'
	}
	return len(arrived) > 0
}

// HostName is the name of the host inside a container.
const HostName = "host.rl-run.internal"

// Hosts returns the addresses at which a container reaches the host: its outward ones. Where pasta and slirp4netns
// give the container addresses of its own, these need no translation.
func (d Driver) Hosts() []netip.Addr {
	var list []netip.Addr
	if d.Address.IsValid() && d.outward4.IsValid() {
		list = append(list, d.outward4)
	}
	if d.Gateway6.IsValid() && d.outward6.IsValid() {
		list = append(list, d.outward6)
	}
	return list
}

// Servers returns the addresses of the driver's forwarder of names, which asks the host's name server wherever that is.
func (d Driver) Servers() []netip.Addr {
	var list []netip.Addr
	for _, dns := range []netip.Addr{d.DNS, d.DNS6} {
		if dns.IsValid() {
			list = append(list, dns)
		}
	}
	return list
}

// Cause returns the last line of what a driver said on [Messages] that tells of a cause, for a person.
func Cause(messages []byte) string {
	cause := ""
	for line := range strings.Lines(string(messages)) {
		line = strings.Trim(line, " \t\r\n\x00")
		// An older pasta complains of each line that no syslog takes.
		if line != "" && !strings.HasPrefix(line, "Failed to send ") {
			cause = strings.ToValidUTF8(line, "?")
		}
	}
	return cause
}
