package launch

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) {
	// Launched from a test, a start finds its helper in the test's own binary.
	if os.Args[0] == RemoveVerb {
		_ = os.Chmod(os.Args[1]+"/work/work", 0o700)
		if os.RemoveAll(os.Args[1]) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(trial.Tests(m).Run())
}

// stdinOf makes fd 0 something for the time of a test.
func stdinOf(t *testing.T, path string) {
	t.Helper()
	saved, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Dup3(int(f.Fd()), 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Dup3(saved, 0, 0)
		_ = unix.Close(saved)
	})
}
