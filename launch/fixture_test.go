package launch

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/net/usermode"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs"
	"github.com/rl-run/rl-run/rootfs/mountspec"
	"github.com/rl-run/rl-run/userns"
)

// The machines and callers of the golden plans, as data.

const fixturePasswd = `root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
alice:x:1000:1000:Alice:/home/alice:/bin/bash
`

const fixtureGroup = `root:x:0:
tty:x:5:
adm:x:4:alice
audio:x:29:alice
www-data:x:33:
alice:x:1000:
`

// desktop is a plain user, uid 1000, with 65536 subordinate ids on a recent
// kernel; ROOTFS is a complete tree of the user's own.
func desktop() Host {
	whole := []plan.Extent{{Inside: 0, Outside: 0, Count: 1<<32 - 1}}
	h := Host{
		Caller: userns.Caller{
			UID: 1000, GID: 1000,
			Parent: userns.Maps{UID: whole, GID: whole},
			Subordinate: userns.Subordinate{
				Name: "alice", Source: "files",
				UID: []userns.Range{{Start: 100000, Count: 65536}},
				GID: []userns.Range{{Start: 100000, Count: 65536}},
			},
			Helpers: userns.Helpers{
				UID: userns.Helper{Path: "/usr/bin/newuidmap"},
				GID: userns.Helper{Path: "/usr/bin/newgidmap"},
			},
		},
		Arch:   "amd64",
		Kernel: [2]int{6, 18},
		Name:   "laptop",
		Rootfs: rootfs.Tree{
			Path: "/home/alice/debian", Dev: 2049, Ino: 77, UID: 1000, GID: 1000, Mode: 0o755,
			Passwd: []byte(fixturePasswd), Group: []byte(fixtureGroup), TermInfo: true, UTF8: true,
		},
		Targets: make(map[string]rootfs.Target),
		Sources: map[string]rootfs.Source{
			"/proc": {Path: "/proc", Dev: 20, Ino: 1, Dir: true},
			"/sys":  {Path: "/sys", Dev: 21, Ino: 1, Dir: true},
		},
		Layers: "/var/tmp/rl-run-1000-4242",
		Masks: []rootfs.MaskPath{
			{Path: "/proc/acpi", Dir: true},
			{Path: "/proc/kcore"},
			{Path: "/proc/keys"},
			{Path: "/proc/timer_list"},
			{Path: "/sys/firmware", Dir: true},
		},
		Nodes:   slices.Clone(rootfs.Nodes[:]),
		PID:     4242,
		Ulimits: map[int]uint64{unix.RLIMIT_NOFILE: 524288, unix.RLIMIT_CORE: unix.RLIM_INFINITY},
		LastCap: 40,
		Files:   [2]uint64{1024, 524288},
		Environ: []string{"HOME=/home/alice", "PATH=/usr/bin", "TERM=xterm-256color", "https_proxy=http://proxy:3128", "SECRET=hunter2"},
		Resolv:  []byte("# made by a program\nnameserver 127.0.0.53\nnameserver 192.0.2.1\noptions edns0\nsearch example.org\n"),
		Rows:    50, Cols: 132,
		Netd: "/usr/libexec/rl-run/rl-netd",
		Usermode: usermode.Host{
			Pasta: "/usr/bin/pasta", Slirp4netns: "/usr/bin/slirp4netns", PastaIsNew: true,
			Outward4: netip.MustParseAddr("192.0.2.7"),
			Resolver: usermode.Resolver{Servers: []netip.Addr{netip.MustParseAddr("127.0.0.53")}},
		},
		Facts: AllFacts,
	}
	for _, dir := range []string{"/proc", "/sys", "/dev", "/tmp"} {
		h.Targets[dir] = rootfs.Target{Exists: true, Dir: true, Place: dir}
	}
	for _, file := range []string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"} {
		h.Targets[file] = rootfs.Target{Exists: true, Place: file}
	}
	return h
}

// basic is `rl-run --net=none ./debian sh`.
func basic() Spec {
	return Spec{Rootfs: "./debian", RootMode: RootEphemeral, Net: NetNone, Command: []string{"sh"}}
}

// noSubids takes the subordinate ids away.
func noSubids(_ *Spec, h *Host) {
	h.Caller.Subordinate = userns.Subordinate{Name: "alice", Source: "files"}
}

func singleID(s *Spec, _ *Host) { s.Userns.Mode = userns.ModeSingle }

// containerRoot is uid 0 of another container, with all its capabilities.
func containerRoot(_ *Spec, h *Host) {
	h.Caller.UID, h.Caller.GID = 0, 0
	h.Caller.CapSetUID, h.Caller.CapSetGID = true, true
	parent := []plan.Extent{{Inside: 0, Outside: 1000, Count: 1}, {Inside: 1, Outside: 100000, Count: 65536}}
	h.Caller.Parent = userns.Maps{UID: parent, GID: parent}
	h.Caller.Subordinate = userns.Subordinate{Name: "root", Source: "files"}
	h.Rootfs.UID, h.Rootfs.GID = 0, 0
	h.Layers = "/var/tmp/rl-run-0-4242"
}

// hostRoot is root of the machine.
func hostRoot(s *Spec, h *Host) {
	containerRoot(s, h)
	h.Caller.Parent = userns.InitialMaps()
}

// foreignOwner is a tree that belongs to the host's root.
func foreignOwner(_ *Spec, h *Host) { h.Rootfs.UID, h.Rootfs.GID = 0, 0 }

// bare takes the mount points out of ROOTFS: it has no /proc, /dev, /tmp and an
// /etc without files, whose resolv.conf is a dangling link.
func bare(_ *Spec, h *Host) {
	for _, p := range []string{"/proc", "/dev", "/tmp"} {
		h.Targets[p] = rootfs.Target{Place: p}
	}
	h.Targets["/etc/hosts"] = rootfs.Target{Missing: []string{"/etc"}, Place: "/etc/hosts"}
	h.Targets["/etc/hostname"] = rootfs.Target{Missing: []string{"/etc"}, Place: "/etc/hostname"}
	h.Targets["/etc/resolv.conf"] = rootfs.Target{Missing: []string{"/run", "/run/resolve"}, Place: "/run/resolve/resolv.conf"}
}

func onTerminal(s *Spec, h *Host) { s.Terminal, h.TTY = true, true }

// volumes are a mount of every sort.
func volumes(s *Spec, h *Host) {
	s.Mounts = []mountspec.Mount{
		mountspec.Bind{Source: "./src", Target: "/srv/src/deep", ReadOnly: true},
		mountspec.Bind{Source: "/data", Target: "/srv/src"},
		mountspec.Bind{Source: "/data/file", Target: "/etc/hosts", NonRecursive: true, NoExec: true},
		mountspec.Tmpfs{Target: "/scratch", Mode: 0o1777, Size: 1 << 20, Inodes: 100, UID: 33, GID: 33, NoExec: true},
		mountspec.Tmpfs{Target: "/run", Mode: 0o755, ReadOnly: true},
		mountspec.Device{Source: "/dev/fuse", Target: "/dev/fuse"},
	}
	h.Sources["./src"] = rootfs.Source{Path: "/home/alice/src", Dev: 2049, Ino: 100, Dir: true}
	h.Sources["/data"] = rootfs.Source{Path: "/data", Dev: 2050, Ino: 2, Dir: true}
	h.Sources["/data/file"] = rootfs.Source{Path: "/data/file", Dev: 2050, Ino: 3}
	h.Sources["/dev/fuse"] = rootfs.Source{Path: "/dev/fuse", Dev: 5, Ino: 92, Device: true}
	h.Targets["/srv/src/deep"] = rootfs.Target{Missing: []string{"/srv", "/srv/src"}, Place: "/srv/src/deep"}
	h.Targets["/srv/src"] = rootfs.Target{Missing: []string{"/srv"}, Place: "/srv/src"}
	h.Targets["/scratch"] = rootfs.Target{Place: "/scratch"}
	h.Targets["/run"] = rootfs.Target{Exists: true, Dir: true, Place: "/run"}
	h.Targets["/dev/fuse"] = rootfs.Target{Place: "/dev/fuse"}
}

func workdir(s *Spec, h *Host) {
	s.Workdir = "/work/deep"
	h.Targets["/work/deep"] = rootfs.Target{Missing: []string{"/work"}, Place: "/work/deep"}
}

// warm is a machine on which the caller's network session runs, with a network db.
func warm(_ *Spec, h *Host) {
	ids := []plan.Extent{{Inside: 0, Outside: 1000, Count: 1}, {Inside: 1, Outside: 100000, Count: 65536}}
	h.SessionDir = "/run/user/1000/rl-run/net"
	h.Session = &session.Session{Pidfd: 9, State: session.State{
		Pid: 321, UIDMap: ids, GIDMap: ids, Upstream: "pasta",
		Networks: []session.Network{
			{Name: session.Auto, Subnet: netip.MustParsePrefix("10.231.0.0/22"), Bridge: "rl0", IfIndex: 2, MTU: 65520, Isolated: true},
			{Name: "db", Index: 1, Subnet: netip.MustParsePrefix("10.231.4.0/24"), Bridge: "rl1", IfIndex: 3, MTU: 65520},
		},
	}}
}

// loginSession is a login session under systemd with control groups of version 2.
func loginSession(_ *Spec, h *Host) {
	const manager = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service"
	h.Groups = cgroup.Host{
		Layout: cgroup.V2, Mount: "/sys/fs/cgroup", Top: true, Root: []string{"cpuset", "cpu", "io", "memory", "pids"},
		Own: "/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope", NSDelegate: true, UID: 1000, PageSize: 4096,
		Bus:     "unix:path=/run/user/1000/bus",
		Manager: &cgroup.Subtree{Dir: manager, Controllers: []string{"cpu", "memory", "pids"}},
	}
}

// subtree is a service with Delegate=yes, whose processes have gone a level down.
func subtree(_ *Spec, h *Host) {
	const own = "/sys/fs/cgroup/system.slice/job.service"
	h.Groups = cgroup.Host{
		Layout: cgroup.V2, Mount: "/sys/fs/cgroup", Top: true, Root: []string{"cpuset", "cpu", "io", "memory", "pids"},
		Own: own + "/main", UID: 1000, PageSize: 4096,
		Subtrees: []cgroup.Subtree{{Dir: own, Controllers: []string{"memory", "pids"}}},
	}
}

func limit(s *Spec, _ *Host) { s.Limits = cgroup.Limits{Memory: 50 << 20, CPUs: 500_000, Pids: 20} }
