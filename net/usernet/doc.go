// Package usernet is the policy of links into the host's network: what
// /etc/rl-run/usernet says, and what follows from it for one request.
//
// The file has two kinds of lines, and both only grant:
//
//	USER|@GROUP veth BRIDGE COUNT    this many links to the bridge, as in lxc-usernet(5)
//	pool BRIDGE SUBNET               the addresses that links to the bridge may have
//
// A BRIDGE of "-" stands for links without one, point to point. [Policy.Decide] is a pure
// function of policy, caller, request and the host's state, and so is [Grant.Holds],
// which tells of parallel calls the ones that came too late.
//
// # Why there is no lock
//
// rl-veth runs as the user who calls it, so that user may stop it at any place: a lock
// that it holds would be a lock that any user holds as long as he likes. What has to be
// unique is therefore claimed in the kernel by the message that makes the link: name
// (user), bridge and MAC (address) are there at once, and interface numbers ascend. Who
// sees an earlier claim to the same thing gives way.
package usernet
