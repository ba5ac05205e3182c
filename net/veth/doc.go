// Package veth gets a container a veth pair into the host's own network, by one of the
// two programs that may make one for a plain user: rl-veth, which is this project's, or
// lxc-user-nic of LXC.
//
// The pair's inner end is left in the container's net namespace, down and without an
// address. What stands in the Answer is to be set from inside.
package veth
