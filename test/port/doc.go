// Package port tries published ports with real servers and clients: nginx, curl, socat and
// iperf3, a forwarder in a container's user and net namespace, and clients on the host and
// beyond it. It holds nothing but tests.
package port
