// Package forward carries what arrives at sockets of one net namespace to servers in
// another: the data path of -p.
//
// The process that runs it has the listening sockets, which were bound in the host's
// net namespace, and is itself in the container's, so that every socket it makes is a
// socket of the container. No message goes to the other side for a connection, as it does
// in RootlessKit's port driver, where a parent outside asks a child inside to dial and to pass the
// descriptor back; and the relay keeps no buffer or pipe for a connection that is idle. That is why
// its code is not used here.
//
// # Where a connection goes
//
// First to the container's own address of the client's family, then to that of the
// other family, then to 127.0.0.1 and to ::1: the next one only when nothing listens. The own
// address comes first because a server must not take strangers for local users: many trust what comes
// from 127.0.0.1 (CVE-2021-20199). A server that listens on the loopback interface alone
// is reached all the same, since its port was published by name.
//
// # The client's address
//
// A TCP server sees the client's address and port, see [Transparent]. Where that cannot be had
// it sees the container's own address, as it does when the client is on the host's loopback; in a
// container without any network it sees 127.0.0.1 then. UDP servers see the container's
// own address: their replies are routed by the destination alone, so they would leave by the network.
//
// # Ends
//
// A half-closed connection stays open in the other direction. A reset on one side becomes a reset
// on the other, and so does a port where nothing listens: the client sees
// its connection accepted and then reset, since the kernel accepts before a server can be asked. For UDP,
// datagrams to such a port vanish; a port unreachable cannot be sent by an unprivileged process.
package forward
