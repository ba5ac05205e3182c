package plan

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// roleEnv makes the test's binary another program: a launcher that is killed, or
// an interpreter without a clone.
const roleEnv = "RLRUN_PLAN_ROLE"

var roles = map[string]func() error{
	"launcher":    launcherRole,
	"interpreter": interpreterRole,
	"apart":       apartRole,
}

func TestMain(m *testing.M) {
	// PDEATHSIG of the children fires when the thread that cloned them ends.
	runtime.LockOSThread()
	if os.Args[0] == CopyVerb {
		os.Exit(copyRole(os.Args[1:]))
	}
	if role, ok := roles[os.Getenv(roleEnv)]; ok {
		if err := role(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(trial.Tests(m).Run())
}

// raw is a step of the tests' own: ops without a meaning.
type raw func(p *program)

func (raw) Kind() Kind         { return "raw" }
func (raw) String() string     { return "raw" }
func (s raw) lower(p *program) { s(p) }

// begin is what all plans of these tests begin with: namespaces of their own, in
// which the caller is root.
func begin(steps ...Step) Plan {
	var pl Plan
	pl.Add(Parent, StartInit{unix.CLONE_NEWUSER | unix.CLONE_NEWPID}, "")
	for _, s := range append([]Step{
		DieWithParent{},
		MapOwnIDs{Extent{0, uint32(os.Getuid()), 1}, Extent{0, uint32(os.Getgid()), 1}},
		Unshare{unix.CLONE_NEWNS},
		Propagate{"private"},
	}, steps...) {
		pl.Add(Init, s, "")
	}
	return pl
}

// paused is a container whose init waits for the launcher.
type paused struct {
	*Child
	plan Plan
}

func (p *paused) proc(name string) string { return fmt.Sprintf("/proc/%d/%s", p.PID, name) }

// pause runs a plan up to a handoff behind its last step.
func pause(t *testing.T, pl Plan) (*paused, error) {
	t.Helper()
	marker := len(pl.Entries)
	pl.Add(Parent, RemoveMountPoint{}, "")
	pl.Add(Init, Exec{Paths: []string{"/nowhere"}, Argv: []string{"nowhere"}}, "")
	c, err := Prepare(pl, Options{})
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	if err := c.Start(); err != nil {
		c.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		terminal := c.Terminal
		c.Close()
		if terminal >= 0 {
			_ = unix.Close(terminal)
		}
		if _, err := wait(c.PID); err != nil {
			t.Error(err)
		}
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	})
	return &paused{c, pl}, c.Await(marker)
}

// after runs steps and stops behind them.
func after(t *testing.T, steps ...Step) *paused {
	t.Helper()
	p, err := pause(t, begin(steps...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// failing runs steps of which the last must fail.
func failing(t *testing.T, want error, steps ...Step) {
	t.Helper()
	pl := begin(steps...)
	p, err := pause(t, pl)
	checkStepError(t, err, len(pl.Entries)-1, want)
	_ = p
}

func wait(pid int) (ws unix.WaitStatus, err error) {
	for {
		if _, err = unix.Wait4(pid, &ws, 0, nil); !errors.Is(err, unix.EINTR) {
			return ws, err
		}
	}
}

// copyRole stands in for the helper that copies a tree.
func copyRole(args []string) int {
	if len(args) > 3 && args[3] == "quiet" {
		return 3
	}
	if err := os.WriteFile(args[1]+"/copied", fmt.Appendln(nil, args), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
