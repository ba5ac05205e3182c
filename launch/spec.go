package launch

import (
	"net/netip"
	"strings"

	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/cgroup/ulimit"
	"github.com/rl-run/rl-run/internal/passwd"
	"github.com/rl-run/rl-run/net/port"
	"github.com/rl-run/rl-run/net/usernet"
	"github.com/rl-run/rl-run/rootfs/mountspec"
	"github.com/rl-run/rl-run/userns"
)

// RootMode is how writes to the root are treated.
type RootMode string

// The modes of a root.
const (
	RootEphemeral RootMode = "ephemeral" // they vanish
	RootWritable  RootMode = "rw"        // they persist in ROOTFS
	RootReadOnly  RootMode = "read-only"
	RootCopy      RootMode = "copy" // they go to a copy in memory
)

// Share says whether a namespace is the container's own or the host's.
type Share string

// The values of --pid, --ipc, --uts, --cgroupns, and of --net beside its modes; one that
// begins with OfContainer names the container whose namespace it is.
const (
	Private     Share = "private"
	Shared      Share = "host"
	OfContainer       = "container:"
)

// Owner is the container whose namespace it is; empty for none.
func (s Share) Owner() string {
	if name, is := strings.CutPrefix(string(s), OfContainer); is {
		return name
	}
	return ""
}

// Network modes.
const (
	NetAuto  = "auto"
	NetNone  = "none"
	NetHost  = "host"
	NetPasta = "pasta"
	NetSlirp = "slirp4netns"
	NetVeth  = "veth" // into the host's own network
)

// Spec is what the user asked for. The zero value of a field is its default,
// unless its comment says otherwise.
type Spec struct {
	Rootfs   string
	RootMode RootMode
	Size     uint64 // bytes of the tmpfs that takes the writes; 0 for half of memory
	Keep     string // directory that keeps the overlay's upper layer
	Mounts   []mountspec.Mount

	User     passwd.Spec
	GroupAdd []string
	Userns   userns.Request

	PID, IPC, UTS, Cgroup Share
	UserOf                string // container whose user namespace is shared; those of the others do, too
	Net                   string
	Publish               []port.Publish
	Listen                bool            // pass on the sockets of socket activation
	MTU                   int             // of the container's link, in bytes; 0 for what suits it
	Veth                  usernet.Request // Bridge, Host and IP alone
	IP                    netip.Addr      // IPv4, on a named network; not valid for one that is free
	Aliases               []string        // further names on it
	Hostname, Name        string
	DNS, AddHost          []string
	DNSSearch, DNSOption  []string // in place of the host's; the single domain "." is none

	CapAdd, CapDrop []string
	Seccomp         string // "" for the default profile, "unconfined", or a path
	FakeRoot        bool   // changes of owner and id succeed and do nothing
	Nest            bool   // another launcher can run inside
	NewPrivs        bool   // no_new_privs off
	Mask, Unmask    []string

	Limits     cgroup.Limits
	BestEffort bool           // a limit that cannot be had is a note
	Ulimits    []ulimit.Limit // each resource once

	Env      []string // K=V, or K for the value of the caller's environment
	EnvHost  bool
	Workdir  string
	Terminal bool
	NoStdin  bool
	NoInit   bool     // the command is process 1 itself
	Detach   bool     // the container outlives the launcher
	LogSize  int64    // bytes of output that are kept of a detached one
	Command  []string // with the entrypoint before it; empty for the user's shell
	Quiet    bool
	Strict   bool // what would be less than was asked for is an error
}
