package launch

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/cgroup/ulimit"
	"github.com/rl-run/rl-run/internal/passwd"
	"github.com/rl-run/rl-run/net/port"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs/mountspec"
	"github.com/rl-run/rl-run/userns"
)

var update = flag.Bool("update", false, "write the golden plans anew")

// golden is a start whose plan lies in testdata/plans/NAME.txt.
type golden struct {
	name    string
	command string // as the user types it
	host    string // what is special about the machine
	change  []func(*Spec, *Host)
}

// targets are the containers of those goldens that are no starts but further commands.
var targets = map[string]func() *Target{
	"exec": web,
	"exec-terminal": func() *Target {
		t := web()
		t.TermInfo, t.Passwd, t.Group = true, []byte(fixturePasswd), []byte(fixtureGroup)
		return t
	},
	"exec-detach": func() *Target {
		t := web()
		t.Cgroup, t.NewPrivs = "/user.slice/rl-run-web.scope/container", true
		return t
	},
	"exec-single": func() *Target {
		t := web()
		t.GroupsStay, t.Filter = true, nil
		return t
	},
}

// web is a container that runs.
func web() *Target {
	ids := []plan.Extent{{Inside: 0, Outside: 1000, Count: 1}, {Inside: 1, Outside: 100000, Count: 65536}}
	return &Target{
		Name: "web", PID: 4711, PIDFD: 7,
		Join: unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		Maps: userns.Maps{UID: ids, GID: ids}, Bounding: 0x800405fb,
		Profile: "default", Filter: make([]unix.SockFilter, 3),
		Env: []string{"PATH=/bin:/usr/bin", "HOME=/root", "USER=root", "A=1"}, Workdir: "/srv",
	}
}

var goldens = []golden{
	{"exec", "rl-exec -e A=2 -e SECRET web sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		*s = Spec{Command: []string{"sh"}, Env: []string{"A=2", "SECRET"}}
	}}},
	{"exec-terminal", "rl-exec -t -u alice -w /tmp web sh", "a terminal of 50 rows", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		*s = Spec{Command: []string{"sh"}, User: passwd.Spec{User: "alice"}, Workdir: "/tmp", Terminal: true}
	}}},
	{"exec-detach", "rl-exec -d -u 42 web /bin/server", "the container has a control group, and no_new_privs off", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		*s = Spec{Command: []string{"/bin/server"}, User: passwd.Spec{User: "42"}, NoStdin: true, Detach: true}
	}}},
	{"exec-single", "rl-exec -i=false web true", "a map of a single id, no filter", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		*s = Spec{Command: []string{"true"}, NoStdin: true}
	}}},
	{"desktop", "rl-run --net=none ./debian sh", "", nil},
	{"net-auto", "rl-run ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) { s.Net = NetAuto }}},
	{"net-auto-nothing", "rl-run ./debian sh", "neither pasta nor slirp4netns", []func(*Spec, *Host){func(s *Spec, h *Host) { s.Net, h.Usermode.Pasta = NetAuto, "" }}},
	{"net-slirp4netns", "rl-run --net=slirp4netns --dns 192.0.2.53 ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.Net, s.DNS = NetSlirp, []string{"192.0.2.53"}
	}}},
	{"net-keep-id", "rl-run --net=slirp4netns --userns=keep-id -p 8080:80 ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.Net, s.Userns.Mode = NetSlirp, userns.ModeKeepID
		s.Publish = []port.Publish{{HostPort: 8080, Port: 80, Count: 1}}
	}}},
	{"net-ports", "rl-run --net=none -d -p 8080:80 -p 127.0.0.1:0:53/udp ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.Detach, s.NoStdin, s.LogSize = true, true, 1<<20
		s.Publish = []port.Publish{
			{HostPort: 8080, Port: 80, Count: 1}, {Host: netip.MustParseAddr("127.0.0.1"), Port: 53, Count: 1, Proto: port.UDP},
		}
	}}},
	{"net-veth", "rl-run --net=veth --veth-host 192.168.47.11/24 --veth-ip 192.168.47.12/24 --name box ./debian sh", "", []func(*Spec, *Host){func(s *Spec, h *Host) {
		s.Net, s.Name, h.Veth.Path = NetVeth, "box", "/usr/local/libexec/rl-run/rl-veth"
		s.Veth.Host, s.Veth.IP = netip.MustParsePrefix("192.168.47.11/24"), netip.MustParsePrefix("192.168.47.12/24")
	}}},
	{"net-listen", "rl-run --net=none --listen-fd ./debian sh", "started by socket activation, with two sockets", []func(*Spec, *Host){func(s *Spec, h *Host) {
		s.Listen, h.Listen = true, port.ListenFDs{Count: 2, Names: []string{"web", "web"}}
	}}},
	{"net-listen-no-init", "rl-run --net=none --init=false --listen-fd ./debian sh", "started by socket activation, with one socket", []func(*Spec, *Host){func(s *Spec, h *Host) {
		s.NoInit, s.Listen, h.Listen = true, true, port.ListenFDs{Count: 1}
	}}},
	{"fake-root", "rl-run --net=none --userns=single --fake-root ./debian sh", "", []func(*Spec, *Host){singleID, func(s *Spec, _ *Host) { s.FakeRoot = true }}},
	{"nest", "rl-run --net=none --nest ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) { s.Nest = true }}},
	{"nest-masked", "rl-run --net=none --nest ./debian sh", "a part of the outer /proc is masked", []func(*Spec, *Host){func(s *Spec, h *Host) { s.Nest, h.Facts.OwnProc = true, false }}},
	{"net-session", "rl-run ./debian sh", "a network session runs", []func(*Spec, *Host){warm, func(s *Spec, _ *Host) { s.Net = NetAuto }}},
	{"net-none-session", "rl-run --net=none ./debian sh", "a network session runs", []func(*Spec, *Host){warm}},
	{"net-named", "rl-run -d --net=db --name pg -p 5432:5432 ./debian sh", "a network session runs", []func(*Spec, *Host){warm, func(s *Spec, _ *Host) {
		s.Net, s.Name, s.Detach, s.NoStdin, s.LogSize = "db", "pg", true, true, 1<<20
		s.Publish = []port.Publish{{HostPort: 5432, Port: 5432, Count: 1}}
	}}},
	{
		"net-named-place", "rl-run --net=db --ip 10.231.4.9 --name pg --network-alias primary --network-alias pg --dns-search corp.example --dns-search lab.example --dns-option ndots:2 ./debian sh",
		"a network session runs",
		[]func(*Spec, *Host){warm, func(s *Spec, _ *Host) {
			s.Net, s.Name, s.Aliases, s.IP = "db", "pg", []string{"primary", "pg"}, netip.MustParseAddr("10.231.4.9")
			s.DNSSearch, s.DNSOption = []string{"corp.example", "lab.example"}, []string{"ndots:2"}
		}},
	},
	{"no-subids", "rl-run --net=none ./debian sh", "no subordinate ids", []func(*Spec, *Host){noSubids}},
	{"no-helpers", "rl-run --net=none ./debian sh", "newuidmap is not installed", []func(*Spec, *Host){func(_ *Spec, h *Host) {
		h.Caller.Helpers.UID = userns.Helper{Problem: "newuidmap: not found"}
	}}},
	{"old-kernel", "rl-run --net=none ./debian sh", "Linux 6.1: tmpfs takes no user xattrs", []func(*Spec, *Host){func(_ *Spec, h *Host) {
		h.Kernel, h.Facts.TmpfsUpper = [2]int{6, 1}, false
	}}},
	{"masked-proc", "rl-run --net=none ./debian sh", "a part of the outer /proc is masked", []func(*Spec, *Host){func(_ *Spec, h *Host) { h.Facts.OwnProc = false }}},
	{"masked-sys", "rl-run --net=none ./debian sh", "a part of the outer /sys is masked", []func(*Spec, *Host){func(_ *Spec, h *Host) { h.Facts.OwnSys = false }}},
	{"chroot", "rl-run --net=none ./debian sh", "the caller is root in a chroot", []func(*Spec, *Host){containerRoot, func(_ *Spec, h *Host) { h.Facts.OwnRoot, h.Leavable = false, true }}},
	{"chroot-detach", "rl-run --net=none -d ./debian sh", "the caller is root in a chroot", []func(*Spec, *Host){containerRoot, func(s *Spec, h *Host) {
		s.Detach, s.NoStdin, s.LogSize, h.Facts.OwnRoot, h.Leavable = true, true, 1<<20, false, true
	}}},
	{"no-keyring", "rl-run --net=none ./debian sh", "keyctl(2) is refused", []func(*Spec, *Host){func(_ *Spec, h *Host) { h.Facts.OwnKeyring = false }}},
	{"no-name", "rl-run --net=none ./debian sh", "no host name can be set", []func(*Spec, *Host){func(_ *Spec, h *Host) { h.Facts.OwnName = false }}},
	{"no-cgroup2-no-mqueue", "rl-run --net=none ./debian sh", "neither cgroup2 nor mqueue can be mounted", []func(*Spec, *Host){func(_ *Spec, h *Host) {
		h.Facts.OwnCgroup, h.Facts.MQueue = false, false
	}}},
	{"no-overlay", "rl-run --net=none ./debian sh", "no overlay in this kernel", []func(*Spec, *Host){func(_ *Spec, h *Host) { h.Facts.Overlay = false }}},
	{"submounts", "rl-run --net=none ./debian sh", "ROOTFS has mounts below it", []func(*Spec, *Host){func(_ *Spec, h *Host) { h.Facts.PlainTree = false }}},
	{"nothing-works", "rl-run --net=none ./debian sh", "no fact holds", []func(*Spec, *Host){func(_ *Spec, h *Host) { h.Facts = Facts{} }}},
	{"foreign-owner", "rl-run --net=none ./debian sh", "ROOTFS belongs to the host's root", []func(*Spec, *Host){foreignOwner}},
	{"foreign-owner-bare", "rl-run --net=none ./debian sh", "ROOTFS belongs to the host's root and lacks mount points", []func(*Spec, *Host){foreignOwner, bare}},
	{"bare-tree", "rl-run --net=none ./debian sh", "ROOTFS lacks mount points; its resolv.conf is a dangling link", []func(*Spec, *Host){bare}},
	{"few-devices", "rl-run --net=none ./debian sh", "the host has /dev/null alone, no masks, and few files", []func(*Spec, *Host){func(_ *Spec, h *Host) {
		h.Nodes, h.Masks, h.Files = []string{"null"}, nil, [2]uint64{1024, 1024}
	}}},
	{"single", "rl-run --net=none --userns=single ./debian sh", "", []func(*Spec, *Host){singleID}},
	{"no-init", "rl-run --net=none --init=false ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) { s.NoInit = true }}},
	{"no-init-terminal", "rl-run -d -t --init=false -u alice ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.NoInit, s.Terminal, s.Detach, s.NoStdin, s.LogSize, s.User = true, true, true, true, 1<<20, passwd.Spec{User: "alice"}
	}}},
	{"single-groups", "rl-run --net=none --userns=single ./debian sh", "the caller has supplementary groups", []func(*Spec, *Host){singleID, func(_ *Spec, h *Host) {
		h.Caller.Groups = []uint32{1000, 4, 27}
	}}},
	{"detach", "rl-run --net=none -d ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) { s.Detach, s.NoStdin, s.LogSize = true, true, 1<<20 }}},
	{"detach-terminal", "rl-run --net=none -d -t ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.Detach, s.NoStdin, s.LogSize, s.Terminal = true, true, 1<<20, true
	}}},
	{"limits", "rl-run --net=none --name box -m 50m --cpus 0.5 --pids-limit 20 ./debian sh", "a login session under systemd", []func(*Spec, *Host){loginSession, limit, func(s *Spec, _ *Host) {
		s.Name = "box"
	}}},
	{"limits-detach", "rl-run --net=none -d -m 50m ./debian sh", "a service with Delegate=yes", []func(*Spec, *Host){subtree, func(s *Spec, _ *Host) {
		s.Detach, s.NoStdin, s.LogSize, s.Limits.Memory = true, true, 1<<20, 50<<20
	}}},
	{"limits-best-effort", "rl-run --net=none --userns=single --limits=best-effort -m 50m --blkio-weight 500 ./debian sh", "a login session under systemd", []func(*Spec, *Host){loginSession, singleID, func(s *Spec, _ *Host) {
		s.BestEffort, s.Limits.Memory, s.Limits.BlkioWeight = true, 50<<20, 500
	}}},
	{"limits-none", "rl-run --net=none -d --limits=best-effort -m 50m --cpus 0.5 --pids-limit 20 ./debian sh", "control groups of version 1", []func(*Spec, *Host){limit, func(s *Spec, h *Host) {
		s.Detach, s.NoStdin, s.LogSize = true, true, 1<<20
		s.BestEffort, h.Groups = true, cgroup.Host{Layout: cgroup.V1, Legacy: []string{"cpu", "memory", "pids"}, UID: 1000}
	}}},
	{"ulimits", "rl-run --net=none -t --ulimit nofile=100:200 --ulimit core=0 ./debian", "a terminal of 50 rows", []func(*Spec, *Host){onTerminal, func(s *Spec, _ *Host) {
		s.Command, s.Ulimits = nil, []ulimit.Limit{{Name: "nofile", Resource: unix.RLIMIT_NOFILE, Soft: 100, Hard: 200}, {Name: "core", Resource: unix.RLIMIT_CORE}}
	}}},
	{"keep-id", "rl-run --net=none --userns=keep-id ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) { s.Userns.Mode = userns.ModeKeepID }}},
	{"explicit-maps", "rl-run --net=none --uidmap 0:100000:1000 --uidmap 1000:1000:1 --gidmap 0:100000:2000 ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.Userns.UID = []plan.Extent{{Inside: 0, Outside: 100000, Count: 1000}, {Inside: 1000, Outside: 1000, Count: 1}}
		s.Userns.GID = []plan.Extent{{Inside: 0, Outside: 100000, Count: 2000}}
	}}},
	{"map-without-zero", "rl-run --net=none --uidmap 1000:1000:1 ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.Userns.UID = []plan.Extent{{Inside: 1000, Outside: 1000, Count: 1}}
	}}},
	{"host-root", "rl-run --net=none ./debian sh", "the caller is root", []func(*Spec, *Host){hostRoot}},
	{"container-root", "rl-run --net=none ./debian sh", "the caller is root of another container", []func(*Spec, *Host){containerRoot}},
	{"rw", "rl-run --net=none --rw ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) { s.RootMode = RootWritable }}},
	{"rw-bare", "rl-run --net=none --rw ./debian sh", "ROOTFS lacks mount points", []func(*Spec, *Host){func(s *Spec, _ *Host) { s.RootMode = RootWritable }, bare}},
	{"rw-foreign", "rl-run --net=none --rw ./debian sh", "ROOTFS belongs to the host's root", []func(*Spec, *Host){func(s *Spec, _ *Host) { s.RootMode = RootWritable }, foreignOwner}},
	{"read-only", "rl-run --net=none --read-only ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) { s.RootMode = RootReadOnly }}},
	{"read-only-bare", "rl-run --net=none --read-only ./debian sh", "ROOTFS lacks mount points", []func(*Spec, *Host){func(s *Spec, _ *Host) { s.RootMode = RootReadOnly }, bare}},
	{"copy", "rl-run --net=none --copy --size 50m ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.RootMode, s.Size = RootCopy, 50<<20
	}}},
	{"copy-bare-quiet", "rl-run --net=none --copy --quiet ./debian sh", "ROOTFS lacks mount points", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.RootMode, s.Quiet = RootCopy, true
	}, bare}},
	{"size", "rl-run --net=none --size 50m ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) { s.Size = 50 << 20 }}},
	{"keep", "rl-run --net=none --keep layer ./debian sh", "", []func(*Spec, *Host){func(s *Spec, h *Host) {
		s.Keep, h.Layers = "layer", "/home/alice/layer"
	}}},
	{"host-namespaces", "rl-run --net=host --pid=host --ipc=host --uts=host --cgroupns=host ./debian sh", "", []func(*Spec, *Host){func(s *Spec, h *Host) {
		s.Net, s.PID, s.IPC, s.UTS, s.Cgroup = NetHost, Shared, Shared, Shared, Shared
		h.Hosts = []byte("127.0.0.1 localhost\n192.0.2.7 printer")
	}}},
	{"host-pid-user", "rl-run --net=none --pid=host -u alice ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.PID, s.User = Shared, passwd.Spec{User: "alice"}
	}}},
	{"share-net", "rl-run --net=container:web ./debian sh", "web is on a named network", []func(*Spec, *Host){func(s *Spec, h *Host) {
		of := web()
		of.Hosts = []byte("127.0.0.1\tlocalhost\n192.0.2.1\thost.rl-run.internal\n")
		of.Resolv = []byte("nameserver 10.231.4.1\nsearch example.org\n")
		s.Net, h.Owners = "container:web", map[string]*Target{"web": of}
	}}},
	{"share-pid-detach", "rl-run -d --pid=container:web --net=none --cap-add=chown ./debian sh", "", []func(*Spec, *Host){func(s *Spec, h *Host) {
		s.Detach, s.NoStdin, s.LogSize, s.CapAdd = true, true, 1<<20, []string{"chown"}
		s.PID, h.Owners = "container:web", map[string]*Target{"web": web()}
	}}},
	{
		"share-all", "rl-run --pid=container:web --net=container:web --ipc=container:web --uts=container:db --cgroupns=container:web -u alice ./debian sh",
		"db has web's user namespace, web the host's control groups",
		[]func(*Spec, *Host){func(s *Spec, h *Host) {
			db := web()
			db.Name, db.PID, db.Hostname, db.Join = "db", 4712, "dbhost", db.Join|unix.CLONE_NEWUTS
			s.PID, s.Net, s.IPC, s.UTS, s.Cgroup = "container:web", "container:web", "container:web", "container:db", "container:web"
			s.User, h.Owners = passwd.Spec{User: "alice"}, map[string]*Target{"web": web(), "db": db}
		}},
	},
	{"net-host", "rl-run --net=host --hostname box --add-host db:192.0.2.8 ./debian sh", "", []func(*Spec, *Host){func(s *Spec, h *Host) {
		s.Net, s.Hostname, s.AddHost = NetHost, "box", []string{"db:192.0.2.8"}
	}}},
	{"names", "rl-run --net=none --name 'a b_c' --dns 198.51.100.1 --add-host 'six:[2001:db8::1]' ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.Name, s.DNS, s.AddHost = "a b_c", []string{"198.51.100.1"}, []string{"six:[2001:db8::1]"}
	}}},
	{"terminal", "rl-run --net=none -t ./debian", "a terminal of 50 rows", []func(*Spec, *Host){onTerminal, func(s *Spec, _ *Host) { s.Command = nil }}},
	{"terminal-without-size", "rl-run --net=none -t ./debian", "the terminal has no size, ROOTFS no entry for it", []func(*Spec, *Host){onTerminal, func(s *Spec, h *Host) {
		s.Command, h.Rows, h.Cols, h.Rootfs.TermInfo = nil, 0, 0, false
	}}},
	{"no-stdin", "rl-run --net=none -i=false ./debian true", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.NoStdin, s.Command = true, []string{"true"}
	}}},
	{"mounts", "rl-run --net=none -v ./src:/srv/src/deep:ro -v /data:/srv/src … ./debian sh", "", []func(*Spec, *Host){volumes}},
	{"mounts-rw", "rl-run --net=none --rw -v ./src:/srv/src/deep:ro -v /data:/srv/src … ./debian sh", "", []func(*Spec, *Host){volumes, func(s *Spec, _ *Host) { s.RootMode = RootWritable }}},
	{"mount-slave", "rl-run --net=none --mount type=bind,src=/data,dst=/tmp,bind-propagation=rslave ./debian sh", "", []func(*Spec, *Host){func(s *Spec, h *Host) {
		volumes(s, h)
		s.Mounts = []mountspec.Mount{mountspec.Bind{Source: "/data", Target: "/tmp", Propagation: mountspec.RSlave}}
	}}},
	{"workdir", "rl-run --net=none -w /work/deep ./debian sh", "", []func(*Spec, *Host){workdir}},
	{"user", "rl-run --net=none -u www-data --cap-add net_raw ./debian id", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.User, s.CapAdd, s.Command = passwd.Spec{User: "www-data"}, []string{"net_raw"}, []string{"id"}
	}}},
	{"user-with-groups", "rl-run --net=none -u alice --group-add 44 --cap-drop ALL ./debian", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.User, s.GroupAdd, s.CapDrop, s.Command = passwd.Spec{User: "alice"}, []string{"44"}, []string{"ALL"}, nil
	}}},
	{"caps", "rl-run --net=none --cap-drop ALL --cap-add sys_admin,net_bind_service ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.CapDrop, s.CapAdd = []string{"ALL"}, []string{"sys_admin", "CAP_NET_BIND_SERVICE"}
	}}},
	{"new-privs", "rl-run --net=none --security-opt no-new-privileges=false -u alice --cap-add chown ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.NewPrivs, s.User, s.CapAdd = true, passwd.Spec{User: "alice"}, []string{"chown"}
	}}},
	{"new-privs-unconfined", "rl-run --net=none --security-opt no-new-privileges=false --security-opt seccomp=unconfined ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.NewPrivs, s.Seccomp = true, "unconfined"
	}}},
	{"unconfined", "rl-run --net=none --security-opt seccomp=unconfined ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) { s.Seccomp = "unconfined" }}},
	{"unmask-all", "rl-run --net=none --security-opt unmask=ALL ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) { s.Unmask = []string{"ALL"} }}},
	{"unmask-some", "rl-run --net=none --security-opt unmask=/proc/kcore --security-opt unmask=/proc/sys ./debian sh", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.Unmask = []string{"/proc/kcore", "/proc/sys"}
	}}},
	{"environment", "rl-run --net=none -e A=1 -e SECRET -e MISSING -e PATH=/opt/bin:: ./debian tool", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.Env, s.Command = []string{"A=1", "SECRET", "MISSING", "PATH=/opt/bin::"}, []string{"tool", "two words"}
	}}},
	{"environment-of-host", "rl-run --net=none --env-host ./debian /bin/env", "", []func(*Spec, *Host){func(s *Spec, _ *Host) {
		s.EnvHost, s.Command = true, []string{"/bin/env"}
	}}},
	{"fast", "rl-run --userns=single --net=none --read-only --security-opt seccomp=unconfined --security-opt unmask=ALL ./debian /bin/true", "", []func(*Spec, *Host){singleID, func(s *Spec, _ *Host) {
		s.RootMode, s.Seccomp, s.Unmask, s.Command = RootReadOnly, "unconfined", []string{"ALL"}, []string{"/bin/true"}
	}}},
}

func (g golden) run(s *Spec, h *Host) (*Start, error) {
	if t, is := targets[g.name]; is {
		return CompileExec(s, h, t())
	}
	return Compile(s, h, nil)
}

func (g golden) inputs() (*Spec, *Host) {
	s, h := basic(), desktop()
	for _, change := range g.change {
		change(&s, &h)
	}
	return &s, &h
}

// compile compiles a golden start, and checks on the way that this changes
// neither what was asked for nor what was seen.
func (g golden) compile(t *testing.T) *Start {
	t.Helper()
	s, h := g.inputs()
	start, err := g.run(s, h)
	if err != nil {
		t.Fatal(err)
	}
	wantSpec, wantHost := g.inputs()
	if !reflect.DeepEqual(s, wantSpec) {
		t.Errorf("compiling changed the spec:\n%+v\nwas\n%+v", s, wantSpec)
	}
	if !reflect.DeepEqual(h, wantHost) {
		t.Errorf("compiling changed the host:\n%+v\nwas\n%+v", h, wantHost)
	}
	return start
}

func TestGoldenPlans(t *testing.T) {
	seen := make(map[string]bool)
	for _, g := range goldens {
		seen[g.name+".txt"] = true
		t.Run(g.name, func(t *testing.T) {
			start := g.compile(t)
			if err := start.Plan.Check(); err != nil {
				t.Error(err)
			}
			got := g.text(start)
			path := filepath.Join("testdata", "plans", g.name+".txt")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("another plan than %s (go test ./launch -run TestGoldenPlans -update writes it anew):\n%s", path, difference(want, got))
			}
		})
	}
	files, err := os.ReadDir(filepath.Join("testdata", "plans"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[f.Name()] {
			t.Errorf("testdata/plans/%s belongs to no golden start", f.Name())
		}
	}
}

// The same inputs give the same plan, and none of its memory is theirs: what a
// caller does to one plan shows in no other.
func TestCompileIsPure(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			s, h := g.inputs()
			first, err := g.run(s, h)
			if err != nil {
				t.Fatal(err)
			}
			second, err := g.run(s, h)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(first, second) {
				t.Errorf("two plans from the same inputs:\n%s", difference(g.text(first), g.text(second)))
			}
			for i := range first.Plan.Entries {
				first.Plan.Entries[i] = plan.Entry{}
			}
			for i := range first.Env {
				first.Env[i] = ""
			}
			if third := g.compile(t); !reflect.DeepEqual(second, third) {
				t.Errorf("a plan changed with another:\n%s", difference(g.text(second), g.text(third)))
			}
		})
	}
}

// text is a plan for a reader: a step a line, with all that its own words leave
// out below it.
func (g golden) text(s *Start) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "$ %s\n", g.command)
	if g.host != "" {
		fmt.Fprintf(&b, "host: %s\n", g.host)
	}
	for _, n := range s.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	b.WriteByte('\n')
	for i, e := range s.Plan.Entries {
		writeStep(&b, i+1, e.Actor.String(), e.Step, e.Why)
	}
	for i, step := range s.Plan.Cleanup {
		writeStep(&b, len(s.Plan.Entries)+i+1, "cleanup", step, "")
	}
	return b.Bytes()
}

func writeStep(b *bytes.Buffer, n int, actor string, step plan.Step, why string) {
	fmt.Fprintf(b, "%3d %-7s %s", n, actor, step)
	if why != "" {
		fmt.Fprintf(b, "   # %s", why)
	}
	b.WriteByte('\n')
	for _, line := range unsaid(step) {
		fmt.Fprintf(b, "%15s %s\n", "", line)
	}
}

// unsaid is what String leaves out of a step.
func unsaid(step plan.Step) []string {
	switch s := step.(type) {
	case plan.MapIDs:
		if s.Helpers != ([2]string{}) {
			return []string{"by " + strings.Join(s.Helpers[:], " and ")}
		}
	case plan.EnterGroup:
		lines := []string{fmt.Sprintf("%s at %q as %d, %v in %s, best effort: %t", s.Way, s.Bus, s.UID, s.Controllers, s.Mount, s.BestEffort)}
		for _, f := range s.Files {
			lines = append(lines, fmt.Sprintf("%s (%s) is for %s, derived: %t", f.File, f.Controller, f.Limit, f.Derived))
		}
		return lines
	case plan.MakeDir:
		return []string{fmt.Sprintf("mode %04o", s.Mode)}
	case plan.ProvideFile:
		var lines []string
		for line := range strings.Lines(s.Content) {
			lines = append(lines, fmt.Sprintf("| %s", strings.TrimSuffix(line, "\n")))
		}
		return lines
	case plan.PrepareLayers:
		lines := []string{fmt.Sprintf("mode of upper %04o", s.Mode)}
		if s.About != "" {
			lines = append(lines, "for "+s.About)
		}
		return lines
	case plan.RemoveLayers:
		return []string{fmt.Sprintf("uid %v gid %v", s.UID, s.GID)}
	case plan.RemoveMountPoint:
		return []string{fmt.Sprintf("directory: %t, in %s", s.Dir, s.Rootfs)}
	case plan.ExecInit:
		if s.Tree {
			return []string{"for a tree of processes"}
		}
		if s.Loose {
			return []string{"which ends with the command alone"}
		}
	case plan.Exec:
		lines := []string{"at " + strings.Join(s.Paths, " ")}
		for _, arg := range s.Argv {
			lines = append(lines, fmt.Sprintf("argument %q", arg))
		}
		for _, kv := range s.Env {
			lines = append(lines, "env "+kv)
		}
		return lines
	}
	return nil
}

// difference shows the lines that only one of two texts has.
func difference(want, got []byte) string {
	var b strings.Builder
	a, z := bytes.Split(want, []byte("\n")), bytes.Split(got, []byte("\n"))
	has := func(list [][]byte, line []byte) bool {
		for _, l := range list {
			if bytes.Equal(stripNumber(l), stripNumber(line)) {
				return true
			}
		}
		return false
	}
	for _, l := range a {
		if !has(z, l) {
			fmt.Fprintf(&b, "- %s\n", l)
		}
	}
	for _, l := range z {
		if !has(a, l) {
			fmt.Fprintf(&b, "+ %s\n", l)
		}
	}
	if b.Len() == 0 {
		return "the order differs:\n" + string(got)
	}
	return b.String()
}

// stripNumber leaves out the number of a step, which changes with each one before.
func stripNumber(line []byte) []byte { return line[min(len(line), 4):] }
