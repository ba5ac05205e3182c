package launch

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/pid1"
	"github.com/rl-run/rl-run/plan"
)

// RememberExec is Remember for a further command in a container: the memo lies with that one's state, in dir, and goes with it.
// again finds the container anew, for a Spec whose command may be any; the Target's pidfd is closed.
func RememberExec(s *Spec, h *Host, t *Target, dir, words int, apart time.Duration, again func(*Spec) (*Target, error)) error {
	if s.User.User != "" || s.Terminal || s.Detach || len(s.Env) > 0 {
		return errors.New("this command is not like the last one")
	}
	if !h.Facts.OwnKeyring {
		return errors.New("what runs this refuses a step, and a memo would fail each time")
	}
	premises := premisesOfExec(h, t)
	if changed(premises) {
		return errUnsettled
	}
	any := *s
	any.Command, any.Ulimits = []string{plan.AnyCommand}, nil
	now, err := again(&any)
	if err != nil {
		return err
	}
	_ = unix.Close(now.PIDFD)
	host, err := ProbeExec()
	if err != nil {
		return err
	}
	start, err := CompileExec(&any, &host, now)
	if err != nil {
		return err
	}
	if !alike(premises, premisesOfExec(&host, now)) {
		return errChanged
	}
	m := plan.Memo{
		Joined: plan.ProcessRef{Name: now.Name, PID: now.PID, Start: now.Start},
		Plan:   start.Plan, Init: pid1.Image(), Premises: premises, Apart: apart, Words: words,
	}
	return m.Keep(dir)
}

// premisesOfExec are all that is looked at before a command is executed in a container.
func premisesOfExec(h *Host, t *Target) (list []plan.Premise) {
	add := func(p plan.Premise) { list = append(list, p) }
	callers(add, h)
	for _, dir := range t.Dirs {
		add(plan.SameFile(dir, unix.AT_SYMLINK_NOFOLLOW))
	}
	for _, file := range t.Files {
		add(plan.SameContent(file, unix.AT_SYMLINK_NOFOLLOW))
	}
	for _, kind := range plan.Namespaces(^uint64(0)) {
		add(plan.SameFile("/proc/self/ns/"+kind, 0))
		add(plan.SameFile(fmt.Sprintf("/proc/%d/ns/%s", t.PID, kind), 0))
	}
	add(plan.Release())
	return list
}

// AdoptExec takes over a command that was executed by a memo before this process began to run Go.
func AdoptExec(s *Spec, child *plan.Child, image int) *Container {
	return &Container{Start: &Start{}, Child: child, connection: noConnection(), spec: s, image: image}
}
