// Package usermode decides about user-mode networking, which needs no privilege: which of pasta and slirp4netns carries
// what leaves a container, with which arguments, and at which addresses name servers and the host are reached inside.
//
// [Probe] reads what the machine has, [Choose] decides without a side effect, and the [Driver] that it returns knows its
// arguments. Whoever starts one keeps to what it says about descriptors: the net namespace is descriptor 0, readiness is
// told on descriptor 1, messages go to descriptor 2. No other number does: since August 2024 pasta closes at its start
// whatever lies above 2, also what its own arguments name.
//
// SIGPIPE has its default action: pasta of 2023 takes an ignored one for an error, and ends.
//
// # Where a driver runs
//
// In the user namespace that owns the net namespace, as its uid 0, so that it may make the tap device there without a
// join of another user namespace; in the host's mount and net namespaces; in a pid namespace of its own or not: it
// finds itself through /proc/self, which works whenever the mounted /proc belongs to an outer pid namespace.
//
// # What a container can reach
//
// Whatever the caller can reach, from the caller's address, but for the host's loopback. The host itself is reached
// at its outward address, under the name [HostName].
package usermode
