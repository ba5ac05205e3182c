package launch

import (
	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/net/port"
	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/net/usermode"
	"github.com/rl-run/rl-run/net/veth"
	"github.com/rl-run/rl-run/rootfs"
	"github.com/rl-run/rl-run/userns"
)

// Host is what Probe saw of this machine, as far as a Spec needs it.
type Host struct {
	Caller userns.Caller
	Arch   string // by Go's name
	Kernel [2]int // the first two numbers of its release
	Name   string // its host name

	Rootfs  rootfs.Tree
	Targets map[string]rootfs.Target // by path of the container
	Sources map[string]rootfs.Source // by path of the host
	// Submounts are the mounts below ROOTFS, once Facts.PlainTree has turned out
	// to be false.
	Submounts []string
	// KeysRefused: add_key(2) and request_key(2) are refused as well, once Facts.OwnKeyring has turned out to be false.
	KeysRefused bool
	Leavable    bool   // a chroot, once Facts.OwnRoot has turned out to be false
	Layers      string // directory for an overlay's writes that go to disk

	Masks []rootfs.MaskPath
	Nodes []string // devices of /dev that exist

	PID     int            // of the launcher
	Groups  cgroup.Host    // zero unless there are limits
	Ulimits map[int]uint64 // the caller's hard limits of the resources that are to be limited

	Owners map[string]*Target // containers whose namespaces are to be shared

	LastCap int // the highest capability that the kernel knows
	Files   [2]uint64
	Environ []string // of the caller
	Path    string   // PATH of the caller
	Resolv  []byte   // /etc/resolv.conf
	Hosts   []byte   // /etc/hosts, for a shared net namespace
	TTY     bool     // stdin is a terminal
	Rows    uint16   // of the caller's terminal
	Cols    uint16

	Session    *session.Session // the caller's, while one runs
	SessionDir session.Dir

	Listen port.ListenFDs // sockets for the command

	Usermode usermode.Host   // for a network that a driver carries
	Without  []usermode.Kind // drivers that were tried and did not work
	Netd     string          // path of rl-netd, for published ports; empty where there is none
	Veth     veth.Helper     // for --net=veth
	VethErr  error
	VethHint string

	Facts Facts
}

// Facts is what only trying can tell. Each is assumed until a step fails with an
// errno that the table in facts.go lists; then it is given up, and Compile runs
// again.
type Facts struct {
	Clone3     bool // nothing refuses clone3(2)
	OwnRoot    bool // the caller's root is that of its mount namespace: it is in no chroot
	OwnName    bool // the host name of an own UTS namespace may be set
	OwnProc    bool // proc of an own pid namespace may be mounted
	OwnSys     bool // sysfs of an own net namespace may be mounted
	OwnCgroup  bool // cgroup2 may be mounted
	MQueue     bool // mqueue may be mounted
	OwnKeyring bool // another session keyring may be joined
	Overlay    bool // overlay may be mounted
	PlainTree  bool // nothing is mounted below ROOTFS
	TmpfsUpper bool // tmpfs takes user xattrs, so that an upper layer on it works
}

// AllFacts is what is assumed at first.
var AllFacts = Facts{
	Clone3:  true,
	OwnRoot: true, OwnName: true, OwnProc: true, OwnSys: true, OwnCgroup: true, MQueue: true, OwnKeyring: true, Overlay: true, PlainTree: true, TmpfsUpper: true,
}
