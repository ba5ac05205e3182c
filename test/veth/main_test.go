package veth

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// stageEnv says that the program is in the namespaces.
const stageEnv = "RLRUN_VETH_STAGE"

// The first thread stays the main goroutine's: one that has entered another net namespace
// ends, and the first one cannot.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if errand := os.Getenv(clientEnv); errand != "" {
		if err := client(errand); err != nil {
			fmt.Fprintln(os.Stderr, "veth:", err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(stageEnv) == "" {
		fmt.Fprintln(os.Stderr, "veth: enter namespaces:", enter())
		os.Exit(1)
	}
	os.Exit(trial.Tests(m).Run())
}

// enter executes the test program again, in namespaces in which it is root. Real root
// needs no user namespace for that.
func enter() error {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return err
	}
	args := []string{"unshare", "--net", "--mount", "--propagation", "private"}
	if os.Geteuid() != 0 {
		args = append(args, "--user", "--map-root-user", "--map-auto")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args = append(args, "--", self)
	return unix.Exec(unshare, append(args, os.Args[1:]...), append(os.Environ(), stageEnv+"=1"))
}
