package explain

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
)

// Script writes the plan as a POSIX shell script of unshare, nsenter, newuidmap,
// mount, pivot_root, ip and setpriv (util-linux 2.38, iproute2) which builds the
// same container when the same user runs it. Each step is a block under its
// number and its own words, in the order of the plan; what a script cannot do is
// said in its place.
//
// Of the environment, it holds the values of what every container has. All other
// variables may be secrets: their values are those that the script finds in its
// own environment, unless secrets is set. The error is for a plan that no shell
// can carry out.
func Script(to io.Writer, s *launch.Start, secrets bool) error {
	w := &script{secrets: secrets, into: ".", uses: make(map[string]bool), tools: make(map[string]bool)}
	for i, e := range s.Plan.Entries {
		w.enter(i, e)
		if err := w.step(i+1, e.Actor, e.Step, e.Why); err != nil {
			return err
		}
	}
	if !w.executes {
		return errors.New("explain as sh: the plan executes no command")
	}
	w.open(afterwards)
	for i, step := range s.Plan.Cleanup {
		if err := w.step(len(s.Plan.Entries)+i+1, plan.Parent, step, "after the end"); err != nil {
			return err
		}
	}
	if err := w.link(); err != nil {
		return err
	}
	text := w.assemble(s.Notes)
	if strings.Contains(text, "\x00") {
		return errors.New("explain as sh: a shell script cannot hold a NUL byte")
	}
	_, err := io.WriteString(to, text)
	return err
}

// script is a shell script that is being written.
type script struct {
	secrets bool
	parts   []*part
	at      *part           // the last of them
	uses    map[string]bool // helpers, and what else a part needs of the whole
	tools   map[string]bool // programs that must be there

	parted     bool // the plan has started the command: what init does to itself concerns it no more
	joined     bool // nsenter stands before what starts init
	shared     bool // fd 8 holds the lock of ROOTFS
	armed      bool // the last setpriv arms PDEATHSIG
	keepGroups bool // the map is of a single id
	into       word // the directory of the command
	executes   bool
	restore    []string // variables that the last shell gets as arguments
}

// step writes the block of one step.
func (w *script) step(n int, a plan.Actor, s plan.Step, why string) error {
	if w.at.body.Len() > 0 {
		w.at.body.WriteByte('\n')
	}
	w.remark("step %d %s: %s", n, a, cut(visible(s.String())))
	if why != "" {
		w.remark("(%s)", why)
	}
	if a == plan.Keeper && s.Kind() != plan.KindStartInit && s.Kind() != plan.KindStartJoiner {
		w.remark(inForeground)
		return nil
	}
	if a == plan.Joiner && ownAffair(s) {
		w.remark("left out: nsenter does as it does")
		return nil
	}
	if w.parted && a == plan.Init && ownAffair(s) {
		w.remark("left out: the command takes the place of init")
		return nil
	}
	if err := w.block(s); err != nil {
		return fmt.Errorf("explain as sh: step %d: %s: %w", n, visible(s.String()), err)
	}
	return nil
}

const inForeground = "left out: the script stays in the foreground"

// ownAffair reports whether a step changes nothing but the process that takes it.
func ownAffair(s plan.Step) bool {
	switch s.(type) {
	case plan.DieWithParent, plan.SetIDs, plan.SetUmask, plan.HideMemory, plan.Subreaper, plan.NewSession, plan.NewKeyring,
		plan.SetLimit, plan.NullStdin, plan.CloseOnExec, plan.ResetSignals, plan.DropBounding, plan.KeepCaps, plan.SetCaps,
		plan.RaiseAmbient, plan.NoNewPrivs, plan.Seccomp, plan.ExecInit, plan.Leave:
		return true
	}
	return false
}

// block writes the commands of a step: a function for each type.
func (w *script) block(s plan.Step) error {
	switch s := s.(type) {
	case plan.ShareTree:
		w.shareTree(s)
	case plan.PrepareLayers:
		w.prepareLayers(s)
	case plan.StartInit:
		w.startInit(s)
	case plan.DieWithParent:
		w.dieWithParent()
	case plan.MapIDs:
		w.mapIDs(s)
	case plan.EnterGroup:
		w.enterGroup(s)
	case plan.MapOwnIDs:
		w.mapOwnIDs(s)
	case plan.SetIDs:
		return w.setIDs(s)
	case plan.SetUmask:
		w.run("umask", quote(fmt.Sprintf("%04o", s.Mask)))
	case plan.Unshare:
		w.unshare(s)
	case plan.StartCommand:
		w.remark("(there is one process only: first it does the work of init, then that of the command)")
		w.parted = true
	case plan.LetGo, plan.WaitFor, plan.JoinNet:
		w.remark("(nothing to do for one process)")
	case plan.LoopbackUp:
		w.need("ip")
		w.run("ip link set lo up")
	case plan.SetHostname:
		w.need("hostname")
		w.run("hostname", quote(s.Name))
	case plan.Propagate:
		w.run("mount", quote("--make-r"+s.Type), "/")
	case plan.Stage:
		w.stage(s)
	case plan.StageDir:
		w.stageDir(s)
	case plan.AttachTree:
		w.attachTree(s)
	case plan.RootTmpfs:
		w.rootTmpfs(s)
	case plan.Overlay:
		w.overlay(s)
	case plan.OpenRoot:
		w.remark("(it is $root, and inside finds the paths in it)")
	case plan.CopyTree:
		w.run("cp -a --", under("stage", s.From+"/."), under("stage", s.To))
	case plan.MakeDir:
		w.makeDir(s)
	case plan.MakeFile:
		w.makeFile(s.Path)
	case plan.Symlink:
		w.symlink(s)
	case plan.Mount:
		w.mount(s)
	case plan.Bind:
		w.bind(s)
	case plan.BindSelf:
		w.bindSelf(s)
	case plan.BindNode:
		w.bindNode(s)
	case plan.OpenNull:
		w.run(`[ "$(stat -c %t:%T /dev/null)" = 1:3 ] || die '/dev/null is another device'`)
		w.uses["die"] = true
	case plan.Mask:
		w.mask(s)
	case plan.ProvideFile:
		w.provideFile(s)
	case plan.ReadOnlyRoot:
		w.run(`mount -o remount,bind,ro "$root"`)
	case plan.PivotRoot:
		w.pivotRoot()
	case plan.LeaveChroot:
		w.remark("left out: this script does not start in a chroot, but in the root around")
		w.run(":")
	case plan.StartKeeper, plan.KeepOutput, plan.ExecKeeper:
		w.remark(inForeground)
	case plan.StartJoiner, plan.OwnMemory:
		w.remark("(nsenter is the joiner)")
	case plan.Join:
		w.join(s)
	case plan.JoinCgroup:
		w.remark("left out: the script does not look for a control group")
	case plan.OutliveParent, plan.Leave:
		w.remark(inForeground)
	case plan.OpenTerminal, plan.TakeTerminal:
		w.remark("left out: the command keeps the terminal of this script")
	case plan.HideMemory:
		w.remark("(nothing to hide: the memory of a shell holds this script and its environment,")
		w.remark("and no process but this one is in the container yet)")
	case plan.BindPorts, plan.SendUserNS, plan.SendNetNS, plan.GiveNetNS, plan.SetNetSysctl, plan.StartHelper, plan.JoinContainer, plan.NewPIDNamespace, plan.ExecGuard, plan.MakeVeth, plan.AwaitNetwork, plan.ConfigureLink, plan.AwaitJoiner, plan.WriteIDMaps, plan.MakePort, plan.SendLink:
		w.remark("left out: the script has lo alone")
		w.run(":")
	case plan.Subreaper:
		w.remark("left out: there is no init to reap orphans")
	case plan.ExecInit:
		w.remark("left out: there is no init, the command is process 1")
	case plan.NewSession:
		w.need("setsid")
		w.jump("setsid")
	case plan.NewKeyring:
		w.keyring()
	case plan.SetLimit:
		w.setLimit(s)
	case plan.NullStdin:
		w.run("exec </dev/null")
	case plan.CloseOnExec:
		w.remark("(those that a POSIX shell can name and that this script does not need itself)")
		w.run("exec 5>&- 6>&- 7>&- 8>&- 9>&-")
	case plan.ResetSignals:
		w.remark("(a shell has changed nothing)")
	case plan.DropBounding:
		w.dropBounding(s)
	case plan.KeepCaps:
		w.remark("(setpriv does so by itself)")
	case plan.SetCaps:
		w.setCaps(s)
	case plan.RaiseAmbient:
		w.option("--ambient-caps", "-all"+list(",+", s.Set))
	case plan.NoNewPrivs:
		w.option("--no-new-privs")
	case plan.Seccomp:
		w.remark("left out: no tool of util-linux 2.38 loads a filter")
	case plan.Chdir:
		w.remark("(the last shell enters it, in the new root)")
		w.run("into=" + quote(s.Path))
		w.into = `"$into"`
	case plan.Exec:
		return w.exec(s)
	case plan.RemoveMountPoint:
		w.removeMountPoint(s)
	case plan.RemoveLayers:
		w.removeLayers(s)
	default:
		return fmt.Errorf("no shell command is known for a step of kind %s", s.Kind())
	}
	return nil
}

// run writes a command line.
func (w *script) run(words ...word) {
	w.at.body.WriteByte('\t')
	for i, x := range words {
		if i > 0 {
			w.at.body.WriteByte(' ')
		}
		w.at.body.WriteString(string(x))
	}
	w.at.body.WriteByte('\n')
}

// remark writes a line of comment.
func (w *script) remark(format string, args ...any) {
	w.at.body.WriteString("\t# " + strings.TrimRight(visible(fmt.Sprintf(format, args...)), " ") + "\n")
}

// option adds an option of the setpriv that executes the command.
func (w *script) option(words ...word) {
	w.run(slices.Concat([]word{`set -- "$@"`}, words)...)
}

// need notes a program that the script must find.
func (w *script) need(programs ...string) {
	for _, p := range programs {
		w.tools[p] = true
	}
}
