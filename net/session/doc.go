// Package session is what a launcher needs to know of the caller's network
// session: the user namespace that containers nest in, the net namespace with a
// bridge for each named network, and how a container's link is put there.
//
// The session itself is a process of rl-netd. A launcher asks it nothing: Open
// reads a small file and checks the process that it names through a pidfd;
// NestedMaps says what is written to the id maps of a user namespace below the
// session's; Network.Free chooses an address and LinkMessage encodes the one
// netlink message that makes the veth, with its inner end in the container's net
// namespace. The outer end is named after the address and made with NLM_F_EXCL,
// so that the kernel is the allocator and two containers can never share one.
// Register tells the session's name server who lives at an address, by a file.
//
// A container's root has the caller's own uid outside, so neither a file's owner
// nor a socket's peer tells the two apart. All state lies in the runtime
// directory, which no container sees, and is a hint even so: nothing is joined
// that was not verified to be a user namespace made by the caller in his own.
//
// The package is light, for it is part of every start: nothing here is slow to
// initialise, and no heavy library is imported.
package session
