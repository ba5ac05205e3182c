package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/container"
)

const stopHelp = `rl-stop ends containers: it sends the stop signal, and kills what has not ended in time.

  rl-stop [-t SECONDS] NAME...

Examples:
  rl-stop db
  rl-stop -t 0 web db      without a chance to tidy up

Options:
  -t, --time SECONDS   how long to wait before the kill (10); -1 waits for ever

The signal is SIGTERM, unless the container was started with another --stop-signal.
Containers that have ended already are passed over.
`

// stop is rl-stop.
func stop(args []string) int {
	seconds := wholeSeconds(10)
	c := command{
		program: "rl-stop", verb: "stop", help: stopHelp, usage: "rl-stop [-t SECONDS] NAME...", least: 1,
		options: []option{{"time", "t", "", func(*words) pflag.Value { return &seconds }}},
	}
	names, code, done := c.read(args)
	if done {
		return code
	}
	s := containers()
	// All are told before the first is waited for.
	told := make(map[string]*ending, len(names))
	code = c.each(s, names, func(e *container.Entry) error {
		if told[e.Name] != nil {
			return nil
		}
		p, err := openToEnd(e)
		if err != nil {
			return unlessEnded(e, err)
		}
		told[e.Name] = p
		signal := stopSignal(e)
		if seconds == 0 || signal == unix.SIGKILL {
			return p.kill()
		}
		return killed(p.Signal(signal))
	})
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	for _, name := range names {
		p, ok := told[name]
		if !ok {
			continue
		}
		delete(told, name)
		wait := max(0, time.Until(end))
		if seconds < 0 {
			wait = -1
		}
		if err := p.finish(wait); err != nil {
			code = fail(c.about(s, name, err))
		} else {
			p.settle(s, name)
			say(name + "\n")
		}
		p.Close()
	}
	return code
}

// stopSignal is the one that the container was started with.
func stopSignal(e *container.Entry) unix.Signal {
	if config, err := e.Config(); err == nil && config.StopSignal > 0 && config.StopSignal <= 64 {
		return unix.Signal(config.StopSignal)
	}
	return unix.SIGTERM
}

// unlessEnded passes over containers that have ended: they are as was asked for.
func unlessEnded(e *container.Entry, err error) error {
	var not *container.NotRunningError
	if errors.As(err, &not) && (not.Status == container.Exited || not.Status == container.Dead) {
		say(e.Name + "\n")
		return nil
	}
	return err
}

// killed passes over processes that have ended before they were killed.
func killed(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// wholeSeconds is the value of -t.
type wholeSeconds int

// Set implements pflag.Value.
func (s *wholeSeconds) Set(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < -1 || n > 1<<31-1 {
		return errors.New("expected whole seconds, or -1 to wait for ever")
	}
	*s = wholeSeconds(n)
	return nil
}

func (s *wholeSeconds) String() string { return strconv.Itoa(int(*s)) }

// Type implements pflag.Value.
func (*wholeSeconds) Type() string { return "int" }
