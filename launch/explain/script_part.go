package explain

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rl-run/rl-run/plan"
)

// part is a run of steps that becomes one function of the script. The functions
// stand in the order of the plan; link says in which order they are called.
//
// Of the three actors two are left: what the parent does happens outside of the
// container, all else in one process inside, which changes its nature by
// executing the script again with another part to go on with. So a part ends
// where its process changes, and where init and command wait for each other.
type part struct {
	name  string
	place place
	actor plan.Actor
	body  strings.Builder

	begins plan.Actor // whom its first step, a WaitFor, waits for; Parent for nobody
	lets   plan.Actor // whom its last step, a LetGo, lets go on; Parent for nobody
	only   word       // the condition of the jump, where there is one
	jump   word       // what executes the script again behind it; empty for a call
	ends   bool       // it executes the command
}

// place is where a part's commands run.
type place int

const (
	before     place = iota // outside, before anything is started
	starting                // outside: starts the process inside
	mapping                 // outside, while the process inside waits
	inside                  // in the container
	pivoting                // outside, when the process inside has nothing left to load
	afterwards              // outside, after the end
)

var places = [...]string{before: "prepare", starting: "start", mapping: "map", pivoting: "pivot", afterwards: "cleanup"}

// enter makes the part that entry i belongs to the one that is written to.
func (w *script) enter(i int, e plan.Entry) {
	where := inside
	_, awaits := e.Step.(plan.AwaitJoiner)
	if awaits || e.Step.Kind() == plan.KindWriteMaps || e.Actor >= plan.Driver || plan.Beside(e.Step) || e.Step.Kind() == plan.KindAwaitNetwork {
		return // remarks, wherever they stand
	}
	if e.Actor == plan.Keeper || e.Actor == plan.Joiner {
		e.Actor = plan.Parent
	}
	switch e.Step.(type) {
	case plan.WaitFor:
		if e.Actor == plan.Parent {
			where = starting
		}
	case plan.ExecKeeper:
		where = starting
	case plan.PivotRoot:
		where = pivoting
	case plan.StartInit, plan.StartJoiner, plan.OwnMemory, plan.Join, plan.JoinCgroup:
		where = starting
	case plan.DieWithParent, plan.HideMemory:
		// It is an option of what starts init.
		if w.at != nil && w.at.place == starting {
			where = starting
		}
	default:
		if e.Actor == plan.Parent {
			where = before
			if w.has(starting) {
				where = mapping
			}
		}
	}
	wait, waits := e.Step.(plan.WaitFor)
	if w.at == nil || w.at.place != where ||
		where == inside && (w.at.actor != e.Actor || w.at.jump != "" || w.at.lets != plan.Parent || waits) {
		w.open(where)
	}
	if where != inside {
		return
	}
	if w.at.body.Len() == 0 {
		w.at.name, w.at.actor = fmt.Sprintf("from_%d", i+1), e.Actor
		w.at.begins = wait.Whom
	}
	if let, ok := e.Step.(plan.LetGo); ok {
		w.at.lets = let.Whom
	}
}

// open begins another part.
func (w *script) open(where place) {
	w.at = &part{place: where, name: places[min(int(where), len(places)-1)]}
	w.parts = append(w.parts, w.at)
}

// jump ends a part: prefix executes the script again, in which the part that
// comes next goes on.
func (w *script) jump(prefix word) { w.at.jump = prefix }

// link ends each part inside with the call of the one that comes next: those of
// init, until it waits for the command, which then takes its turn.
func (w *script) link() error {
	var queue [plan.Command + 1][]*part
	for _, p := range w.parts {
		if p.place == inside {
			queue[p.actor] = append(queue[p.actor], p)
		}
	}
	var order []*part
	var free [plan.Command + 1]int // how often each was let go on and has not waited
	for len(queue[plan.Init])+len(queue[plan.Command]) > 0 {
		var next *part
		for _, a := range []plan.Actor{plan.Init, plan.Command} {
			if q := queue[a]; len(q) > 0 && (q[0].begins == plan.Parent || free[a] > 0) {
				next, queue[a] = q[0], q[1:]
				break
			}
		}
		if next == nil {
			return errors.New("explain as sh: init and command wait for each other")
		}
		if next.begins != plan.Parent {
			free[next.actor]--
		}
		if next.lets != plan.Parent {
			free[next.lets]++
		}
		order = append(order, next)
	}
	for i, p := range order {
		last := i == len(order)-1
		if p.ends != last {
			return errors.New("explain as sh: the command is not the last to be executed")
		}
		if last {
			break
		}
		next := order[i+1].name
		jump := fmt.Sprintf("\texec %s /bin/sh \"$0\" %s \"$dir\" \"$@\"\n", p.jump, next)
		switch {
		case p.jump == "":
			fmt.Fprintf(&p.body, "\t%s \"$@\"\n", next)
		case p.only == "":
			p.body.WriteString(jump)
		default:
			fmt.Fprintf(&p.body, "\tif %s; then\n\t%s\tfi\n\t%s \"$@\"\n", p.only, jump, next)
		}
	}
	return w.linkStart(order[0])
}

// linkStart has the part that starts the process inside name the first part in it.
func (w *script) linkStart(first *part) error {
	for _, p := range w.parts {
		if p.place == starting {
			fmt.Fprintf(&p.body, "\tsetpriv --pdeathsig KILL -- \"$@\" -- /bin/sh \"$self\" %s \"$dir\" 4>\"$dir/up\" 3<\"$dir/down\"\n", first.name)
			greet := "\t# The number that this process has outside, for those who map its ids.\n" +
				"\tread -r pid _ </proc/self/stat\n\techo \"$pid\" >&4\n\tread -r _ <&3\n\n"
			body := first.body.String()
			first.body.Reset()
			first.body.WriteString(greet + body)
			return nil
		}
	}
	return errors.New("explain as sh: the plan starts no process")
}
