// Package antispoof compiles what one container may send onto its link into classic BPF:
// frames of its own MAC, IPv4 of its own address, ARP and neighbour discovery that speak
// of its own addresses, and nothing with which it could pose as a router or a DHCP
// server.
//
// The program belongs at the ingress of the link's outer end, as a direct-action
// classifier (tc-bpf(8)): there it stands before bridge, routing and netfilter, and it
// vanishes with the link. rtnl.Socket.Filter puts it there.
//
// What is not on the list is dropped: other protocols than IPv4, ARP and IPv6, VLAN
// tags, IPv6 extension headers that hide what follows (RFC 7113 names them as the way
// around router advertisement guards).
package antispoof
