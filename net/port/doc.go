// Package port publishes ports of a container on the host: the option -p and what
// becomes of it.
//
// [Parse] reads the values of -p, a pure function. [Bind] opens the sockets in the
// host's net namespace before the container starts, so that a busy port is an error
// and not a container that nobody reaches; whoever connects from then on waits in the
// socket's queue. The sockets are inherited by a forwarder inside the container's net
// namespace ([ForwardArgs], and package forward below this one), which is the same for every
// mode that has a net namespace of its own.
//
// [ParseListenFDs] is the other way for a socket into a container: a listening socket
// that systemd opened is handed to the command as it is.
//
// The package uses no part of Go's net: rl-run links it, and its start is counted in
// microseconds.
package port
