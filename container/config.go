package container

import "time"

// Config is what a container was started with: what rl-inspect prints, and what rl-exec needs to join. It is written
// before the start and not changed. The names of its fields are those in the file and of rl-inspect; readers pass
// over names that they do not know, and take missing ones as zero.
type Config struct {
	Name      string
	Rootfs    Text   // its real path
	RootMode  string // ephemeral, rw, read-only or copy
	Command   []Text // as it was given; the shell where none was
	CreatedAt time.Time
	Hostname  string

	UidMap, GidMap IDMap             //nolint:staticcheck // as podman spells them
	Share          map[string]string // by type as in /proc/PID/ns, for those not private: "host" or "container:NAME"
	Mounts         []Mount

	Capabilities Capabilities
	Seccomp      string // "default", "unconfined" or the path of a profile
	NoNewPrivs   bool

	Network   Network
	Limits    Limits
	Fallbacks []string // each as it was announced

	Exec       Exec
	StopSignal int // 15 where nothing else was asked for
}

// Mount is a mount that was asked for.
type Mount struct {
	Type        string // bind or tmpfs
	Source      Text   `json:",omitempty"`
	Destination Text
	Options     []string
}

// Capabilities are the sets of the command (capabilities(7)).
type Capabilities struct {
	Bounding, Effective, Permitted, Inheritable, Ambient CapSet
}

// Network is how the container reaches others.
type Network struct {
	Mode    string   // as it was asked for
	Driver  string   `json:",omitempty"` // what does it: pasta, slirp4netns, rl-netd, rl-veth; empty for none
	Address string   `json:",omitempty"` // its IPv4 address with the length of the net
	Ports   []string // as -p has them, with the numbers that they got
	Aliases []string `json:",omitempty"` // further names on a named network
	DNS     []string `json:",omitempty"`

	// Hosts and Resolv are /etc/hosts and /etc/resolv.conf as its network wants them, for who shares its net namespace.
	Hosts  Text `json:",omitempty"`
	Resolv Text `json:",omitempty"`
}

// Limits are by the names of their options, without dashes, and in the words of their values.
type Limits struct {
	Asked   map[string]string
	Applied map[string]string // as read back from the control group
	Cgroup  string            // path of the control group below its mount; empty for none
}

// Exec is what rl-exec repeats for each command.
type Exec struct {
	UID, GID uint32 // in the container
	Groups   []uint32
	User     string // as it was asked for
	Workdir  Text
	Env      []Text // NAME=VALUE
	Terminal bool

	FilterFlags uint `json:",omitempty"` // SECCOMP_FILTER_FLAG_*
}
