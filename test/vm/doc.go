// Package vm runs the tests of other packages in a Debian guest: Linux 6.1, systemd,
// cgroup v2, a plain user with a session, as many users have it and as the machine that
// builds the project may not. There, limits are real, and a tmpfs takes no user xattrs.
//
// The guest is emulated by QEMU and started by scripts/vm; neither takes a privilege. Its
// second disk is made anew for each run. It holds the test programs, the programs in
// RLRUN_BIN, a tree, the list of jobs and package agent, which does them. The agent writes
// messages to a port of the guest's, one JSON object after the other, and TestGuest
// replays what they tell: each test of the guest becomes a sub-test of TestGuest/JOB. An
// emulator may stand still: where a guest sends nothing at all any more, its state is
// logged, and the job begins anew in a fresh guest, once.
//
// RLRUN_VM is a regular expression that chooses jobs by their names.
package vm

import "time"

// DiskDir is where the guest has its second disk, and what is in it: JobsFile, and the
// directories bin, trees, tests with the test programs, and src with parts of the source
// tree.
const (
	DiskDir  = "/srv/disk"
	JobsFile = "jobs.json"
)

// Port is the guest's end of the channel that messages are written to.
const Port = "/dev/vport0p1"

// A Job is one test program to run, as the guest's plain user in a login session.
type Job struct {
	Name    string
	Package string   // import path below the module's: a folder in src, and the program tests/NAME.test
	Args    []string // of the test program
	Env     []string // "K=V"

	// Delegate lists the controllers that systemd delegates to the user, in the words of
	// Delegate= in systemd.resource-control(5), or is None. Empty is what Debian's
	// user@.service says: cpu, memory, pids.
	Delegate string

	// Scope has the program run in a scope of the user's systemd that is delegated to it, in a group one further down: a group
	// that holds processes gives its own groups no controllers.
	Scope bool

	// Root lets the user become root, by a sudo that asks nothing: the job makes faults, and mends them.
	Root bool
}

// None delegates nothing: the user has no systemd. It is for the last of the jobs.
const None = "no"

// Silence is how long a test program may say nothing before it counts as hung. Each test
// says that it begins, so one that takes longer fails. It is for machines that are busy with
// other things: on others no test takes a fifth of it.
const Silence = 5 * time.Minute

// Beat is how often the agent sends a message, whatever a test does: a guest that sends none stands still.
const Beat = 5 * time.Second

// A Message is about the job with that index. One with nothing else says that the guest runs.
type Message struct {
	Job    int
	Output []byte `json:",omitempty"` // of the test program, both streams
	Ended  bool   `json:",omitempty"` // the last message of the job
	Error  string `json:",omitempty"` // with Ended: the program failed, or left something behind
}
