// Package firewall makes the nftables rules of a session's net namespace: what a
// container may put on a bridge, and which ways lead from one bridge to another
// and to the outside.
//
// A container's root may hold NET_RAW and NET_ADMIN over its own end of the veth,
// and can send any frame. So a port takes frames only from the hardware address,
// the IPv4 address and the IPv6 addresses that follow from its name, the same in
// ARP and in neighbour discovery, and no router advertisement, redirect or answer
// of a DHCP server. All else, like VLANs and unknown protocols, is dropped.
//
// The sets of what belongs together, link by link, are filled when a network is
// made, for all its ports: a start adds nothing, and a port is guarded from its
// first frame. The tables lie in the session's own net namespace and go with it.
package firewall
