package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/rl-run/rl-run/launch"
)

func mustParse(t *testing.T, args ...string) *flags {
	t.Helper()
	f, err := parse(args)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return f
}

func TestOptionsEndAtRootfs(t *testing.T) {
	for _, c := range []struct {
		args    []string
		rootfs  string
		command []string
	}{
		{[]string{"tree"}, "tree", nil},
		{[]string{"tree", "sh", "-c", "echo"}, "tree", []string{"sh", "-c", "echo"}},
		{[]string{"tree", "--rw"}, "tree", []string{"--rw"}},
		{[]string{"tree", "--", "-v"}, "tree", []string{"--", "-v"}},
		{[]string{"--", "tree", "-v"}, "tree", []string{"-v"}},
		{[]string{"--", "--rw"}, "--rw", nil},
		{[]string{"--", "-"}, "-", nil},
		{[]string{"-", "true"}, "-", []string{"true"}},
		{[]string{"-v", "/a:/b", "tree", "--bogus"}, "tree", []string{"--bogus"}},
		{[]string{"-v/a:/b", "tree"}, "tree", nil},
		{[]string{"-it", "tree", "-it"}, "tree", []string{"-it"}},
		{[]string{"-e", "--rw", "tree"}, "tree", nil},
		{[]string{"-e", "--", "tree", "x"}, "tree", []string{"x"}},
		{[]string{"--name", "tree", "tree2", "x"}, "tree2", []string{"x"}},
		{[]string{"--rw", "tree", "tree2"}, "tree", []string{"tree2"}},
		{[]string{"--tty=false", "tree", ""}, "tree", []string{""}},
	} {
		f := mustParse(t, c.args...)
		if f.spec.Rootfs != c.rootfs || !slices.Equal(f.spec.Command, c.command) {
			t.Errorf("%q: got %q and %q, want %q and %q", c.args, f.spec.Rootfs, f.spec.Command, c.rootfs, c.command)
		}
		if c.args[0] == "tree" && f.spec.RootMode != launch.RootEphemeral {
			t.Errorf("%q: an argument of the command became an option", c.args)
		}
	}
}

func TestFingers(t *testing.T) {
	if s := mustParse(t, "-it", "--rm", "tree", "sh").spec; s.NoStdin || !s.Terminal {
		t.Errorf("-it: got no stdin %v, terminal %v", s.NoStdin, s.Terminal)
	}
	if s := mustParse(t, "-t=false", "-i=false", "tree").spec; !s.NoStdin || s.Terminal {
		t.Errorf("-t=false -i=false: got no stdin %v, terminal %v", s.NoStdin, s.Terminal)
	}
	if s := mustParse(t, "-tie", "A=b", "tree").spec; s.NoStdin || !s.Terminal || !slices.Equal(s.Env, []string{"A=b"}) {
		t.Errorf("-tie A=b: got %+v", s)
	}
	if s := mustParse(t, "--entrypoint", "sh", "tree", "-c", "true").spec; !slices.Equal(s.Command, []string{"sh", "-c", "true"}) {
		t.Errorf("--entrypoint: got %q", s.Command)
	}
	if s := mustParse(t, "--entrypoint=", "tree", "true").spec; !slices.Equal(s.Command, []string{"true"}) {
		t.Errorf("--entrypoint=: got %q", s.Command)
	}
	if s := mustParse(t, "--net=host", "--network=none", "tree").spec; s.Net != launch.NetNone {
		t.Errorf("of --net and --network the last one counts: got %q", s.Net)
	}
}

func TestListsAreKept(t *testing.T) {
	s := mustParse(t, "-e", "A=1,2", "-eB", "--env=C=", "--cap-add", "chown,KILL", "--cap-add=CAP_SETUID",
		"--dns", "1.1.1.1", "--dns=::1", "-v", "/a:/b", "--volume=/c:/d:ro", "tree").spec
	for name, c := range map[string]struct{ got, want []string }{
		"-e":        {s.Env, []string{"A=1,2", "B", "C="}},
		"--cap-add": {s.CapAdd, []string{"chown", "KILL", "CAP_SETUID"}},
		"--dns":     {s.DNS, []string{"1.1.1.1", "::1"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: got %q, want %q", name, c.got, c.want)
		}
	}
	if len(s.Mounts) != 2 {
		t.Errorf("-v: got %v", s.Mounts)
	}
}

func TestDefaults(t *testing.T) {
	s := mustParse(t, "tree").spec
	if s.RootMode != launch.RootEphemeral || s.Net != launch.NetAuto || s.NoStdin || s.Size != 0 || s.NewPrivs ||
		s.PID != launch.Private || s.IPC != launch.Private || s.UTS != launch.Private || s.Cgroup != launch.Private || s.Userns.Mode != "auto" {
		t.Errorf("got %+v", s)
	}
	if f := mustParse(t, "--explain", "tree"); f.explain != "text" {
		t.Errorf("--explain: got %q", f.explain)
	}
	if f := mustParse(t, "--explain=json", "tree"); f.explain != "json" {
		t.Errorf("--explain=json: got %q", f.explain)
	}
	if f := mustParse(t, "--version"); !f.version {
		t.Error("--version wants a ROOTFS")
	}
	for _, args := range [][]string{{"--help"}, {"--rw", "--help", "tree"}} {
		if _, err := parse(args); !errors.Is(err, pflag.ErrHelp) {
			t.Errorf("%q: got %v", args, err)
		}
	}
	if f := mustParse(t, "tree", "--help"); !slices.Equal(f.spec.Command, []string{"--help"}) {
		t.Errorf("--help of the command: got %q", f.spec.Command)
	}
}

// TestEveryOptionIsDefined gives each option alone, in each of its forms: define has to
// find it, whatever comes before and behind.
func TestEveryOptionIsDefined(t *testing.T) {
	for o := range allOptions {
		forms := [][]string{{"--" + o.name, "x"}, {"--" + o.name + "=x"}}
		if o.bare != "" {
			forms = [][]string{{"--" + o.name}, {"--" + o.name + "=" + o.bare}}
		}
		if o.short != "" && o.bare == "" {
			forms = append(forms, []string{"-" + o.short, "x"}, []string{"-" + o.short + "x"}, []string{"-" + o.short + "=x"}, []string{"-ti" + o.short, "x"})
		} else if o.short != "" {
			forms = append(forms, []string{"-" + o.short}, []string{"-" + o.short + "=true"}, []string{"-ti" + o.short})
		}
		for _, form := range forms {
			args := slices.Concat([]string{"--user", "-u"}, form, []string{"tree", "--bogus"})
			_, fs, err := read("rl-run", allOptions, args)
			if err != nil || !fs.Changed(o.name) || fs.Arg(0) != "tree" {
				t.Errorf("%q: got %v and %v", args, err, fs)
			}
		}
	}
}

// TestHelpIsComplete compares the help with the options: each is in it, and there is no
// other.
func TestHelpIsComplete(t *testing.T) {
	options := help[strings.Index(help, "Root ("):]
	words := regexp.MustCompile(`(?:^|[\s,|])(--?[a-zA-Z][a-z-]*)`).FindAllStringSubmatch(options, -1)
	var named []string
	for _, w := range words {
		named = append(named, w[1])
	}
	known := []string{"--help"}
	for o := range allOptions {
		known = append(known, "--"+o.name)
		if o.short != "" {
			known = append(known, "-"+o.short)
			if !slices.Contains(named, "-"+o.short) {
				t.Errorf("help lacks -%s", o.short)
			}
		}
		if !slices.Contains(named, "--"+o.name) {
			t.Errorf("help lacks --%s", o.name)
		}
	}
	for _, n := range named {
		if !slices.Contains(known, n) {
			t.Errorf("help has %s, which is no flag", n)
		}
	}
	for o := range unshareOptions {
		if !strings.Contains(unshareHelp, "--"+o.name) {
			t.Errorf("the help of rl-unshare lacks --%s", o.name)
		}
	}
	for o := range execOptions {
		if !strings.Contains(execHelp, "--"+o.name) {
			t.Errorf("the help of rl-exec lacks --%s", o.name)
		}
	}
}

func TestSignals(t *testing.T) {
	for name, want := range map[string]bool{
		"TERM": true, "term": true, "SIGTERM": true, "15": true, "64": true, "RTMIN": true, "SIGRTMIN+3": true, "RTMAX-1": true,
		"CLD": true, "sigpoll": true, "IOT": true,
		"": false, "0": false, "65": false, "015": false, "-1": false, "+1": false, "TREM": false, "SIGSIGTERM": false,
		"RTMIN-1": false, "RTMAX+1": false, "RTMIN+": false, "RTMIN+99": false, "RTMINX": false,
	} {
		if _, known := signalNumber(name); known != want {
			t.Errorf("signal %q: known %v, want %v", name, !want, want)
		}
	}
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{
		"read-onli": "read-only", "reed-only": "read-only", "hostnam": "hostname", "envfile": "env-file", "rmm": "rm",
		"x": "", "xy": "", "completely-different": "", strings.Repeat("read-only", 100): "",
	} {
		if got := nearestFlag(allOptions, name); got != want {
			t.Errorf("nearest to %q: got %q, want %q", name, got, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"plain":               "plain",
		"größe … 箱":           "größe … 箱",
		"two\nlines\r\tand":   "two?lines??and",
		"\x1b[31mred\u009b0m": "?[31mred?0m",
		"\u202egpj\u2069":     "?gpj?",
		"no\xffutf":           "no\uFFFDutf",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := oneLine(strings.Repeat("ä", 5000)); len([]rune(got)) != longest+1 || !strings.Contains(got, "ä…ä") {
		t.Errorf("5000 letters: got %d", len([]rune(got)))
	}
}

// TestLimits reads each option, of which the last one counts but for those of devices.
func TestLimits(t *testing.T) {
	s := mustParse(t, "-m", "1g", "--memory", "50m", "--memory-swap=-1", "--cpus", "0.5", "--cpu-weight", "10", "--cpuset-cpus", "0-1",
		"--pids-limit", "20", "--blkio-weight", "500", "--device-read-bps", "/dev/a:1m", "--device-write-bps", "/dev/a:2m",
		"--device-read-iops", "/dev/b:3", "--device-write-iops", "/dev/b:4",
		"--ulimit", "nofile=1", "--ulimit", "core=0", "--ulimit", "nofile=100:200", "--limits=best-effort", "tree").spec
	asked := s.Limits.Asked()
	for option, want := range map[string]string{
		"memory": "50m", "memory-swap": "-1", "cpus": "0.5", "cpu-weight": "10", "cpuset-cpus": "0-1", "pids-limit": "20", "blkio-weight": "500",
		"device-read-bps": "/dev/a:1m", "device-write-bps": "/dev/a:2m", "device-read-iops": "/dev/b:3", "device-write-iops": "/dev/b:4",
	} {
		if asked[option] != want {
			t.Errorf("--%s: got %q, want %q", option, asked[option], want)
		}
	}
	if len(s.Ulimits) != 2 || s.Ulimits[0].String() != "core=0" || s.Ulimits[1].String() != "nofile=100:200" || !s.BestEffort {
		t.Errorf("got %v, best effort %v", s.Ulimits, s.BestEffort)
	}
	if s := mustParse(t, "tree").spec; !s.Limits.IsZero() || s.Ulimits != nil || s.BestEffort {
		t.Errorf("without options: %+v", s)
	}
}

// A zone is the name of an interface: what ends a line would write further ones into the files of the container.
func TestIsAddress(t *testing.T) {
	for text, want := range map[string]bool{
		"192.0.2.1": true, "2001:db8::1": true, "fe80::1%eth0": true, "fe80::1%eth0.7": true,
		"": false, "localhost": false, "192.0.2.1/24": false, "fe80::1%": false, "fe80::1%x\nnameserver": false, "fe80::1%x y": false, "fe80::1%x#": false,
	} {
		if got := isAddress(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
