package launch

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/plan"
)

// ofSession reports whether a step failed for which the network session is needed.
func ofSession(failed *plan.StepError) bool {
	if _, told := errors.AsType[unix.Errno](failed.Err); !told {
		return false
	}
	switch step := failed.Step.(type) {
	case plan.MakePort, plan.SendLink:
		return true
	case plan.Join:
		return step.Of == TheSession
	}
	return false
}

// removedTime is how long a session may take to write down that it has removed a network.
const removedTime = 500 * time.Millisecond

// withoutSession looks what became of the session, or of the network in it, when a start that needs it has failed. again is
// whether another start is worth while: of a container that names no network, which does without one. gone is the error for one that
// does; with neither, the session is there as it was.
func (h *Host) withoutSession(s *Spec, n *session.Network) (again bool, gone error) {
	for until := time.Now().Add(removedTime); ; time.Sleep(10 * time.Millisecond) {
		now, err := session.Open(h.SessionDir)
		same, there := false, n == nil
		if err == nil {
			now.Close()
			same = now.Pid == h.Session.Pid && now.StartTime == h.Session.StartTime
			if n != nil {
				_, there = now.Network(n.Name)
			}
		}
		switch {
		case !same && s.Named():
			return false, hinted(fmt.Errorf("--net=%s: the network session ended meanwhile", s.Net), "start the container again; rl-net ls lists the networks that are left")
		case !same:
			h.Session.Close()
			h.Session = nil
			return true, nil
		case !there:
			return false, fmt.Errorf("--net=%s: the network was removed meanwhile", s.Net)
		case n == nil || time.Now().After(until):
			return false, nil
		}
	}
}
