package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rl-run/rl-run/caps"
	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/passwd"
	"github.com/rl-run/rl-run/internal/terminal"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/rootfs/mountspec"
	"github.com/rl-run/rl-run/userns"
)

// flags is the command line of rl-run.
type flags struct {
	spec    launch.Spec
	explain string
	secrets bool
	verbose bool
	timing  bool
	version bool

	user        string // as it was asked for
	stopSignal  int
	covered     bool // the state of containers lies in ROOTFS
	removeLater bool // --rm with -d
	before      int  // words before the command, where they say all that there is to know; else 0
}

// parse reads the command line up to ROOTFS; what follows belongs to the
// command. The error is pflag.ErrHelp, or one line that names flag, value and
// what was expected.
func parse(args []string) (*flags, error) {
	w, fs, err := read("rl-run", allOptions, args)
	if err != nil {
		return nil, err
	}
	f := &flags{
		spec: launch.Spec{
			RootMode: launch.RootEphemeral, Keep: w.keep, GroupAdd: w.groups,
			Hostname: w.hostname, Name: w.name, Net: w.net, DNS: w.dns, AddHost: w.hosts,
			DNSSearch: w.dnsSearch, DNSOption: w.dnsOption, Aliases: w.aliases,
			CapAdd: w.capAdd, CapDrop: w.capDrop,
			Env: w.env, EnvHost: w.envHost, FakeRoot: w.fakeRoot, Nest: w.nest,
			Workdir: w.workdir, NoStdin: !w.stdin, Quiet: w.quiet, Strict: w.strict,
		},
		explain: w.explain, secrets: w.secrets, verbose: w.verbose, timing: w.timing, version: w.version,
	}
	if f.version {
		return f, nil
	}
	s := &f.spec
	if fs.NArg() == 0 {
		return nil, &launch.Hinted{Err: errors.New("start a container: ROOTFS is missing"), Hint: usageHint}
	}
	if s.Rootfs = fs.Arg(0); s.Rootfs == "" {
		return nil, &launch.Hinted{Err: errors.New("start a container: ROOTFS is empty"), Hint: usageHint}
	}
	s.Command = fs.Args()[1:]
	if w.entrypoint == "" && len(w.envFiles) == 0 {
		f.before = len(args) - len(s.Command)
	}
	if w.entrypoint != "" {
		s.Command = append([]string{w.entrypoint}, s.Command...)
	}
	s.Terminal = w.tty
	if !fs.Changed("tty") {
		s.Terminal = w.stdin && !w.detach && terminal.IsTerminal(0) && terminal.IsTerminal(1)
	}
	w.remove = w.remove && fs.Changed("rm") // else nobody has asked for it
	if s.Detach, s.LogSize = w.detach, logSize; s.Detach {
		s.NoStdin = true
	}
	if s.Name != "" {
		if err := container.CheckName(s.Name); err != nil {
			return nil, fmt.Errorf("--%w", err) // it begins with the word name
		}
	}
	for _, check := range [...]func(*words) error{
		f.rootMode, f.size, f.mounts, f.identity, f.namespaces, f.network, f.sharing,
		f.capabilities, f.security, f.limits, f.environment, f.noNULs, f.refusals, f.process,
	} {
		if err := check(w); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// logSize is how much of its output is kept of a detached container, in bytes.
const logSize = 16 << 20

const usageHint = "rl-run [OPTIONS] ROOTFS [COMMAND [ARG...]]; rl-run --help has examples"

func (f *flags) rootMode(w *words) error {
	n := 0
	for _, m := range [...]struct {
		set  bool
		mode launch.RootMode
	}{{w.rw, launch.RootWritable}, {w.readOnly, launch.RootReadOnly}, {w.copy, launch.RootCopy}} {
		if m.set {
			f.spec.RootMode = m.mode
			n++
		}
	}
	if n > 1 {
		return errors.New("choose the root: --rw, --read-only and --copy exclude each other")
	}
	return nil
}

func (f *flags) size(w *words) (err error) {
	if w.size == "" {
		return nil
	}
	if f.spec.Size, err = mountspec.ParseSize(w.size); err != nil {
		return fmt.Errorf("--size: %w", err)
	}
	return nil
}

func (f *flags) mounts(w *words) error {
	s := &f.spec
	for _, v := range w.volumes {
		m, err := mountspec.ParseVolume(v)
		if err != nil {
			return err
		}
		s.Mounts = append(s.Mounts, m)
	}
	for _, v := range w.mounts {
		m, err := mountspec.ParseMount(v)
		if err != nil {
			return err
		}
		s.Mounts = append(s.Mounts, m)
	}
	for _, v := range w.tmpfs {
		m, err := mountspec.ParseTmpfs(v)
		if err != nil {
			return err
		}
		s.Mounts = append(s.Mounts, m)
	}
	for _, v := range w.devices {
		m, err := mountspec.ParseDevice(v)
		if err != nil {
			return err
		}
		s.Mounts = append(s.Mounts, m)
	}
	_, err := mountspec.Order(s.Mounts)
	return err
}

func (f *flags) identity(w *words) (err error) {
	s, mode := &f.spec, w.userns
	if w.user != "" {
		if s.User, err = passwd.ParseSpec(w.user); err != nil {
			return fmt.Errorf("-u: %w", err)
		}
	}
	switch {
	case mode == "host":
		return &launch.Hinted{
			Err:  errors.New("--userns host: without a user namespace of its own a container would need root"),
			Hint: "--userns=keep-id keeps your own ids inside",
		}
	case strings.HasPrefix(mode, launch.OfContainer):
		s.UserOf, mode = mode[len(launch.OfContainer):], "auto"
		if err := container.CheckName(s.UserOf); err != nil {
			return fmt.Errorf("--userns %s%s: %w", launch.OfContainer, s.UserOf, err)
		}
	}
	if s.Userns.Mode, err = userns.ParseMode(mode); err != nil {
		return fmt.Errorf("--userns %w, or container:NAME", err)
	}
	for _, m := range w.uidmap {
		e, err := userns.ParseExtent(m)
		if err != nil {
			return fmt.Errorf("--uidmap %w", err)
		}
		s.Userns.UID = append(s.Userns.UID, e)
	}
	for _, m := range w.gidmap {
		e, err := userns.ParseExtent(m)
		if err != nil {
			return fmt.Errorf("--gidmap %w", err)
		}
		s.Userns.GID = append(s.Userns.GID, e)
	}
	return nil
}

func (f *flags) namespaces(w *words) error {
	s := &f.spec
	for _, ns := range [...]struct {
		name, value string
		to          *launch.Share
	}{{"pid", w.pid, &s.PID}, {"ipc", w.ipc, &s.IPC}, {"uts", w.uts, &s.UTS}, {"cgroupns", w.cgroupns, &s.Cgroup}} {
		v := ns.value
		if err := oneOfOrContainer(ns.name, v, "private", "host", "container:NAME"); err != nil {
			return err
		}
		*ns.to = launch.Share(v)
	}
	switch {
	case s.Hostname == "" || s.UTS == launch.Private:
	case s.UTS == launch.Shared:
		return errors.New("--hostname: with --uts=host the name is the host's")
	default:
		return fmt.Errorf("--hostname: with --uts=%s the name is that container's", s.UTS)
	}
	if n := len(s.Hostname); n > 63 || n > 0 && !validHostname(s.Hostname) {
		return fmt.Errorf("--hostname %q: expected at most 63 letters, digits, hyphens and dots", s.Hostname)
	}
	return nil
}

func validHostname(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-."
	return strings.Trim(strings.ToLower(s), letters) == "" && s[0] != '-' && s[0] != '.'
}

// capabilities checks the names: which of them the kernel knows is for later.
func (f *flags) capabilities(*words) error {
	for _, list := range [...]struct {
		flag  string
		names []string
	}{{"--cap-add", f.spec.CapAdd}, {"--cap-drop", f.spec.CapDrop}} {
		for _, name := range list.names {
			_, err := caps.Parse(name)
			var unknown *caps.UnknownError
			switch {
			case err == nil:
			case errors.As(err, &unknown) && unknown.Near != "":
				return fmt.Errorf("%s %q: no such capability (did you mean %s?)", list.flag, name, unknown.Near)
			default:
				return &launch.Hinted{
					Err:  fmt.Errorf("%s %q: no such capability", list.flag, name),
					Hint: "capabilities(7) lists the names, with or without CAP_; ALL stands for all of them",
				}
			}
		}
	}
	return nil
}

func (f *flags) security(w *words) error {
	s := &f.spec
	for _, o := range w.security {
		key, value, has := strings.Cut(o, "=")
		if !has {
			key, value, has = strings.Cut(o, ":")
		}
		switch {
		case key == "seccomp" && value != "":
			s.Seccomp = value
		case key == "no-new-privileges":
			if has {
				if err := oneOf("security-opt no-new-privileges", value, "true", "false"); err != nil {
					return err
				}
			}
			s.NewPrivs = value == "false"
		case key == "mask" && value != "", key == "unmask" && value != "":
			for p := range strings.SplitSeq(value, ":") {
				if p != "ALL" && !strings.HasPrefix(p, "/proc/") && !strings.HasPrefix(p, "/sys/") {
					return fmt.Errorf("--security-opt %q: expected paths below /proc or /sys, separated by colons", o)
				}
				if key == "mask" {
					s.Mask = append(s.Mask, p)
				} else {
					s.Unmask = append(s.Unmask, p)
				}
			}
		default:
			return fmt.Errorf("--security-opt %q: expected seccomp=FILE, seccomp=unconfined, no-new-privileges[=false], mask=PATH or unmask=PATH", o)
		}
	}
	return nil
}

// oneOfOrContainer takes the name of a container, too, behind container:.
func oneOfOrContainer(flag, value string, want ...string) error {
	if name := launch.Share(value).Owner(); name != "" {
		if err := container.CheckName(name); err != nil {
			return fmt.Errorf("--%s %s: %w", flag, value, err)
		}
		return nil
	}
	if value == want[len(want)-1] { // the word for a name
		value = "NAME"
	}
	return oneOf(flag, value, want...)
}

// owners are the containers whose namespaces are to be shared, each once.
func (f *flags) owners() (names []string) {
	s := &f.spec
	for _, name := range []string{s.UserOf, s.PID.Owner(), launch.Share(s.Net).Owner(), s.IPC.Owner(), s.UTS.Owner(), s.Cgroup.Owner()} {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// sharing refuses what cannot go together with the namespaces of others.
func (f *flags) sharing(w *words) error {
	s := &f.spec
	names := f.owners()
	switch {
	case len(names) == 0:
	case s.Userns.Mode != userns.ModeAuto:
		return fmt.Errorf("--userns %s: a container that shares namespaces is in the user namespace of container %s", w.userns, names[0])
	case len(s.Userns.UID)+len(s.Userns.GID) > 0:
		return fmt.Errorf("--uidmap, --gidmap: a container that shares namespaces has the ids of container %s", names[0])
	case slices.Contains(names, s.Name):
		return fmt.Errorf("--name %s: the namespaces of a container of that name are to be shared", s.Name)
	}
	return nil
}

func oneOf(flag, value string, want ...string) error {
	if slices.Contains(want, value) {
		return nil
	}
	want = slices.DeleteFunc(want, func(s string) bool { return s == "" })
	last := len(want) - 1
	return fmt.Errorf("--%s %q: expected %s or %s", flag, value, strings.Join(want[:last], ", "), want[last])
}
