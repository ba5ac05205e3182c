package badinput

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rl-run/rl-run/internal/trial"
)

// TestScripts runs the sessions in testdata/script. TREE is the busybox tree, and
// rl-run and rl-unshare are in PATH.
func TestScripts(t *testing.T) {
	tree := begin(t)
	bin := filepath.Dir(trial.Bin(t, "rl-run"))
	trial.Bin(t, "rl-unshare") // makes the link where the programs are built here
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("TREE", tree)
			e.Setenv("PATH", bin+":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
			return nil
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}
