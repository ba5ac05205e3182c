package explain_test

import (
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
)

// hostile is a name that a line, a terminal or a shell might stumble over.
const hostile = "/x'y\n$(touch /tmp/z)\t\x1b[31m\\\xff -n"

// full is a plan with every step that a start in an overlay can have. Those of
// its words that a user, a file or a rootfs may choose are name, a path.
func full(name string) *launch.Start {
	var pl plan.Plan
	parent := func(s plan.Step, why string) { pl.Add(plan.Parent, s, why) }
	in := func(s plan.Step) { pl.Add(plan.Init, s, "") }
	cmd := func(s plan.Step) { pl.Add(plan.Command, s, "") }
	ids := []plan.Extent{{Inside: 0, Outside: 100000, Count: 1000}, {Inside: 1000, Outside: 1000, Count: 1}}

	parent(plan.BindPorts{Ports: []string{"8080:80/tcp"}}, "")
	parent(plan.ShareTree{Path: "/home/alice/tree" + name}, "")
	parent(plan.PrepareLayers{Dir: "/home/alice/kept", Mode: 0o755, About: "rootfs" + name}, "")
	parent(plan.LeaveChroot{}, "in a chroot there are none")
	parent(plan.StartKeeper{}, "it outlives rl-run")
	pl.Add(plan.Keeper, plan.StartJoiner{}, "")
	pl.Add(plan.Joiner, plan.DieWithParent{}, "")
	parent(plan.JoinCgroup{Path: "/user.slice" + name}, "")
	pl.Add(plan.Joiner, plan.OwnMemory{}, "")
	pl.Add(plan.Joiner, plan.HideMemory{}, "")
	pl.Add(plan.Joiner, plan.Join{Flags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, Of: "web", PID: 4711}, "")
	pl.Add(plan.Joiner, plan.StartInit{Flags: unix.CLONE_NEWUSER | unix.CLONE_NEWPID}, "the user namespace comes first")
	pl.Add(plan.Keeper, plan.WaitFor{Whom: plan.Parent}, "")
	pl.Add(plan.Keeper, plan.ExecKeeper{Log: 1 << 20, Group: true}, "")
	in(plan.DieWithParent{})
	parent(plan.MapIDs{UID: ids, GID: ids, By: "helpers", Helpers: [2]string{"/usr/bin/newuidmap", "/usr/bin/newgidmap"}}, "")
	parent(plan.EnterGroup{
		Way: "scope", Bus: "unix:path=/run/user/1000/bus", UID: 1000, Unit: "rl-run-box.scope", Mount: "/sys/fs/cgroup", Name: "rl-run-box",
		Controllers: []string{"cpu", "memory"},
		Files: []plan.GroupFile{
			{Limit: "--memory 50m", Controller: "memory", File: "memory.max", Value: "52428800"},
			{Limit: "--memory 50m", Controller: "memory", File: "memory.oom.group", Value: "1", Derived: true},
			{Limit: "--cpus 0.5", Controller: "cpu", File: "cpu.max", Value: "50000 100000"},
		},
	}, "while init waits")
	in(plan.SendUserNS{})
	parent(plan.StartHelper{Which: plan.Driver}, "")
	pl.Add(plan.Driver, plan.JoinContainer{}, "")
	pl.Add(plan.Driver, plan.NewPIDNamespace{}, "")
	pl.Add(plan.Driver, plan.ExecGuard{Argv: []string{"/usr/bin/pasta", "--foreground", "-I", name}}, "")
	in(plan.SetIDs{})
	in(plan.DieWithParent{})
	in(plan.SetUmask{})
	in(plan.Unshare{Flags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP})
	in(plan.Subreaper{})
	in(plan.StartCommand{})
	cmd(plan.DieWithParent{})
	cmd(plan.Unshare{Flags: unix.CLONE_NEWNET})
	cmd(plan.SendNetNS{})
	cmd(plan.LoopbackUp{})
	cmd(plan.SetNetSysctl{Name: "ipv4/ping_group_range", Value: "0 1000"})
	cmd(plan.LetGo{Whom: plan.Init})
	parent(plan.GiveNetNS{To: plan.Driver}, "")
	parent(plan.StartHelper{Which: plan.Forwarder}, "")
	pl.Add(plan.Forwarder, plan.JoinContainer{Net: true}, "")
	pl.Add(plan.Joiner, plan.WriteIDMaps{UID: ids, GID: ids}, "")
	parent(plan.AwaitJoiner{}, "")
	parent(plan.MakePort{Network: "db", Address: "10.9.8.7", Names: []string{"pg", "primary"}}, "")
	pl.Add(plan.Linker, plan.SendLink{}, "")
	parent(plan.MakeVeth{Helper: "/usr/libexec/rl-run/rl-veth", Args: []string{"ip=192.168.47.12/24"}}, "")
	cmd(plan.NewSession{})
	cmd(plan.SetUmask{Mask: 0o022})
	cmd(plan.NewKeyring{})
	cmd(plan.NullStdin{})
	cmd(plan.KeepOutput{})
	cmd(plan.SetLimit{Name: "nofile", Resource: unix.RLIMIT_NOFILE, Soft: 1024, Hard: unix.RLIM_INFINITY})
	cmd(plan.CloseOnExec{})
	cmd(plan.DropBounding{Keep: 1<<unix.CAP_CHOWN | 1<<unix.CAP_NET_RAW | 1<<41, Last: 41})
	cmd(plan.ResetSignals{})
	in(plan.SetHostname{Name: "box"})
	in(plan.Propagate{Type: "slave"})
	in(plan.Stage{Size: 1 << 20})
	in(plan.StageDir{Name: "upper", Mode: 0o2755, UID: 5, GID: 6})
	in(plan.AttachTree{Path: "/home/alice/tree", Dev: 1, Ino: 2, Name: "lower", Recursive: true, ReadOnly: true})
	in(plan.Overlay{Lower: []string{"lower"}, Upper: "upper", Work: "work", Volatile: true})
	in(plan.OpenRoot{})
	in(plan.MakeDir{Path: "/tmp", Mode: 0o1777})
	in(plan.MakeFile{Path: name})
	in(plan.Mount{Type: "proc", Target: "/proc", Flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, Strict: true})
	in(plan.BindNode{Name: "null"})
	in(plan.Symlink{Path: "/dev/fd", To: "-/self/fd"})
	in(plan.ProvideFile{Target: "/etc/hosts", Name: "hosts", Content: "127.0.0.1\tlocalhost\n" + name})
	in(plan.WaitFor{Whom: plan.Command})
	in(plan.JoinNet{})
	in(plan.Bind{Source: "/sys", Target: "/sys", Dev: 3, Ino: 1, Recursive: true, Attr: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOEXEC, Slave: true})
	in(plan.Bind{Source: name, Target: name, Dev: 3, Ino: 4})
	in(plan.BindSelf{Target: "/proc/sys", Attr: unix.MOUNT_ATTR_RDONLY})
	in(plan.OpenNull{})
	in(plan.Mask{Path: "/proc/keys"})
	in(plan.Mask{Path: "/sys/firmware", Dir: true})
	parent(plan.AwaitNetwork{}, "")
	in(plan.ConfigureLink{From: "rlv0", To: "eth0"})
	in(plan.ReadOnlyRoot{})
	in(plan.PivotRoot{})
	in(plan.HideMemory{})
	in(plan.LetGo{Whom: plan.Command})
	in(plan.DropBounding{Keep: 1, Last: 41})
	in(plan.SetIDs{UID: 1000, GID: 1000})
	in(plan.SetCaps{})
	in(plan.NoNewPrivs{})
	in(plan.ExecInit{})
	in(plan.Leave{})
	cmd(plan.WaitFor{Whom: plan.Init})
	cmd(plan.OutliveParent{})
	cmd(plan.KeepCaps{})
	cmd(plan.SetIDs{UID: 1000, GID: 1000, Groups: []uint32{5, 29}})
	cmd(plan.DieWithParent{})
	cmd(plan.OpenTerminal{Rows: 24, Cols: 80})
	cmd(plan.TakeTerminal{})
	cmd(plan.Chdir{Path: name})
	cmd(plan.SetCaps{Effective: 1 << unix.CAP_NET_RAW, Permitted: 1 << unix.CAP_NET_RAW, Inheritable: 1 << unix.CAP_NET_RAW})
	cmd(plan.RaiseAmbient{Set: 1 << unix.CAP_NET_RAW})
	cmd(plan.NoNewPrivs{})
	cmd(plan.Seccomp{Profile: "default", Filter: []unix.SockFilter{{Code: 0x20, K: 4}, {Code: 0x15, Jt: 1, Jf: 2, K: 0xc000003e}, {Code: 6, K: 0x7fff0000}}})
	cmd(plan.Exec{
		Paths: []string{"/bin/ls", "/usr/bin/ls"},
		Argv:  []string{"ls", "-l", name, ""},
		Env: []string{
			"PATH=/bin:/usr/bin", "HOME=/home/a b", "TOKEN=hunter2" + name, "EMPTY=", "PWD=/there",
			"not.a.name=hunter3", "dir=hunter4",
		},
	})
	pl.Cleanup = []plan.Step{
		plan.RemoveMountPoint{Rootfs: "/home/alice/tree", Path: "/tmp", Dir: true},
		plan.RemoveMountPoint{Rootfs: "/home/alice/tree", Path: name},
		plan.RemoveLayers{Dir: "/var/tmp/rl-run-1000-42", UID: ids, GID: ids},
	}
	return &launch.Start{Plan: pl, Notes: []string{"a note" + name}}
}

// small is a plan with a map of a single id and a root in memory, in which init
// does all before it starts the command.
func small() *launch.Start {
	var pl plan.Plan
	add := func(a plan.Actor, s plan.Step) { pl.Add(a, s, "") }
	add(plan.Parent, plan.StartInit{Flags: unix.CLONE_NEWUSER})
	add(plan.Init, plan.MapOwnIDs{UID: plan.Extent{Outside: 1000, Count: 1}, GID: plan.Extent{Outside: 1000, Count: 1}})
	add(plan.Init, plan.SetIDs{KeepGroups: true})
	add(plan.Init, plan.Unshare{Flags: unix.CLONE_NEWNS})
	add(plan.Init, plan.Propagate{Type: "private"})
	add(plan.Init, plan.Stage{})
	add(plan.Init, plan.AttachTree{Path: "/home/alice/tree", Name: "lower"})
	add(plan.Init, plan.RootTmpfs{Size: 50 << 20, Mode: 0o755})
	add(plan.Init, plan.CopyTree{From: "lower", To: "root", Source: "/home/alice/tree"})
	add(plan.Init, plan.OpenRoot{})
	add(plan.Init, plan.PivotRoot{})
	add(plan.Init, plan.DropBounding{Keep: 1<<41 - 1 - 1<<unix.CAP_SYS_BOOT, Last: 40})
	add(plan.Init, plan.StartCommand{})
	add(plan.Init, plan.ExecInit{Tree: true})
	add(plan.Command, plan.Exec{Paths: []string{"/bin/sh"}, Argv: []string{"/bin/sh"}, Env: []string{"PATH=/bin"}})
	return &launch.Start{Plan: pl}
}
