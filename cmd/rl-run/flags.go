package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/passwd"
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
}

// parse reads the command line up to ROOTFS; what follows belongs to the
// command. The error is one line that names flag, value and what was expected.
func parse(args []string) (*flags, error) {
	f := &flags{spec: launch.Spec{RootMode: launch.RootEphemeral, Net: launch.NetAuto}}
	s := &f.spec
	fs := pflag.NewFlagSet("rl-run", pflag.ContinueOnError)
	fs.SetInterspersed(false)
	fs.Usage = func() {}

	var (
		rw, readOnly, rootCopy, privileged, fake bool
		size, user, usernsMode                   string
		volumes, mounts, tmpfs, devices          []string
		uidmap, gidmap, securityOpts             []string
		envFiles                                 []string
		entrypoint, limits, stopSignal           string
		pid, ipc, uts, cgroupns                  string
		stdin, tty, init                         bool
	)
	// root
	fs.BoolVar(&rw, "rw", false, "")
	fs.BoolVar(&readOnly, "read-only", false, "")
	fs.BoolVar(&rootCopy, "copy", false, "")
	fs.StringVar(&size, "size", "", "")
	fs.StringVar(&s.Keep, "keep", "", "")
	// mounts
	listVar(fs, &volumes, "volume", "v")
	listVar(fs, &mounts, "mount", "")
	listVar(fs, &tmpfs, "tmpfs", "")
	listVar(fs, &devices, "device", "")
	// identity
	fs.StringVarP(&user, "user", "u", "", "")
	fs.StringVar(&usernsMode, "userns", "auto", "")
	listVar(fs, &uidmap, "uidmap", "")
	listVar(fs, &gidmap, "gidmap", "")
	listVar(fs, &s.GroupAdd, "group-add", "")
	// namespaces
	fs.StringVar(&pid, "pid", "private", "")
	fs.StringVar(&ipc, "ipc", "private", "")
	fs.StringVar(&uts, "uts", "private", "")
	fs.StringVar(&cgroupns, "cgroupns", "private", "")
	fs.StringVarP(&s.Hostname, "hostname", "h", "", "")
	// network
	fs.StringVar(&s.Net, "net", launch.NetAuto, "")
	fs.StringVar(&s.Net, "network", launch.NetAuto, "")
	listVar(fs, &s.DNS, "dns", "")
	listVar(fs, &s.AddHost, "add-host", "")
	// privilege
	fs.Var(list{to: &s.CapAdd, comma: true}, "cap-add", "")
	fs.Var(list{to: &s.CapDrop, comma: true}, "cap-drop", "")
	listVar(fs, &securityOpts, "security-opt", "")
	// process
	listVar(fs, &s.Env, "env", "e")
	listVar(fs, &envFiles, "env-file", "")
	fs.BoolVar(&s.EnvHost, "env-host", false, "")
	fs.StringVarP(&s.Workdir, "workdir", "w", "", "")
	fs.BoolVarP(&tty, "tty", "t", false, "")
	fs.BoolVarP(&stdin, "interactive", "i", true, "")
	fs.BoolVar(&init, "init", true, "")
	fs.StringVar(&entrypoint, "entrypoint", "", "")
	fs.StringVar(&s.Name, "name", "", "")
	fs.StringVar(&stopSignal, "stop-signal", "TERM", "")
	fs.StringVar(&limits, "limits", "require", "")
	fs.Bool("rm", true, "")
	fs.BoolVar(&privileged, "privileged", false, "")
	fs.BoolVar(&fake, "fake-root", false, "")
	// insight
	fs.StringVar(&f.explain, "explain", "", "")
	fs.Lookup("explain").NoOptDefVal = "text"
	fs.BoolVar(&f.secrets, "show-secrets", false, "")
	fs.BoolVarP(&f.verbose, "verbose", "V", false, "")
	fs.BoolVar(&f.timing, "timing", false, "")
	fs.BoolVar(&s.Quiet, "quiet", false, "")
	fs.BoolVar(&f.version, "version", false, "")

	if slices.Contains(args[:min(1, len(args))], "--help") {
		return nil, pflag.ErrHelp
	}
	if err := fs.Parse(args); err != nil {
		return nil, flagError(fs, err)
	}
	if f.version {
		return f, nil
	}
	if fs.NArg() == 0 {
		return nil, &launch.Hinted{Err: errors.New("start a container: ROOTFS is missing"), Hint: "rl-run [OPTIONS] ROOTFS [COMMAND [ARG...]]; rl-run --help has examples"}
	}
	s.Rootfs = fs.Arg(0)
	if s.Rootfs == "" {
		return nil, errors.New("start a container: ROOTFS is empty")
	}
	s.Command = fs.Args()[1:]
	if fs.Changed("entrypoint") && entrypoint != "" {
		s.Command = append([]string{entrypoint}, s.Command...)
	}
	s.NoStdin = !stdin
	s.Terminal = tty
	if !fs.Changed("tty") {
		s.Terminal = stdin && isTerminal(0) && isTerminal(1)
	}

	for _, check := range []func() error{
		func() error { return f.rootMode(rw, readOnly, rootCopy) },
		func() error { return f.size(size) },
		func() error { return f.mounts(volumes, mounts, tmpfs, devices) },
		func() error { return f.identity(user, usernsMode, uidmap, gidmap) },
		func() error {
			return f.namespaces(map[string]string{"pid": pid, "ipc": ipc, "uts": uts, "cgroupns": cgroupns})
		},
		f.network,
		func() error { return f.security(securityOpts) },
		func() error { return f.environment(envFiles) },
		func() error { return f.refusals(fs, privileged, fake, init) },
		func() error {
			return oneOf("explain", f.explain, "", "text", "json", "sh")
		},
		func() error { return knownSignal(stopSignal) },
		func() error { return oneOf("limits", limits, "require", "best-effort") },
		f.noNULs,
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

func (f *flags) rootMode(rw, readOnly, rootCopy bool) error {
	n := 0
	for _, m := range []struct {
		set  bool
		mode launch.RootMode
	}{{rw, launch.RootWritable}, {readOnly, launch.RootReadOnly}, {rootCopy, launch.RootCopy}} {
		if m.set {
			f.spec.RootMode = m.mode
			n++
		}
	}
	if n > 1 {
		return errors.New("--rw, --read-only and --copy exclude each other")
	}
	return nil
}

func (f *flags) size(value string) (err error) {
	if value == "" {
		return nil
	}
	if f.spec.Size, err = mountspec.ParseSize(value); err != nil {
		return fmt.Errorf("--size %s: %w", value, err)
	}
	return nil
}

func (f *flags) mounts(volumes, mounts, tmpfs, devices []string) error {
	s := &f.spec
	for _, v := range volumes {
		m, err := mountspec.ParseVolume(v)
		if err != nil {
			return err
		}
		s.Mounts = append(s.Mounts, m)
	}
	for _, v := range mounts {
		m, err := mountspec.ParseMount(v)
		if err != nil {
			return err
		}
		s.Mounts = append(s.Mounts, m)
	}
	for _, v := range tmpfs {
		m, err := mountspec.ParseTmpfs(v)
		if err != nil {
			return err
		}
		s.Mounts = append(s.Mounts, m)
	}
	for _, v := range devices {
		m, err := mountspec.ParseDevice(v)
		if err != nil {
			return err
		}
		s.Mounts = append(s.Mounts, m)
	}
	_, err := mountspec.Order(s.Mounts)
	return err
}

func (f *flags) identity(user, mode string, uidmap, gidmap []string) (err error) {
	s := &f.spec
	if user != "" {
		if s.User, err = passwd.ParseSpec(user); err != nil {
			return fmt.Errorf("-u %s: %w", user, err)
		}
	}
	switch {
	case mode == "host":
		return &launch.Hinted{Err: errors.New("--userns host: without a user namespace of its own a container would need root"),
			Hint: "--userns=keep-id keeps your own ids inside"}
	case strings.HasPrefix(mode, "container:"):
		return fmt.Errorf("--userns %s: sharing the namespaces of another container is not supported yet", mode)
	}
	if s.Userns.Mode, err = userns.ParseMode(mode); err != nil {
		return fmt.Errorf("--userns %w", err)
	}
	for _, m := range uidmap {
		e, err := userns.ParseExtent(m)
		if err != nil {
			return fmt.Errorf("--uidmap %w", err)
		}
		s.Userns.UID = append(s.Userns.UID, e)
	}
	for _, m := range gidmap {
		e, err := userns.ParseExtent(m)
		if err != nil {
			return fmt.Errorf("--gidmap %w", err)
		}
		s.Userns.GID = append(s.Userns.GID, e)
	}
	return nil
}

func (f *flags) namespaces(values map[string]string) error {
	s := &f.spec
	for _, ns := range []struct {
		name string
		to   *launch.Share
	}{{"pid", &s.PID}, {"ipc", &s.IPC}, {"uts", &s.UTS}, {"cgroupns", &s.Cgroup}} {
		v := values[ns.name]
		if strings.HasPrefix(v, "container:") {
			return fmt.Errorf("--%s %s: sharing the namespaces of another container is not supported yet", ns.name, v)
		}
		if err := oneOf(ns.name, v, "private", "host"); err != nil {
			return err
		}
		*ns.to = launch.Share(v)
	}
	if s.Hostname != "" && s.UTS == launch.Shared {
		return errors.New("--hostname: with --uts=host the name is the host's")
	}
	if n := len(s.Hostname); n > 63 || n > 0 && !validHostname(s.Hostname) {
		return fmt.Errorf("--hostname %s: want at most 63 letters, digits, hyphens and dots", s.Hostname)
	}
	return nil
}

func validHostname(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-."
	return strings.Trim(strings.ToLower(s), letters) == "" && s[0] != '-' && s[0] != '.'
}

func (f *flags) network() error {
	s := &f.spec
	if s.Net == "private" {
		s.Net = launch.NetAuto
	}
	switch {
	case strings.HasPrefix(s.Net, "container:"):
		return fmt.Errorf("--net %s: sharing the namespaces of another container is not supported yet", s.Net)
	case slices.Contains([]string{"pasta", "slirp4netns", "veth"}, s.Net):
		return fmt.Errorf("--net %s: not supported yet (expected auto, none or host)", s.Net)
	}
	if err := oneOf("net", s.Net, launch.NetAuto, launch.NetNone, launch.NetHost); err != nil {
		return err
	}
	for _, d := range s.DNS {
		if _, err := netip.ParseAddr(d); err != nil {
			return fmt.Errorf("--dns %s: want an IP address", d)
		}
	}
	for _, h := range s.AddHost {
		name, ip, _ := strings.Cut(h, ":")
		if _, err := netip.ParseAddr(strings.Trim(ip, "[]")); err != nil || name == "" || strings.ContainsAny(name, " \t\n#") {
			return fmt.Errorf("--add-host %s: want NAME:ADDRESS", h)
		}
	}
	return nil
}

func (f *flags) security(opts []string) error {
	s := &f.spec
	for _, o := range opts {
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
					return fmt.Errorf("--security-opt %s: want paths below /proc or /sys, separated by colons", o)
				}
				if key == "mask" {
					s.Mask = append(s.Mask, p)
				} else {
					s.Unmask = append(s.Unmask, p)
				}
			}
		default:
			return fmt.Errorf("--security-opt %s: want seccomp=FILE, seccomp=unconfined, no-new-privileges[=false], mask=PATH or unmask=PATH", o)
		}
	}
	return nil
}

func (f *flags) environment(files []string) error {
	var fromFiles []string
	for _, name := range files {
		vars, err := readEnvFile(name)
		if err != nil {
			return err
		}
		fromFiles = append(fromFiles, vars...)
	}
	f.spec.Env = append(fromFiles, f.spec.Env...)
	for _, kv := range f.spec.Env {
		if kv == "" || kv[0] == '=' {
			return fmt.Errorf("-e %q: want NAME=VALUE or NAME", kv)
		}
	}
	return nil
}

// readEnvFile reads NAME=VALUE lines; lines that are empty or begin with # are
// comments.
func readEnvFile(name string) ([]string, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	text, err := passwd.Read(fd, name)
	if err != nil {
		return nil, err
	}
	var vars []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if line = strings.TrimLeft(line, " \t"); line != "" && line[0] != '#' {
			vars = append(vars, line)
		}
	}
	return vars, nil
}

func (f *flags) refusals(fs *pflag.FlagSet, privileged, fake, init bool) error {
	switch {
	case privileged:
		return &launch.Hinted{Err: errors.New("--privileged: a container of rl-run has no privileges of the host to give"),
			Hint: "--cap-add ALL --security-opt seccomp=unconfined --security-opt unmask=ALL gives all that a user namespace has"}
	case fake:
		return errors.New("--fake-root: not supported yet")
	case !init:
		return errors.New("--init=false: not supported yet: the command always runs under an init")
	}
	return nil
}

// noNULs refuses what cannot be passed to the kernel.
func (f *flags) noNULs() error {
	for _, list := range [][]string{f.spec.Command, f.spec.Env, {f.spec.Rootfs, f.spec.Workdir, f.spec.Keep}} {
		for _, s := range list {
			if strings.IndexByte(s, 0) >= 0 {
				return fmt.Errorf("start a container: %q has a NUL byte", s)
			}
		}
	}
	return nil
}

func oneOf(flag, value string, want ...string) error {
	if slices.Contains(want, value) {
		return nil
	}
	want = slices.DeleteFunc(want, func(s string) bool { return s == "" })
	return fmt.Errorf("--%s %s: want %s", flag, value, strings.Join(want, ", "))
}

func knownSignal(name string) error {
	n := strings.ToUpper(strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	if unix.SignalNum("SIG"+n) != 0 {
		return nil
	}
	if strings.Trim(n, "0123456789") == "" && n != "" && len(n) < 3 && n != "0" {
		return nil
	}
	return fmt.Errorf("--stop-signal %s: want a signal's name or number, like TERM", name)
}

// flagError words an error of pflag as the other messages are.
func flagError(fs *pflag.FlagSet, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) {
		return err
	}
	name := missing.GetSpecifiedName()
	if missing.GetSpecifiedShortnames() != "" {
		return &launch.Hinted{Err: fmt.Errorf("unknown flag -%s in -%s", name, missing.GetSpecifiedShortnames()), Hint: "rl-run --help lists all flags"}
	}
	if near := nearest(fs, name); near != "" {
		return fmt.Errorf("unknown flag --%s (did you mean --%s?)", name, near)
	}
	return &launch.Hinted{Err: fmt.Errorf("unknown flag --%s", name), Hint: "rl-run --help lists all flags"}
}
