package usermode

import (
	"os"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// The host has a way out.
func TestMain(m *testing.M) {
	os.Exit(trial.Isolated(trial.Tests(m), `
		ip link set beyond0 up
		echo 0 0 >/proc/sys/net/ipv4/ping_group_range
		`+addRoutes).Run())
}

// The addresses of the host, of its neighbour, and of what lies behind that.
const (
	host4, host6     = "192.0.2.1", "2001:db8::1"
	beyond4, beyond6 = "198.51.100.7", "2001:db8:1::7"
)

const addRoutes = `ip route replace default via 192.0.2.7; ip -6 route replace default via 2001:db8::7`
