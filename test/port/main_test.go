package port

import (
	"os"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// The host has a second address.
func TestMain(m *testing.M) {
	os.Exit(trial.Isolated(trial.Tests(m), "ip addr add 192.0.2.9/24 dev host0").Run())
}
