package nofile_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/rl-run/rl-run/internal/nofile"
)

// TestMain answers for the child of TestSeesTheLimitBeforeGoRaisesIt.
func TestMain(m *testing.M) {
	if os.Getenv("NOFILE_CHILD") != "" {
		soft, _ := nofile.AtStart()
		if soft != 77 {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestSeesTheLimitBeforeGoRaisesIt(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", `ulimit -Sn 77 && exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), "NOFILE_CHILD=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("a program started with a soft limit of 77 saw another one: %v %s", err, out)
	}
}
