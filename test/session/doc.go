// Package session tries named networks with real peers: a session of rl-netd that
// rl-net starts for a plain user, and processes that nest in it the way containers
// do, with a link of their own on a bridge. They ping, ask for names, forge
// packets, and see the session killed.
package session
