// Package veth tests rl-veth as its callers meet it: with its file capability, called by
// users, with other users' net namespaces, and with frames that lie.
//
// The tests run in a user, net and mount namespace of their own, in which the plain user
// who runs them is root and plays the host's administrator. Its /etc is the test's own.
package veth
