package container

import "time"

// State is what becomes known of a container as it starts. It is written with the reservation, when only Owner and
// Detached are known, and again when the container runs.
type State struct {
	Owner    Ref  // the launcher that has reserved the name
	Detached bool // it stays listed after its end, until rl-rm

	Init      Ref // process 1 of the container; zero before its start
	Keeper    Ref // its parent, which writes the file exit: the launcher, or with -d the keeper
	StartedAt time.Time
	Cgroup    string   `json:",omitempty"` // path below the mount of the control groups; empty for none
	Ports     []string `json:",omitempty"` // as Network.Ports, for rl-ps, which reads no more
	Driver    string   `json:",omitempty"` // as Network.Driver, where it was known only after the start
	Fallbacks []string `json:",omitempty"` // those that came after Config was written
	Rootfs    Text     // as in Config, for rl-ps, which reads no more
	Command   []Text
	CreatedAt time.Time
}

// Status is what a container does.
type Status string

// The statuses of containers.
const (
	Created Status = "created" // its start is under way
	Running Status = "running"
	Exited  Status = "exited"  // ended with an exit code that is known
	Dead    Status = "dead"    // ended without: its keeper was killed, or the machine started anew
	Damaged Status = "damaged" // its state cannot be read
)
