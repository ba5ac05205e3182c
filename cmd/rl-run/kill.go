package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/nearest"
	"github.com/rl-run/rl-run/internal/pid1"
	"github.com/rl-run/rl-run/launch"
)

const killHelp = `rl-kill sends containers a signal.

  rl-kill [-s SIGNAL] NAME...

Examples:
  rl-kill db
  rl-kill -s HUP web       let it read its configuration again

Options:
  -s, --signal SIGNAL  a name with or without SIG, or a number (KILL)

The command of the container gets the signal; KILL ends all of its processes, and
rl-kill waits for that.
`

// kill is rl-kill.
func kill(args []string) int {
	name := "KILL"
	c := command{
		program: "rl-kill", verb: "kill", help: killHelp, usage: "rl-kill [-s SIGNAL] NAME...", least: 1,
		options: []option{{"signal", "s", "", func(*words) pflag.Value { return (*text)(&name) }}},
	}
	names, code, done := c.read(args)
	if done {
		return code
	}
	number, ok := signalNumber(name)
	if !ok {
		return fail(noSignal("-s", name))
	}
	if err := kept(number); err != nil {
		short := strings.TrimPrefix(unix.SignalName(number), "SIG")
		return fail(&launch.Hinted{
			Err:  fmt.Errorf("-s %s: %w", name, err),
			Hint: "rl-exec NAME kill -" + short + " PID sends it to one of the container's processes",
		})
	}
	s := containers()
	return c.each(s, names, func(e *container.Entry) error {
		p, err := openToEnd(e)
		if err != nil {
			return err
		}
		defer p.Close()
		switch {
		case number == unix.SIGKILL:
			err = p.end(s, e.Name)
		case number == pid1.SweepSignal && p.sweeps:
			err = fmt.Errorf("-s %s: it would end all of the container's processes, which has no pid namespace of its own", name)
		default:
			err = p.Signal(number)
		}
		if err != nil {
			return err
		}
		say(e.Name + "\n")
		return nil
	})
}

// kept says why a container's init would not pass a signal on to the command; nil where it does.
func kept(s unix.Signal) error {
	switch {
	case s == unix.SIGSTOP:
		return errors.New("it would stop the container's init alone, which cannot pass it on")
	case slices.Contains([]unix.Signal{unix.SIGCHLD, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU, unix.SIGURG}, s):
		return errors.New("the container's init takes it for its own, and does not pass it on")
	}
	return nil
}

// signalNumber takes what podman takes: names with or without SIG, in either case, numbers, and real-time signals such
// as RTMIN+3, counted as the C library does.
func signalNumber(name string) (unix.Signal, bool) {
	const rtmin, rtmax = 34, 64
	name = strings.TrimPrefix(strings.ToUpper(name), "SIG")
	switch name { // second names (signal(7))
	case "CLD":
		name = "CHLD"
	case "IOT":
		name = "ABRT"
	case "POLL":
		name = "IO"
	}
	// unix.SignalNum would make a map of all of them, at each start.
	for s := unix.Signal(1); s <= unix.SIGSYS; s++ {
		if known, is := strings.CutPrefix(unix.SignalName(s), "SIG"); is && known == name {
			return s, true
		}
	}
	base, sign := 0, 1
	if rest, ok := strings.CutPrefix(name, "RTMIN"); ok && (rest == "" || len(rest) > 1 && rest[0] == '+') {
		base, name = rtmin, strings.TrimPrefix(rest, "+")
	} else if rest, ok := strings.CutPrefix(name, "RTMAX"); ok && (rest == "" || len(rest) > 1 && rest[0] == '-') {
		base, sign, name = rtmax, -1, strings.TrimPrefix(rest, "-")
	}
	if base != 0 && name == "" {
		return unix.Signal(base), true
	}
	n, err := strconv.Atoi(name)
	if err != nil || strconv.Itoa(n) != name {
		return 0, false
	}
	s := base + sign*n
	return unix.Signal(s), s >= 1 && s <= rtmax && (base == 0 || s >= rtmin)
}

// noSignal is the error for what signalNumber does not know.
func noSignal(flag, name string) error {
	short := strings.TrimPrefix(strings.ToUpper(name), "SIG")
	near := nearest.Word(short, 1, func(yield func(string) bool) {
		for s := range unix.SIGSYS {
			if known, is := strings.CutPrefix(unix.SignalName(s+1), "SIG"); is && !yield(known) {
				return
			}
		}
	})
	if near != "" {
		return fmt.Errorf("%s %q: no such signal (did you mean %s?)", flag, name, near)
	}
	return fmt.Errorf("%s %q: no such signal (expected a name like TERM or SIGTERM, or a number from 1 to 64)", flag, name)
}
