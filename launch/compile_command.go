package launch

import (
	"github.com/rl-run/rl-run/caps/seccomp"
	"github.com/rl-run/rl-run/plan"
)

// commandActor is who becomes COMMAND. With --init=false that is init: when its root is done, it takes the steps that are
// else those of a process of the command's, and executes COMMAND as process 1 in place of the static init.
func (c *compiler) commandActor() plan.Actor {
	if c.spec.NoInit {
		return plan.Init
	}
	return plan.Command
}

// attributes are what the command has of its own as a process.
func (c *compiler) attributes() {
	c.inCmd(plan.NewSession{}, "")
	c.inCmd(plan.SetUmask{Mask: 0o022}, "")
	c.leaveKeyring(c.commandActor(), "the caller's keys stay outside")
	if c.spec.NoStdin {
		c.inCmd(plan.NullStdin{}, "")
	}
	if c.spec.Detach && !c.spec.Terminal {
		c.keepOutput()
	}
	c.openFiles()
	c.inCmd(plan.CloseOnExec{Keep: c.host.Listen.Count}, "")
	c.inCmd(plan.DropBounding{Keep: uint64(c.sets.Bounding), Last: c.host.LastCap}, "first, while CAP_SETPCAP is there")
	c.inCmd(plan.ResetSignals{}, "")
}

// keepOutput connects the command to the keeper.
func (c *compiler) keepOutput() {
	if !c.foreignIDs(c.User.UID, c.User.GID) {
		c.inCmd(plan.KeepOutput{}, "")
		return
	}
	c.inCmd(plan.KeepOutput{Give: true, UID: c.User.UID, GID: c.User.GID}, "/dev/stdout is opened by its owner")
}

// exec is the rest of the command's way, in its root.
func (c *compiler) exec(filter *seccomp.Profile) error {
	if c.spec.NoInit {
		c.attributes()
	} else {
		c.inCmd(plan.WaitFor{Whom: plan.Init}, "the root is ready")
	}
	if c.early() {
		c.inCmd(plan.Chdir{Path: c.workdir()}, "as the user whose place it is")
	} else if err := c.enforce(filter); err != nil {
		return err
	}
	c.inCmd(plan.Exec{Paths: c.candidates(), Argv: c.argv(), Env: c.Env}, "")
	return nil
}
