package main

import (
	"errors"
	"iter"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// words is the command line as it was written: what the options mean is for
// parse to say.
type words struct {
	rw, readOnly, copy                bool
	size, keep                        string
	volumes, mounts, tmpfs, devices   []string
	user, userns                      string
	uidmap, gidmap, groups            []string
	pid, ipc, uts, cgroupns, hostname string
	net                               string
	dns, hosts, publish               []string
	dnsSearch, dnsOption, aliases     []string
	ip                                string
	mtu, vethHost, vethIP, vethBridge string
	capAdd, capDrop, security         []string
	env, envFiles                     []string
	envHost                           bool
	workdir, entrypoint, name         string
	stopSignal, limits                string
	limited                           [][2]string // option and value, in the order of the command line
	ulimits                           []string
	tty, stdin, init, remove, detach  bool
	listen                            bool
	privileged, fakeRoot, nest        bool
	explain                           string
	secrets, verbose, timing, quiet   bool
	strict                            bool
	version                           bool
}

// defaults are what the words are when nothing is said.
var defaults = words{
	userns: "auto",
	pid:    "private", ipc: "private", uts: "private", cgroupns: "private",
	net:        "auto",
	stopSignal: "TERM", limits: "require",
	stdin: true, init: true, remove: true,
}

// option is a flag as the command line has it.
type option struct {
	name  string
	short string // a letter, or empty
	bare  string // what it means without a value; empty where it needs one
	value func(*words) pflag.Value
}

// options are all that rl-run knows, in the order of the help. The table is data
// of the linker's: nothing of it is made at the start.
var options = [...]option{
	{"rw", "", "true", func(w *words) pflag.Value { return (*truth)(&w.rw) }},
	{"read-only", "", "true", func(w *words) pflag.Value { return (*truth)(&w.readOnly) }},
	{"copy", "", "true", func(w *words) pflag.Value { return (*truth)(&w.copy) }},
	{"size", "", "", func(w *words) pflag.Value { return (*text)(&w.size) }},
	{"keep", "", "", func(w *words) pflag.Value { return (*text)(&w.keep) }},

	{"volume", "v", "", func(w *words) pflag.Value { return (*list)(&w.volumes) }},
	{"mount", "", "", func(w *words) pflag.Value { return (*list)(&w.mounts) }},
	{"tmpfs", "", "", func(w *words) pflag.Value { return (*list)(&w.tmpfs) }},
	{"device", "", "", func(w *words) pflag.Value { return (*list)(&w.devices) }},

	{"user", "u", "", func(w *words) pflag.Value { return (*text)(&w.user) }},
	{"group-add", "", "", func(w *words) pflag.Value { return (*list)(&w.groups) }},
	{"userns", "", "", func(w *words) pflag.Value { return (*text)(&w.userns) }},
	{"uidmap", "", "", func(w *words) pflag.Value { return (*list)(&w.uidmap) }},
	{"gidmap", "", "", func(w *words) pflag.Value { return (*list)(&w.gidmap) }},

	{"pid", "", "", func(w *words) pflag.Value { return (*text)(&w.pid) }},
	{"ipc", "", "", func(w *words) pflag.Value { return (*text)(&w.ipc) }},
	{"uts", "", "", func(w *words) pflag.Value { return (*text)(&w.uts) }},
	{"cgroupns", "", "", func(w *words) pflag.Value { return (*text)(&w.cgroupns) }},
	{"hostname", "h", "", func(w *words) pflag.Value { return (*text)(&w.hostname) }},

	{"net", "", "", func(w *words) pflag.Value { return (*text)(&w.net) }},
	{"network", "", "", func(w *words) pflag.Value { return (*text)(&w.net) }},
	{"publish", "p", "", func(w *words) pflag.Value { return (*list)(&w.publish) }},
	{"dns", "", "", func(w *words) pflag.Value { return (*list)(&w.dns) }},
	{"dns-search", "", "", func(w *words) pflag.Value { return (*list)(&w.dnsSearch) }},
	{"dns-option", "", "", func(w *words) pflag.Value { return (*list)(&w.dnsOption) }},
	{"ip", "", "", func(w *words) pflag.Value { return (*text)(&w.ip) }},
	{"network-alias", "", "", func(w *words) pflag.Value { return (*list)(&w.aliases) }},
	{"add-host", "", "", func(w *words) pflag.Value { return (*list)(&w.hosts) }},

	{"listen-fd", "", "true", func(w *words) pflag.Value { return (*truth)(&w.listen) }},
	{"mtu", "", "", func(w *words) pflag.Value { return (*text)(&w.mtu) }},
	{"veth-host", "", "", func(w *words) pflag.Value { return (*text)(&w.vethHost) }},
	{"veth-ip", "", "", func(w *words) pflag.Value { return (*text)(&w.vethIP) }},
	{"veth-bridge", "", "", func(w *words) pflag.Value { return (*text)(&w.vethBridge) }},

	{"cap-add", "", "", func(w *words) pflag.Value { return (*commaList)(&w.capAdd) }},
	{"cap-drop", "", "", func(w *words) pflag.Value { return (*commaList)(&w.capDrop) }},
	{"security-opt", "", "", func(w *words) pflag.Value { return (*list)(&w.security) }},
	{"privileged", "", "true", func(w *words) pflag.Value { return (*truth)(&w.privileged) }},
	{"nest", "", "true", func(w *words) pflag.Value { return (*truth)(&w.nest) }},
	{"fake-root", "", "true", func(w *words) pflag.Value { return (*truth)(&w.fakeRoot) }},

	{"memory", "m", "", func(w *words) pflag.Value { return &limit{"memory", w} }},
	{"memory-swap", "", "", func(w *words) pflag.Value { return &limit{"memory-swap", w} }},
	{"cpus", "", "", func(w *words) pflag.Value { return &limit{"cpus", w} }},
	{"cpu-weight", "", "", func(w *words) pflag.Value { return &limit{"cpu-weight", w} }},
	{"cpuset-cpus", "", "", func(w *words) pflag.Value { return &limit{"cpuset-cpus", w} }},
	{"pids-limit", "", "", func(w *words) pflag.Value { return &limit{"pids-limit", w} }},
	{"blkio-weight", "", "", func(w *words) pflag.Value { return &limit{"blkio-weight", w} }},
	{"device-read-bps", "", "", func(w *words) pflag.Value { return &limit{"device-read-bps", w} }},
	{"device-write-bps", "", "", func(w *words) pflag.Value { return &limit{"device-write-bps", w} }},
	{"device-read-iops", "", "", func(w *words) pflag.Value { return &limit{"device-read-iops", w} }},
	{"device-write-iops", "", "", func(w *words) pflag.Value { return &limit{"device-write-iops", w} }},
	{"ulimit", "", "", func(w *words) pflag.Value { return (*list)(&w.ulimits) }},
	{"limits", "", "", func(w *words) pflag.Value { return (*text)(&w.limits) }},

	{"env", "e", "", func(w *words) pflag.Value { return (*list)(&w.env) }},
	{"env-file", "", "", func(w *words) pflag.Value { return (*list)(&w.envFiles) }},
	{"env-host", "", "true", func(w *words) pflag.Value { return (*truth)(&w.envHost) }},
	{"workdir", "w", "", func(w *words) pflag.Value { return (*text)(&w.workdir) }},
	{"tty", "t", "true", func(w *words) pflag.Value { return (*truth)(&w.tty) }},
	{"interactive", "i", "true", func(w *words) pflag.Value { return (*truth)(&w.stdin) }},
	{"detach", "d", "true", func(w *words) pflag.Value { return (*truth)(&w.detach) }},
	{"init", "", "true", func(w *words) pflag.Value { return (*truth)(&w.init) }},
	{"entrypoint", "", "", func(w *words) pflag.Value { return (*text)(&w.entrypoint) }},
	{"name", "", "", func(w *words) pflag.Value { return (*text)(&w.name) }},
	{"stop-signal", "", "", func(w *words) pflag.Value { return (*text)(&w.stopSignal) }},
	{"rm", "", "true", func(w *words) pflag.Value { return (*truth)(&w.remove) }},

	{"explain", "", "text", func(w *words) pflag.Value { return (*form)(&w.explain) }},
	{"show-secrets", "", "true", func(w *words) pflag.Value { return (*truth)(&w.secrets) }},
	{"verbose", "V", "true", func(w *words) pflag.Value { return (*truth)(&w.verbose) }},
	{"timing", "", "true", func(w *words) pflag.Value { return (*truth)(&w.timing) }},
	{"strict", "", "true", func(w *words) pflag.Value { return (*truth)(&w.strict) }},
	{"quiet", "q", "true", func(w *words) pflag.Value { return (*truth)(&w.quiet) }},
	{"version", "", "true", func(w *words) pflag.Value { return (*truth)(&w.version) }},
}

// unshareOptions are those of rl-unshare.
func unshareOptions(yield func(*option) bool) {
	for i := range options {
		switch options[i].name {
		case "userns", "uidmap", "gidmap", "quiet":
			if !yield(&options[i]) {
				return
			}
		}
	}
}

// allOptions are those of rl-run.
func allOptions(yield func(*option) bool) {
	for i := range options {
		if !yield(&options[i]) {
			return
		}
	}
}

// read takes the options off the front of args, and returns them with what
// follows. The error is pflag.ErrHelp, or names the flag, its value and what was
// expected.
func read(program string, known iter.Seq[*option], args []string) (*words, *pflag.FlagSet, error) {
	fs := pflag.NewFlagSet(program, pflag.ContinueOnError)
	fs.SetInterspersed(false)
	fs.Usage = func() {}
	w := defaults
	define(fs, &w, known, args)
	if err := fs.Parse(args); err != nil {
		return nil, nil, flagError(program, known, err)
	}
	return &w, fs, nil
}

// define defines the flags that args may hold, not all: fifty flags in pflag's
// maps cost a start more than its namespaces do. Some more than needed do no
// harm, so values that look like flags are taken for some. Of two words in a row
// without a dash the second is no flag's value: there the options have ended.
func define(fs *pflag.FlagSet, w *words, known iter.Seq[*option], args []string) {
	dashed := true
	for _, arg := range args {
		before := dashed
		dashed = len(arg) > 1 && arg[0] == '-'
		switch {
		case arg == "--", !dashed && !before:
			return
		case !dashed:
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		for o := range known {
			if arg[1] == '-' && o.name == name || arg[1] != '-' && o.short != "" && strings.Contains(arg, o.short) {
				if fs.Lookup(o.name) == nil {
					fs.AddFlag(&pflag.Flag{Name: o.name, Shorthand: o.short, NoOptDefVal: o.bare, Value: o.value(w)})
				}
			}
		}
	}
}

// truth is the value of a flag that is on or off.
type truth bool

// Set implements pflag.Value.
func (t *truth) Set(value string) error {
	on, err := strconv.ParseBool(value)
	if err != nil {
		return errors.New("expected true or false")
	}
	*t = truth(on)
	return nil
}

func (t *truth) String() string { return strconv.FormatBool(bool(*t)) }

// Type implements pflag.Value.
func (*truth) Type() string { return "bool" }

// text is the value of a flag that is taken as it is; the last one counts.
type text string

// Set implements pflag.Value.
func (t *text) Set(value string) error {
	*t = text(value)
	return nil
}

func (t *text) String() string { return string(*t) }

// Type implements pflag.Value.
func (*text) Type() string { return "string" }

// form is the value of --explain. An empty one is refused: it would start what is only to be shown.
type form string

// Set implements pflag.Value.
func (f *form) Set(value string) error {
	if value == "" {
		return errors.New("expected text, json or sh")
	}
	*f = form(value)
	return nil
}

func (f *form) String() string { return string(*f) }

// Type implements pflag.Value.
func (*form) Type() string { return "string" }

// list is the value of a flag that may be given more than once.
type list []string

// Set implements pflag.Value.
func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func (l *list) String() string { return strings.Join(*l, " ") }

// Type implements pflag.Value.
func (*list) Type() string { return "list" }

// commaList is a list that commas separate, too.
type commaList []string

// Set implements pflag.Value.
func (l *commaList) Set(value string) error {
	*l = append(*l, strings.Split(value, ",")...)
	return nil
}

func (l *commaList) String() string { return strings.Join(*l, ",") }

// Type implements pflag.Value.
func (*commaList) Type() string { return "list" }
