// Package nameserver answers the DNS questions of a session's containers: names
// of containers on the network that asks, and their addresses back to names, out
// of the files that package session's Register writes; all else from the
// machine's own resolvers, unless the network is internal.
//
// A Server has one network and two sockets on its bridge. What comes in there is
// hostile: a packet costs one parse and one small answer, or one exchange with a
// resolver of which a bounded number is under way.
package nameserver
