package plan

import "fmt"

// Actor is the process that takes a step.
type Actor uint8

// The actors of a start, in the order in which they come to life.
const (
	Parent    Actor = iota // the launcher: the caller's ids, the host's namespaces
	Keeper                 // the parent of a detached container's init, on the host
	Joiner                 // enters the namespaces of another container and starts init in them
	Init                   // pid 1 of the container, until it executes the static init
	Command                // the process that becomes COMMAND
	Driver                 // carries what leaves the container, beside it on the host
	Forwarder              // carries what comes to published ports, in the container\'s net namespace
	Linker                 // makes links from within the network session
)

// String returns the actor's name as the printed plan shows it.
func (a Actor) String() string {
	switch a {
	case Parent:
		return "parent"
	case Keeper:
		return "keeper"
	case Joiner:
		return "joiner"
	case Init:
		return "init"
	case Command:
		return "command"
	case Driver:
		return "driver"
	case Forwarder:
		return "forwarder"
	case Linker:
		return "linker"
	case AnyActor:
		return "any"
	}
	return fmt.Sprintf("actor(%d)", uint8(a))
}

// Entry is one line of a plan.
type Entry struct {
	Actor Actor
	Step  Step
	Why   string // the reason, for a reader of the plan; empty where the step says it
}

// Plan is a start as data: what is done, by whom, in which order. The steps of
// each actor run in the order of the list. A change of actor between parent and
// init is a handoff: the other side waits for it. Init and command run side by
// side from StartCommand on.
type Plan struct {
	Entries []Entry
	Cleanup []Step // what the parent does after the end, in this order
}

// Add appends a step.
func (p *Plan) Add(a Actor, s Step, why string) {
	p.Entries = append(p.Entries, Entry{a, s, why})
}

// Step is one thing to do: a small value without condition, loop or closure.
// What needs a decision belongs into the compilation of the plan.
type Step interface {
	// Kind is the step's name in the JSON form and in the order rules.
	Kind() Kind
	// String says what is done to what, in the words of an error message:
	// "mount proc on /proc".
	String() string
}

// childStep is a step that keeper, joiner, init or command can take.
type childStep interface {
	Step
	lower(p *program)
}

// StepError is a step that failed.
type StepError struct {
	Index int // entry of the plan, from 0
	Actor Actor
	Step  Step
	Err   error // an errno for a child's step
}

func (e *StepError) Error() string { return fmt.Sprintf("%s: %v", e.Step, e.Err) }

func (e *StepError) Unwrap() error { return e.Err }
