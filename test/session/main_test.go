package session

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// The test program plays further parts by other names of its own: see join_test.go
// and frames_test.go.
var roles = map[string]func(args []string) error{
	"joiner": joiner, "container": container, "send-frames": sendFrames, "catch-frames": catchFrames, "dial": dial,
}

func TestMain(m *testing.M) {
	if role, ok := roles[filepath.Base(os.Args[0])]; ok {
		if err := role(os.Args[1:]); err != nil {
			_, _ = os.Stderr.WriteString(filepath.Base(os.Args[0]) + ": " + err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(trial.Tests(m).Run())
}
