package trial

import (
	"os"
	"os/exec"
	"testing"
)

// Skip skips the test for a reason, or fails it where RLRUN_NO_SKIP says that
// everything is there.
func Skip(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv("RLRUN_NO_SKIP") != "" {
		tb.Fatalf("RLRUN_NO_SKIP is set, and "+format, args...)
	}
	tb.Skipf(format, args...)
}

// NeedUser skips the test for root: it is about what the kernel lets a plain user do.
func NeedUser(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() == 0 {
		Skip(tb, "the test needs a plain user and runs as root (see scripts/plain-user)")
	}
}

// NeedTool returns the path of a program of the host, or skips the test.
func NeedTool(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Skip(tb, "the test needs %s: %v", name, err)
	}
	return path
}
