package launch

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
	"github.com/rl-run/rl-run/caps/seccomp"
	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/internal/passwd"
	"github.com/rl-run/rl-run/net/usermode"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs"
	"github.com/rl-run/rl-run/userns"
)

// Start is a compiled start.
type Start struct {
	Plan  plan.Plan
	Notes []string // for the user, a line each: fallbacks, and what an option gives up

	Form     rootfs.Form
	IDs      userns.Result
	User     passwd.User
	Hostname string
	Env      []string
	Terminal bool
	Sets     caps.Sets // of the command
	Network  Network
	Hosts    string          // /etc/hosts
	Resolv   string          // /etc/resolv.conf
	driver   usermode.Driver // of kind Auto or None for none
	nesting  *nesting        // in the network session; nil for none
}

// compiler is a start while it is being compiled.
type compiler struct {
	spec *Spec
	host *Host
	Start
	shares    []shared          // namespaces of other containers
	placement *cgroup.Placement // of the control group; nil for none
	made      []plan.Entry      // mount points made in the root
	sets      caps.Sets
	base      [2]uint32 // uid and gid inside with which the root is set up
	fallen    []string  // the notes that are fallbacks
}

// Compile decides how a container is started on this machine. It is a pure
// function; a filter that Spec names must have been loaded by LoadFilter. Errors
// are for what was asked for and cannot be had.
func Compile(spec *Spec, host *Host, filter *seccomp.Profile) (*Start, error) {
	c := &compiler{spec: spec, host: host}
	for _, decide := range []func() error{
		c.share,
		c.check,
		c.ids,
		c.identity,
		c.limits,
		c.nest,
		c.network,
		c.gatewayNames,
		c.tmpfsOwners,
		func() error { return c.privileges(filter) },
		func() error { return c.keyring(c.spec.Seccomp == "", "--security-opt seccomp="+c.spec.Seccomp) },
	} {
		if err := decide(); err != nil {
			return nil, err
		}
	}
	for _, part := range []func() error{
		c.ports,
		c.layers,
		c.startInit,
		c.mapIDs,
		c.namespaces,
		c.startCommand,
		func() error { return c.command(filter) },
		c.root,
		c.proc,
		c.dev,
		c.files,
		c.fakes,
		c.nests,
		c.sys,
		c.masks,
		c.mounts,
		c.pivot,
		c.init,
		func() error { return c.exec(filter) },
	} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	c.cleanup()
	c.Sets = c.sets
	return &c.Start, c.strict()
}

func (c *compiler) parent(s plan.Step, why string) { c.Plan.Add(plan.Parent, s, why) }
func (c *compiler) inInit(s plan.Step, why string) { c.Plan.Add(plan.Init, s, why) }
func (c *compiler) inCmd(s plan.Step, why string)  { c.Plan.Add(c.commandActor(), s, why) }

func (c *compiler) add(entries []plan.Entry) { c.Plan.Entries = append(c.Plan.Entries, entries...) }

func (c *compiler) ownPID() bool { return c.own(unix.CLONE_NEWPID) }
func (c *compiler) ownNet() bool { return c.own(unix.CLONE_NEWNET) }

// ids chooses the id maps and who sets the root up.
func (c *compiler) ids() (err error) {
	if c.joins() {
		c.sharedIDs()
		return nil
	}
	if c.IDs, err = userns.Compile(c.spec.Userns, c.host.Caller); err != nil {
		h := c.host.Caller.Helpers
		for _, problem := range []string{h.UID.Problem, h.GID.Problem} {
			if problem != "" && strings.Contains(err.Error(), problem) {
				return hinted(err, helpersHint(c.host.Caller))
			}
		}
		return err
	}
	c.fallBack(c.IDs.Fallbacks...)
	c.noteRoot()
	c.chooseBase()
	return nil
}

// chooseBase: the root is set up as 0, or, where that has no id, as the caller.
func (c *compiler) chooseBase() {
	if _, ok := c.IDs.Maps.HostUID(0); !ok {
		c.base[0], _ = c.IDs.Maps.InsideUID(c.host.Caller.UID)
	}
	if _, ok := c.IDs.Maps.HostGID(0); !ok {
		c.base[1], _ = c.IDs.Maps.InsideGID(c.host.Caller.GID)
	}
}

func (c *compiler) startInit() error {
	c.otherStart()
	flags := uint64(unix.CLONE_NEWUSER)
	if c.joins() {
		flags = 0
	}
	if c.ownPID() {
		flags |= unix.CLONE_NEWPID
	}
	start := func(by plan.Actor) {
		switch {
		case c.joins():
			c.startJoined(by, flags)
		case c.nesting != nil:
			c.startNested(by, flags)
		default:
			c.Plan.Add(by, plan.StartInit{Flags: flags}, "the user namespace comes first; the others are made inside it")
		}
	}
	if c.spec.Detach {
		c.parent(plan.StartKeeper{}, "it outlives rl-run, and is the parent of init")
		c.Plan.Add(plan.Keeper, plan.DieWithParent{}, "until the command runs")
		start(plan.Keeper)
		c.Plan.Add(plan.Keeper, plan.WaitFor{Whom: plan.Parent}, "the command runs, and is known by its name")
		c.Plan.Add(plan.Keeper, plan.ExecKeeper{Log: c.spec.LogSize, Group: c.placement != nil}, "nothing of rl-run stays in memory")
	} else {
		start(plan.Parent)
	}
	c.inInit(plan.DieWithParent{}, "")
	return nil
}

func (c *compiler) mapIDs() error {
	switch m, how := c.IDs.Maps, c.IDs.How; {
	case c.joins(): // they are mapped
	case c.nesting != nil:
		c.mapNested()
	case how.Way == userns.WaySelf:
		c.inInit(plan.MapOwnIDs{UID: m.UID[0], GID: m.GID[0]}, "one id, the caller's own, needs no privilege")
	default:
		c.parent(plan.MapIDs{UID: m.UID, GID: m.GID, By: string(how.Way), Helpers: [2]string{how.NewUIDMap, how.NewGIDMap}},
			"a namespace gets its owner when it is made: maps before the others")
	}
	c.group()
	c.startDriver()
	c.become(plan.Init, c.base[0], c.base[1], nil, false)
	c.inInit(plan.SetUmask{}, "modes are as the steps say")
	return nil
}

// become changes the ids, and arms again what the change disarms.
func (c *compiler) become(a plan.Actor, uid, gid uint32, groups []uint32, sweep bool) {
	c.Plan.Add(a, plan.SetIDs{UID: uid, GID: gid, Groups: groups, KeepGroups: c.IDs.GroupsStay}, "")
	if c.foreignIDs(uid, gid) {
		c.Plan.Add(a, plan.DieWithParent{Again: true, Sweep: sweep, Later: sweep}, "a change of the kernel's ids clears PDEATHSIG")
	}
}

// foreignIDs reports whether ids of the container are others than the caller's to the kernel.
func (c *compiler) foreignIDs(uid, gid uint32) bool {
	hostUID, _ := c.IDs.Maps.HostUID(uid)
	hostGID, _ := c.IDs.Maps.HostGID(gid)
	return hostUID != c.host.Caller.UID || hostGID != c.host.Caller.GID
}

// commandFirst reports whether init may become the command's user only when that has done so. Where no pid namespace ends
// what an init leaves behind, a parent without capabilities must be of the same user to send its child a signal, that of
// its own death, PDEATHSIG, too.
func (c *compiler) commandFirst() bool {
	return !c.ownPID() && !c.early() && c.foreignIDs(c.User.UID, c.User.GID)
}

func (c *compiler) namespaces() error {
	flags := uint64(unix.CLONE_NEWNS)
	for _, flag := range []uint64{unix.CLONE_NEWUTS, unix.CLONE_NEWIPC, unix.CLONE_NEWCGROUP} {
		if c.own(flag) {
			flags |= flag
		}
	}
	if !c.netBeside() && c.ownNet() {
		flags |= unix.CLONE_NEWNET
	}
	c.inInit(plan.Unshare{Flags: flags}, "inside the mapped user namespace, which so owns them")
	if !c.netBeside() && c.ownNet() {
		c.handOver(plan.Init)
		c.startHelpers()
	}
	return nil
}

// netBeside reports whether the command makes the net namespace while init sets up the root. For init to join it then,
// the memory of both has to be readable for a moment, which it may not be where another container is near.
func (c *compiler) netBeside() bool { return c.ownNet() && !c.joins() && !c.spec.NoInit }

// startCommand parts init and command: from here on one sets up the root while
// the other makes the net namespace and gives up its privileges.
func (c *compiler) startCommand() error {
	if c.spec.NoInit {
		return nil
	}
	if !c.ownPID() {
		c.inInit(plan.Subreaper{}, "without a pid namespace orphans would go to the host's init")
		c.inInit(plan.DieWithParent{Again: true, Sweep: true}, "and nothing but init would end them")
	}
	c.inInit(plan.StartCommand{}, "init and command run side by side from here on")
	return nil
}

// command is what the command's process does while init sets up the root.
func (c *compiler) command(filter *seccomp.Profile) error {
	if c.spec.NoInit {
		return nil
	}
	if !c.ownPID() {
		c.inCmd(plan.DieWithParent{Again: true}, "a new process begins without, and no pid namespace ends it")
	}
	if c.netBeside() {
		c.inCmd(plan.Unshare{Flags: unix.CLONE_NEWNET}, "it takes as long as all mounts: beside them")
		c.handOver(plan.Command)
		c.inCmd(plan.LetGo{Whom: plan.Init}, "")
		c.startHelpers()
	}
	c.attributes()
	if c.early() {
		return c.enforce(filter)
	}
	return nil
}

// early: the command gives up its privileges before it has seen its root. With
// a profile of the user's own, or with a terminal still to be opened, the
// filter might refuse what is left to do.
// Nor may its ids change before init has joined its net namespace: by a change
// of the kernel's ids the shared memory becomes non-dumpable, and setns(2) by
// pidfd is EPERM.
func (c *compiler) early() bool {
	return !c.spec.NoInit && c.spec.Seccomp == "" && !c.spec.Terminal && c.User.UID == c.base[0] && c.User.GID == c.base[1]
}

// enforce drops what the command may not have, in the order in which each step
// can still be taken.
func (c *compiler) enforce(filter *seccomp.Profile) error {
	load, err := c.seccomp(filter)
	if err != nil {
		return err
	}
	if load != nil && c.spec.NewPrivs {
		c.inCmd(*load, "without no_new_privs it needs CAP_SYS_ADMIN: before the capabilities drop")
	}
	s := c.sets
	if s.Ambient != 0 {
		c.inCmd(plan.KeepCaps{}, "")
	}
	c.become(c.commandActor(), c.User.UID, c.User.GID, c.User.Groups, false)
	if c.commandFirst() {
		c.inCmd(plan.LetGo{Whom: plan.Init}, "")
	}
	if c.spec.Terminal {
		c.Terminal = true
		c.inCmd(plan.OpenTerminal{Rows: c.rows(), Cols: c.cols()}, "of the container's own devpts; it belongs to who opens it")
		c.inCmd(plan.TakeTerminal{}, "")
	}
	if !c.early() {
		c.inCmd(plan.Chdir{Path: c.workdir()}, "as the user whose place it is")
	}
	if err := c.ulimits(); err != nil {
		return err
	}
	c.inCmd(plan.SetCaps{Effective: uint64(s.Effective), Permitted: uint64(s.Permitted), Inheritable: uint64(s.Inheritable)}, "")
	if s.Ambient != 0 {
		c.inCmd(plan.RaiseAmbient{Set: uint64(s.Ambient)}, "so that they outlive the exec of a user other than root")
	}
	if !c.spec.NewPrivs {
		c.inCmd(plan.NoNewPrivs{}, "")
		if load != nil {
			c.inCmd(*load, "last: it may refuse what the steps before need")
		}
	}
	return nil
}

const signalsAreForOwn = "without capabilities it can kill the command as the same user only"

func (c *compiler) pivot() error {
	if c.spec.RootMode == RootReadOnly && c.Form == rootfs.FormOverlay || c.readOnlyOverlay() {
		c.inInit(plan.ReadOnlyRoot{}, "")
	}
	c.inInit(plan.PivotRoot{}, "from here on no path leads to the host")
	c.connect()
	if c.spec.NoInit {
		return nil
	}
	c.inInit(plan.HideMemory{}, "the command must not read the launcher through /proc/1")
	c.inInit(plan.LetGo{Whom: plan.Command}, "")
	return nil
}

// init is the way of pid 1 to the static init.
func (c *compiler) init() error {
	if c.spec.NoInit {
		return nil
	}
	c.inInit(plan.DropBounding{Keep: uint64(c.sets.Bounding), Last: c.host.LastCap}, "first, while CAP_SETPCAP is there")
	c.leaveKeyring(plan.Init, "")
	if c.commandFirst() {
		c.inInit(plan.WaitFor{Whom: plan.Command}, signalsAreForOwn)
	}
	c.become(plan.Init, c.User.UID, c.User.GID, c.User.Groups, !c.ownPID())
	if c.User.UID == 0 {
		// an exec by uid 0 would give it the bounding set in any case
		c.inInit(plan.SetCaps{Effective: uint64(c.sets.Bounding), Permitted: uint64(c.sets.Bounding)}, "")
	} else {
		c.inInit(plan.SetCaps{}, "")
	}
	c.inInit(plan.NoNewPrivs{}, "")
	c.inInit(plan.ExecInit{Tree: !c.ownPID()}, "nothing of rl-run is left in /proc/1")
	return nil
}

// cleanup is what the parent does after the end, or, of a detached container, its heir.
func (c *compiler) cleanup() {
	if c.Form == rootfs.FormBind {
		c.Plan.Cleanup = append(c.Plan.Cleanup, rootfs.Unmake(c.host.Rootfs.Path, c.made)...)
	}
	if c.temporaryLayers() {
		c.Plan.Cleanup = append(c.Plan.Cleanup, plan.RemoveLayers{Dir: c.host.Layers, UID: c.IDs.Maps.UID, GID: c.IDs.Maps.GID})
	}
}
