package plan

import "time"

// Memo is what is kept.
type Memo struct {
	// Plan is for a command that is looked for, of the name AnyCommand.
	Plan     Plan
	Init     []byte // image of the static init
	Premises []Premise
	// Apart is after which time the launcher is needed, while the command runs.
	Apart time.Duration
	// Joined is whose namespaces a joiner enters: the caller's network session, or a container's init.
	Joined ProcessRef
	// Ports are places on a bridge of the session, of which each container gets one, and Names what the name server finds,
	// who looks for that one's names; none where the plan makes no link.
	Ports []MemoPort
	Names []byte
	// Words is how many words stand before the command on the command line, the launcher's own name not counted.
	Words int
}

// ExecMemo is the name of a memo for further commands of a container, in the directory of its state.
const ExecMemo = "memo"

// AnyCommand stands in a memo's plan for the command.
const AnyCommand = "command"

// MemoPort is a place on a bridge.
type MemoPort struct {
	Number  int
	Message []byte // that asks for the link (rtnetlink(7)), in whose text the net namespace is MemoNetNS
	Inner   string // what the container calls it
	Link    Link
	// Names is the name server's file, and Aside where it is written before.
	Names, Aside string
}

// MemoNetNS is the descriptor of the container's net namespace while its link is made.
const MemoNetNS = 6

// ProcessRef is a process, and when it started: field 22 of its stat file (proc_pid_stat(5)). In which boot that was is
// in the memo, too.
type ProcessRef struct {
	Name  string // in the plan
	PID   int
	Start uint64
}
