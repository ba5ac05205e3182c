package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
	"github.com/rl-run/rl-run/cgroup/ulimit"
	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/passwd"
	"github.com/rl-run/rl-run/internal/sigpipe"
	"github.com/rl-run/rl-run/internal/terminal"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs"
	"github.com/rl-run/rl-run/userns"
)

const execHelp = `rl-exec runs a further command in a container.

  rl-exec [OPTIONS] NAME COMMAND [ARG...]

Options end at NAME: what follows belongs to the command. It gets what the
container's own has: namespaces, control group, capabilities, seccomp filter. It
ends with the container, and when rl-exec is killed; what it leaves in the
background stays.

Examples:
  rl-exec web ps
  rl-exec -it db sh                 a shell
  rl-exec -u postgres -w /var/lib db psql
  tar -c src | rl-exec build tar -x

Options:
  -u, --user USER[:GROUP]    names of the container's own passwd, or ids (those
                       of its command)
  -w, --workdir DIR    (that of its command)
  -e, --env K[=V], --env-file FILE
                       beside the environment of its command
  -t, --tty[=false]    a terminal (when stdin and stdout are terminals)
  -i, --interactive[=false]
                       connect stdin (it is)
  -d, --detach         leave the command to run; what it writes is lost
  --explain[=text|json]      print the plan and start nothing
  --show-secrets       values of -e in the printed plan, not names alone
  -V, --verbose        print each step as it runs
  --timing             print how long each step took
  -q, --quiet          no notes

Exit codes: the command's own; 125 rl-exec failed; 126 the command cannot be
executed; 127 it is not found; 128+N it died of signal N.
`

const execUsage = "rl-exec [-it] [-d] [-e K=V] [-u USER] [-w DIR] NAME COMMAND [ARG...]"

// execOptions are those of rl-exec.
func execOptions(yield func(*option) bool) {
	for i := range options {
		switch options[i].name {
		case "user", "workdir", "env", "env-file", "tty", "interactive", "detach", "explain", "show-secrets", "verbose", "timing", "quiet":
			if !yield(&options[i]) {
				return
			}
		}
	}
}

// execute is rl-exec.
func execute(args []string) int {
	f, name, err := parseExec(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return say(execHelp)
	case err != nil:
		return fail(err)
	}
	if child, image, signals, err := plan.Recalled(); err != nil {
		return fail(err)
	} else if child != nil {
		return waited(launch.AdoptExec(&f.spec, child, image), signals)
	}
	c := command{program: "rl-exec", verb: "execute in"}
	s := containers()
	t, err := target(s, name, &f.spec)
	if err != nil {
		return fail(c.about(s, name, err))
	}
	host, err := launch.ProbeExec()
	if err != nil {
		return fail(err)
	}
	if f.explain != "" {
		start, err := launch.CompileExec(&f.spec, &host, t)
		if err == nil {
			err = explained(f, start)
		}
		if err != nil {
			return fail(err)
		}
		return 0
	}
	signals := -1
	if !f.spec.Detach {
		if signals, err = sigpipe.Open(); err != nil {
			return fail(err)
		}
	}
	running, err := launch.Exec(&f.spec, &host, t, plan.Options{Verbose: f.verbose, Timing: f.timing})
	if err != nil {
		return fail(err)
	}
	if f.timing {
		running.WriteTimes(os.Stderr)
	}
	if f.spec.Detach {
		return 0
	}
	rememberExec(f, &host, s, t)
	return waited(running, signals)
}

// waited returns with the end of a command that was executed.
func waited(running *launch.Container, signals int) int {
	running.StandIn(signals, -1, nil, nil)
	code, err := running.Supervise(signals)
	if err != nil {
		return fail(err)
	}
	return code
}

// parseExec reads the command line up to NAME.
func parseExec(args []string) (f *flags, name string, err error) {
	w, fs, err := read("rl-exec", execOptions, args)
	if err != nil {
		return nil, "", err
	}
	f = &flags{
		spec:    launch.Spec{Env: w.env, Workdir: w.workdir, NoStdin: !w.stdin || w.detach, Detach: w.detach, Quiet: w.quiet},
		explain: w.explain, secrets: w.secrets, verbose: w.verbose, timing: w.timing,
	}
	switch fs.NArg() {
	case 0:
		err = errors.New("rl-exec: NAME is missing")
	case 1:
		err = fmt.Errorf("execute in %s: COMMAND is missing", shown(fs.Arg(0)))
	}
	if err != nil {
		return nil, "", &launch.Hinted{Err: err, Hint: execUsage}
	}
	name, f.spec.Command = fs.Arg(0), fs.Args()[1:]
	if len(w.envFiles) == 0 {
		f.before = len(args) - len(f.spec.Command)
	}
	f.spec.Terminal = w.tty
	if !fs.Changed("tty") {
		f.spec.Terminal = w.stdin && !w.detach && terminal.IsTerminal(0) && terminal.IsTerminal(1)
	}
	if w.user != "" {
		if f.spec.User, err = passwd.ParseSpec(w.user); err != nil {
			return nil, "", fmt.Errorf("-u: %w", err)
		}
	}
	switch {
	case w.detach && w.tty:
		return nil, "", errors.New("-t: a command that is left to run (-d) has no terminal")
	case f.spec.Workdir != "" && f.spec.Workdir[0] != '/':
		return nil, "", fmt.Errorf("-w %q: expected an absolute path", f.spec.Workdir)
	}
	if err := oneOf("explain", f.explain, "", "text", "json"); err != nil {
		return nil, "", err
	}
	if err := f.environment(w); err != nil {
		return nil, "", err
	}
	return f, name, f.noNULs(w)
}

// target finds a container that runs, and what a further command of it needs. Its
// pidfd stays open.
func target(s *container.Store, name string, spec *launch.Spec) (*launch.Target, error) {
	e, err := s.Find(name)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	t, p, config, err := joinable(e)
	if err != nil {
		return nil, err
	}
	x := &config.Exec
	t.Profile, t.FilterFlags, t.NewPrivs = config.Seccomp, x.FilterFlags, !config.NoNewPrivs
	t.Env, t.Workdir = container.Strings(x.Env), string(x.Workdir)
	t.Who.UID, t.Who.GID, t.Who.Groups = x.UID, x.GID, x.Groups
	if t.Filter, err = filter(e, config.Seccomp); err != nil {
		return nil, err
	}
	for word := range strings.FieldsSeq(config.Limits.Asked["ulimit"]) {
		l, err := ulimit.Parse(word)
		if err != nil {
			return nil, fmt.Errorf("--ulimit %w", err)
		}
		var has unix.Rlimit // it may be lower here than where the container was started
		if err := unix.Getrlimit(l.Resource, &has); err != nil {
			return nil, os.NewSyscallError("getrlimit", err)
		}
		if err := l.Check(has.Max); err != nil {
			return nil, err
		}
		spec.Ulimits = append(spec.Ulimits, l)
	}
	if spec.User.User == "" && !spec.Terminal {
		return t, nil
	}
	root, err := p.Root()
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	if spec.User.User != "" {
		if t.Passwd, t.Group, err = rootfs.Users(root); err != nil {
			return nil, err
		}
	}
	t.TermInfo = spec.Terminal && rootfs.HasTermInfo(root, os.Getenv("TERM"))
	return t, nil
}

// joinable is what it takes to enter a container that runs.
func joinable(e *container.Entry) (*launch.Target, *container.Process, *container.Config, error) {
	fail := func(err error) (*launch.Target, *container.Process, *container.Config, error) {
		return nil, nil, nil, err
	}
	if e.Status == container.Damaged {
		return fail(e.Damage)
	}
	p, err := e.Open()
	if err != nil {
		if not, is := errors.AsType[*container.NotRunningError](err); is && not.Status != container.Created {
			err = &launch.Hinted{Err: err, Hint: "rl-ps lists those that run, rl-ps -a tells how it ended"}
		}
		return fail(err)
	}
	config, err := e.Entrance()
	if err != nil {
		return fail(err)
	}
	t := &launch.Target{
		Name: e.Name, PID: p.PID, PIDFD: p.PIDFD, Cgroup: e.State.Cgroup, Hostname: config.Hostname,
		Maps:     userns.Maps{UID: config.UidMap, GID: config.GidMap},
		Bounding: caps.Set(config.Capabilities.Bounding), Ambient: caps.Set(config.Capabilities.Ambient),
	}
	t.Start = e.State.Init.Start
	t.Hosts, t.Resolv = []byte(config.Network.Hosts), []byte(config.Network.Resolv)
	t.Files, t.Dirs = e.Sources()
	if t.Join, t.User, err = foreign(p); err != nil {
		return fail(err)
	}
	if t.GroupsStay, err = p.GroupsStay(); err != nil {
		return fail(err)
	}
	return t, p, config, nil
}

// owners finds the containers whose namespaces are to be shared.
func owners(names []string) (map[string]*launch.Target, error) {
	if len(names) == 0 {
		return nil, nil
	}
	s := containers()
	found := make(map[string]*launch.Target, len(names))
	for _, name := range names {
		e, err := s.Find(name)
		if err == nil {
			found[name], _, _, err = joinable(e)
			e.Close()
		}
		if err != nil {
			c := command{verb: "share namespaces of"}
			return nil, c.about(s, name, err)
		}
	}
	return found, nil
}

// filter is the container's seccomp filter. One that is missing is an error: its
// commands must not get more than it has.
func filter(e *container.Entry, profile string) ([]unix.SockFilter, error) {
	raw, err := e.Filter()
	switch {
	case err != nil:
		return nil, err
	case len(raw) == 0 && profile != "unconfined":
		return nil, errors.New("its seccomp filter is missing in its state")
	}
	filter := make([]unix.SockFilter, len(raw)/int(unsafe.Sizeof(unix.SockFilter{})))
	if len(filter) > 0 {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&filter[0])), len(raw)), raw)
	}
	return filter, nil
}

// foreign are the namespaces of a process that are not the caller's own, as
// CLONE_NEW* flags: those alone can be joined. user is the inode of its user namespace.
func foreign(p *container.Process) (flags, user uint64, err error) {
	own, err := container.OwnNamespaces()
	if err != nil {
		return 0, 0, err
	}
	theirs, err := p.Namespaces()
	if err != nil {
		return 0, 0, err
	}
	for i, kind := range container.Kinds {
		if kind == "user" {
			user = theirs[i]
		}
		if theirs[i] != 0 && theirs[i] != own[i] {
			flags |= plan.Flag(kind)
		}
	}
	return flags, user, nil
}
