package main

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/launch"
)

const rmHelp = `rl-rm removes what is kept of containers that have ended: exit code and logs.

  rl-rm [-f] NAME...

Examples:
  rl-rm build
  rl-rm -f db              kill it first

Options:
  -f, --force          kill containers that run; no error where there is none

With -f a container whose state is damaged can be removed, too.
`

// remove is rl-rm.
func remove(args []string) int {
	var force bool
	c := command{
		program: "rl-rm", verb: "remove", help: rmHelp, usage: "rl-rm [-f] NAME...", least: 1,
		options: []option{{"force", "f", "true", func(*words) pflag.Value { return (*truth)(&force) }}},
	}
	names, code, done := c.read(args)
	if done {
		return code
	}
	s := containers()
	if force { // nothing to remove is as was asked for
		there := names[:0]
		for _, name := range names {
			e, err := s.Find(name)
			if err == nil {
				e.Close()
			}
			if unknown := new(container.UnknownError); !errors.As(err, &unknown) {
				there = append(there, name)
			}
		}
		names = there
	}
	return c.each(s, names, func(e *container.Entry) (err error) {
		if e.Status == container.Damaged && force {
			again, err := unlocked(s, e)
			if err != nil {
				return err
			}
			if again != nil {
				defer again.Close()
				e = again
			}
		}
		switch e.Status {
		case container.Running:
			err = &launch.Hinted{Err: errors.New("it is running"), Hint: "rl-stop " + e.Name + ", or rl-rm -f " + e.Name}
			if force {
				err = end(s, e)
			}
		case container.Created:
			err = &launch.Hinted{Err: errors.New("it is being started"), Hint: "rl-rm -f " + e.Name}
			if force {
				err = e.Abandon()
			}
		case container.Damaged:
			err = &launch.Hinted{Err: e.Damage, Hint: "rl-rm -f " + e.Name}
			if force {
				err = e.Abandon()
			}
		case container.Exited, container.Dead:
		}
		if err == nil {
			err = e.Remove()
		}
		if err == nil {
			say(e.Name + "\n")
		}
		return err
	})
}

// unlocked opens an entry anew whose directory had lost its mode; nil for any other.
func unlocked(s *container.Store, e *container.Entry) (*container.Entry, error) {
	if done, err := e.Unlock(); err != nil || !done {
		return nil, err
	}
	return s.Find(e.Name)
}

// end kills a container and waits for its end.
func end(s *container.Store, e *container.Entry) error {
	p, err := openToEnd(e)
	if err != nil {
		return ignoreEnded(err)
	}
	defer p.Close()
	return p.end(s, e.Name)
}

func ignoreEnded(err error) error {
	if _, not := errors.AsType[*container.NotRunningError](err); not {
		return nil
	}
	return err
}
