// Package rtnl speaks rtnetlink(7), as far as one veth pair needs it: requests with
// an acknowledgement, and dumps of links, addresses and routes.
//
// It is small on purpose: the only privileged program of the project is built upon it,
// and who reviews that reads this too. It starts nothing and keeps no state beside its
// socket.
package rtnl
