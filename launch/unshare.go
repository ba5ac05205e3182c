package launch

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/userns"
)

// CompileUnshare is the plan of rl-unshare: a program of the host in a user
// namespace with id maps, and in nothing else. The umask is that of the caller.
func CompileUnshare(ids userns.Result, caller userns.Caller, paths, argv, env []string, workdir string, umask int) plan.Plan {
	c := &compiler{spec: &Spec{PID: Shared}, host: &Host{Caller: caller, Facts: AllFacts}, Start: Start{IDs: ids}}
	c.chooseBase()
	_ = c.startInit()
	_ = c.mapIDs()
	c.inInit(plan.SetUmask{Mask: uint32(umask)}, "as it was: the program is one of the host")
	if workdir != "" {
		c.inInit(plan.Chdir{Path: workdir}, "")
	}
	c.execOfHost(paths, argv, env)
	return c.Plan
}

// execOfHost has init become a program of the host.
func (c *compiler) execOfHost(paths, argv, env []string) {
	c.inInit(plan.CloseOnExec{}, "")
	c.inInit(plan.ResetSignals{}, "")
	c.inInit(plan.Exec{Paths: paths, Argv: argv, Env: env}, "")
}

// RunInMap runs a program of the host in a user namespace with id maps, and
// waits for its end. Meanwhile it forwards what comes from signals, the fd of
// sigpipe.Open or -1, but for what a terminal sends: that reaches the program,
// which is in the caller's process group, by itself.
func RunInMap(ids userns.Result, caller userns.Caller, paths, argv, env []string, signals int) (unix.WaitStatus, error) {
	umask := unix.Umask(0) // which has no other way to be read (umask(2))
	unix.Umask(umask)
	return runToEnd(CompileUnshare(ids, caller, paths, argv, env, "", umask), signals)
}

func runToEnd(pl plan.Plan, signals int) (unix.WaitStatus, error) {
	c := &Container{connection: noConnection(), Start: &Start{Plan: pl}}
	if err := c.runAnyClone(); err != nil {
		c.tearDown()
		return 0, err
	}
	defer c.Child.Close()
	if signals >= 0 {
		forwardUntilEnd(c.Child.PIDFD, signals, func(s unix.Signal) {
			switch s {
			case unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGWINCH, unix.SIGCONT:
			default:
				_ = unix.PidfdSendSignal(c.Child.PIDFD, s, nil, 0)
			}
		})
	}
	var ws unix.WaitStatus
	_, err := wait4(c.Child.PID, &ws)
	return ws, os.NewSyscallError("wait4", err)
}
