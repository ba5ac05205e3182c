package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/nearest"
	"github.com/rl-run/rl-run/internal/runtimedir"
	"github.com/rl-run/rl-run/launch"
)

// containers are the caller's.
func containers() *container.Store {
	return container.Open(runtimedir.New(os.Getenv("XDG_RUNTIME_DIR"), os.Geteuid()))
}

// command is one of those that look after containers.
type command struct {
	program string
	verb    string // for messages
	help    string
	usage   string
	options []option
	least   int // how many names it needs
	most    int // 0 for any number
}

// read takes options and names in any order, as podman does. done means that the command is, with that exit code.
func (c *command) read(args []string) (names []string, code int, done bool) {
	fs := pflag.NewFlagSet(c.program, pflag.ContinueOnError)
	fs.Usage = func() {}
	known := make([]*option, len(c.options))
	for i := range c.options {
		o := &c.options[i]
		known[i] = o
		fs.AddFlag(&pflag.Flag{Name: o.name, Shorthand: o.short, NoOptDefVal: o.bare, Value: o.value(nil)})
	}
	err := fs.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return nil, say(c.help), true
	case err != nil:
		return nil, fail(flagError(c.program, slices.Values(known), err)), true
	}
	names = fs.Args()
	switch {
	case len(names) < c.least:
		err = fmt.Errorf("%s: NAME is missing", c.program)
	case c.most > 0 && len(names) > c.most, c.least == 0 && len(names) > 0:
		err = fmt.Errorf("%s: %q is one word too many", c.program, names[c.most])
	default:
		return names, 0, false
	}
	return nil, fail(&launch.Hinted{Err: err, Hint: c.usage}), true
}

// each does something to every container that was named, tells what went wrong and goes on.
func (c *command) each(s *container.Store, names []string, do func(*container.Entry) error) (code int) {
	for _, name := range names {
		e, err := s.Find(name)
		if err == nil {
			if err = do(e); c.program != "rl-rm" {
				err = damaged(e, err)
			}
			e.Close()
		}
		if err != nil {
			code = fail(c.about(s, name, err))
		}
	}
	return code
}

// damaged adds the remedy to an error of a container whose state is damaged.
func damaged(e *container.Entry, err error) error {
	if err == nil || e.Status != container.Damaged || launch.Hint(err) != "" || errors.Is(err, container.ErrNoExit) {
		return err
	}
	return &launch.Hinted{Err: err, Hint: "rl-rm -f " + e.Name + " ends and removes it"}
}

// about says of which container an error is, and which one may have been meant.
func (c *command) about(s *container.Store, name string, err error) error {
	if _, unknown := errors.AsType[*container.UnknownError](err); unknown {
		if near := nearestName(s, name); near != "" {
			err = fmt.Errorf("there is no such container (did you mean %s?)", near)
		} else {
			err = &launch.Hinted{Err: errors.New("there is no such container"), Hint: "rl-ps -a lists them"}
		}
	}
	return withHint(fmt.Errorf("%s %s: %w", c.verb, shown(name), err))
}

// withHint adds the remedy that errors of state know.
func withHint(err error) error {
	if knows := hinter(nil); launch.Hint(err) == "" && errors.As(err, &knows) {
		return &launch.Hinted{Err: err, Hint: knows.Hint()}
	}
	return err
}

type hinter interface {
	error
	Hint() string
}

// nearestName is the container that a name was likely meant for which there is not; empty where none is near.
func nearestName(s *container.Store, name string) string {
	names, err := s.Names()
	if err != nil {
		return ""
	}
	slices.Sort(names)
	return nearest.Word(name, typos, slices.Values(names))
}
