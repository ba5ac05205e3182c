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
	// Session is the caller's network session, for a plan whose joiner enters it.
	Session SessionRef
	// Words is how many words stand before the command on the command line, the launcher's own name not counted.
	Words int
}

// AnyCommand stands in a memo's plan for the command.
const AnyCommand = "command"

// SessionRef is the process of a session, and when it started: field 22 of its stat file (proc_pid_stat(5)).
type SessionRef struct {
	Name  string // in the plan
	PID   int
	Start uint64
}
