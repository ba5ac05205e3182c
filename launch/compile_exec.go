package launch

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
	"github.com/rl-run/rl-run/internal/passwd"
	"github.com/rl-run/rl-run/internal/pid1"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/userns"
)

// Target is a container that runs, as its state and the kernel have it: what a
// further command of it needs.
type Target struct {
	Name   string
	Files  []string // that this was read from
	Dirs   []string // around them
	PID    int      // of its init, as the caller sees it
	PIDFD  int      // of the same process
	Start  uint64   // when that started: field 22 of its stat file (proc_pid_stat(5))
	Join   uint64   // CLONE_NEW* flags of its namespaces that are not the caller's own
	Cgroup string   // path of its control group below the mount; empty for none

	User       uint64 // inode of its user namespace
	Maps       userns.Maps
	GroupsStay bool // setgroups(2) is denied in it
	Hostname   string

	// Hosts and Resolv are its /etc/hosts and /etc/resolv.conf, as its network wants them; empty where they are not known
	Hosts, Resolv []byte

	Bounding, Ambient caps.Set // of its command
	Profile           string   // where the filter comes from, for the printed plan
	Filter            []unix.SockFilter
	FilterFlags       uint
	NewPrivs          bool

	Who     passwd.User // of its command
	Env     []string    // of its command
	Workdir string      // of its command

	// Of its own files, which are its own: whoever reads them trusts them no
	// further. For a Spec with a User or a Terminal.
	Passwd, Group []byte
	TermInfo      bool // has an entry for the caller's TERM
}

// CompileExec decides how a command is executed in a container that runs. Of Spec
// it takes User, Workdir, Env, Ulimits, Terminal, NoStdin, Detach and Command. It is a pure
// function.
func CompileExec(s *Spec, h *Host, t *Target) (*Start, error) {
	c := &compiler{spec: s, host: h}
	c.IDs = userns.Result{Maps: t.Maps, GroupsStay: t.GroupsStay}
	if err := c.identityIn(t); err != nil {
		return nil, err
	}
	c.sets = caps.For(c.User.UID, t.Bounding, t.Ambient)
	c.Sets = c.sets
	c.Env = c.environmentIn(t)
	ruled := len(t.Filter) > 0 && (t.Profile == "default" || t.Profile == "nest")
	if err := c.keyring(ruled, "execute in "+t.Name); err != nil {
		return nil, err
	}
	c.enter(t)
	c.beside()
	c.commandIn(t)
	return &c.Start, nil
}

// identityIn resolves who the command is, by the container's own names.
func (c *compiler) identityIn(t *Target) (err error) {
	who := c.spec.User
	if who.User == "" {
		c.User = t.Who
	} else if c.User, err = who.Resolve(t.Passwd, t.Group); err != nil {
		return fmt.Errorf("-u %s: %w", joinNonEmpty(who.User, who.Group), err)
	}
	if _, ok := t.Maps.HostUID(c.User.UID); !ok {
		return fmt.Errorf("-u: user %d has no id in the container, which has the uids %s", c.User.UID, inside(t.Maps.UID))
	}
	for _, id := range append([]uint32{c.User.GID}, c.User.Groups...) {
		if _, ok := t.Maps.HostGID(id); !ok {
			return fmt.Errorf("-u: group %d has no id in the container, which has the gids %s", id, inside(t.Maps.GID))
		}
	}
	if t.GroupsStay {
		c.User.Groups = nil
	}
	return nil
}

// environmentIn is that of the container's command, with what is the user's and the
// terminal's.
func (c *compiler) environmentIn(t *Target) []string {
	var env variables
	for _, kv := range t.Env {
		env.set(kv)
	}
	if c.spec.User.User != "" {
		env.set("HOME=" + c.User.Home)
		if c.User.Name != "" {
			env.set("USER=" + c.User.Name)
		} else {
			env.unset("USER")
		}
	}
	host := variables(c.host.Environ)
	if term, ok := host.get("TERM"); ok && c.spec.Terminal {
		if !t.TermInfo {
			term = "xterm"
		}
		env.set("TERM=" + term)
	}
	env.add(c.spec.Env, host)
	return env
}

// enter is the way of the joiner into the container.
func (c *compiler) enter(t *Target) {
	join := func(s plan.Step, why string) { c.Plan.Add(plan.Joiner, s, why) }
	c.parent(plan.StartJoiner{}, "a user namespace is entered by a process of one thread, a pid namespace by its child")
	join(plan.DieWithParent{}, "")
	switch {
	case c.spec.NoStdin:
		join(plan.NullStdin{Output: c.spec.Detach}, "")
	case c.spec.Terminal:
		join(ownFiles, notTheirs)
	}
	if t.Cgroup != "" {
		c.parent(plan.JoinCgroup{Path: t.Cgroup}, "its limits are the command's, too")
	}
	join(plan.OwnMemory{}, "its processes must not reach rl-run's binary, memory, command line and descriptors")
	join(plan.HideMemory{}, "until the command is executed")
	join(plan.Join{Flags: t.Join, Of: t.Name, PID: t.PID}, "by the pidfd of its init, whose user namespace was looked at")
	join(plan.StartInit{}, "a pid namespace is entered by children")
}

// beside is the way of the init that a command has beside the container's own.
func (c *compiler) beside() {
	c.inInit(plan.Subreaper{}, "what the command leaves behind is found")
	c.inInit(plan.DieWithParent{Sweep: true}, "and ended when rl-exec is killed")
	c.inInit(plan.StartCommand{}, "")
	if c.spec.Detach {
		c.inInit(plan.WaitFor{Whom: plan.Command}, "it needs its parent no more")
		c.inInit(plan.Leave{}, "it becomes a child of process 1")
		return
	}
	c.bound()
	c.leaveKeyring(plan.Init, "")
	if c.foreignIDs(c.User.UID, c.User.GID) {
		c.inInit(plan.WaitFor{Whom: plan.Command}, signalsAreForOwn)
	}
	c.become(plan.Init, c.User.UID, c.User.GID, c.User.Groups, true)
	if c.User.UID == 0 {
		c.inInit(plan.SetCaps{Effective: uint64(c.sets.Bounding), Permitted: uint64(c.sets.Bounding)}, "")
	} else {
		c.inInit(plan.SetCaps{}, "")
	}
	c.inInit(plan.NoNewPrivs{}, "")
	c.inInit(plan.ExecInit{Loose: true}, "it forwards signals, and leaves to process 1 what outlives the command")
}

func (c *compiler) bound() {
	c.inInit(plan.DropBounding{Keep: uint64(c.sets.Bounding), Last: c.host.LastCap}, "first, while CAP_SETPCAP is there")
}

// commandIn is the way of the command.
func (c *compiler) commandIn(t *Target) {
	c.inCmd(plan.DieWithParent{Again: true}, "a new process begins without, and no pid namespace ends it")
	c.inCmd(plan.NewSession{}, "")
	c.inCmd(plan.SetUmask{Mask: 0o022}, "")
	c.leaveKeyring(c.commandActor(), "the caller's keys stay outside")
	c.openFiles()
	c.inCmd(plan.CloseOnExec{}, "")
	c.inCmd(plan.DropBounding{Keep: uint64(c.sets.Bounding), Last: c.host.LastCap}, "first, while CAP_SETPCAP is there")
	c.inCmd(plan.ResetSignals{}, "")
	var load *plan.Seccomp
	if len(t.Filter) > 0 {
		load = &plan.Seccomp{Profile: t.Profile, Filter: t.Filter, Flags: t.FilterFlags}
	}
	if load != nil && t.NewPrivs {
		c.inCmd(*load, "without no_new_privs it needs CAP_SYS_ADMIN: before the capabilities drop")
	}
	if c.sets.Ambient != 0 {
		c.inCmd(plan.KeepCaps{}, "")
	}
	c.become(plan.Command, c.User.UID, c.User.GID, c.User.Groups, false)
	if !c.spec.Detach && c.foreignIDs(c.User.UID, c.User.GID) {
		c.inCmd(plan.LetGo{Whom: plan.Init}, "")
	}
	if c.spec.Terminal {
		c.Terminal = true
		c.inCmd(plan.OpenTerminal{Rows: c.rows(), Cols: c.cols()}, "of the container's own devpts; it belongs to who opens it")
		c.inCmd(plan.TakeTerminal{}, "")
	}
	dir := t.Workdir
	if c.spec.Workdir != "" {
		dir = c.spec.Workdir
	}
	c.inCmd(plan.Chdir{Path: dir}, "as the user whose place it is")
	for _, l := range c.spec.Ulimits {
		c.inCmd(plan.SetLimit{Name: l.Name, Resource: l.Resource, Soft: l.Soft, Hard: l.Hard}, "as its first command has it")
	}
	s := c.sets
	c.inCmd(plan.SetCaps{Effective: uint64(s.Effective), Permitted: uint64(s.Permitted), Inheritable: uint64(s.Inheritable)}, "")
	if s.Ambient != 0 {
		c.inCmd(plan.RaiseAmbient{Set: uint64(s.Ambient)}, "so that they outlive the exec of a user other than root")
	}
	if c.spec.Detach {
		c.inCmd(plan.OutliveParent{}, "rl-exec does not wait for it")
		c.inCmd(plan.LetGo{Whom: plan.Init}, "")
	}
	if !t.NewPrivs {
		c.inCmd(plan.NoNewPrivs{}, "")
		if load != nil {
			c.inCmd(*load, "last: it may refuse what the steps before need")
		}
	}
	c.inCmd(plan.Exec{Paths: c.candidates(), Argv: c.argv(), Env: c.Env}, "")
}

// Exec executes a command in a container that runs, and returns once that was
// executed; with Detach it is left alone. The calling goroutine stays locked to its
// thread (plan.Child.Start). Errors of steps are *plan.StepError.
func Exec(s *Spec, h *Host, t *Target, o plan.Options) (*Container, error) {
	c, err := execOnce(s, h, t, o)
	if failed, ok := errors.AsType[*plan.StepError](err); ok && h.Facts.OwnKeyring {
		if left, _ := h.Facts.Without(failed); !left.OwnKeyring {
			h.Facts, h.KeysRefused = left, keysRefused()
			c, err = execOnce(s, h, t, o)
		}
	}
	return c, err
}

func execOnce(s *Spec, h *Host, t *Target, o plan.Options) (*Container, error) {
	start, err := CompileExec(s, h, t)
	if err != nil {
		return nil, err
	}
	if err := plan.Begun(start.Plan); err != nil {
		return nil, err
	}
	c := &Container{connection: noConnection(), Start: start, spec: s, opts: o, path: h.Path, environ: h.Environ}
	if c.image, err = pid1.MemFD(); err != nil {
		return nil, err
	}
	c.opts.Image, c.opts.Pidfds = c.image, map[string]int{t.Name: t.PIDFD}
	if err = c.runAnyClone(); err == nil && s.Detach {
		var ws unix.WaitStatus
		if _, err = wait4(c.Child.PID, &ws); err == nil && ws != 0 {
			err = errors.New("start the command: its parent was killed")
		}
	} else if err != nil {
		c.tearDown()
	}
	if err != nil {
		_ = unix.Close(c.image)
		return nil, err
	}
	return c, nil
}
