package explain_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// container is a start that rl-run and a script make.
type container struct {
	options []string // of rl-run, before ROOTFS
	rootfs  string
	words   []string // for the probe
	env     []string
	outer   []string // a program that starts either one
	files   int      // how many descriptors above 2 it inherits
}

// args is rl-run's command line with the probe, bound to its own path, as command.
// A script loads no filter, and the default one would keep the probe from its keyring.
func (c container) args(tb testing.TB, more ...string) []string {
	tb.Helper()
	exe := probeProgram(tb)
	args := append([]string{"--quiet", "--security-opt", "seccomp=unconfined", "-v", exe + ":" + exe + ":ro"}, more...)
	args = append(append(args, "--net=none"), c.options...) // a script has lo alone, and says so
	return append(append(args, c.rootfs, exe, probeWord), c.words...)
}

// command is a command that runs under the same circumstances as the other one.
func (c container) command(tb testing.TB, path string, args ...string) trial.Command {
	tb.Helper()
	r := trial.Command{Path: path, Args: args, Env: c.env, Stdin: strings.NewReader("")}
	if len(c.outer) > 0 {
		r.Path, r.Args = c.outer[0], append(append(slices.Clone(c.outer[1:]), path), args...)
	}
	for range c.files {
		f, err := os.Open("/dev/null")
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { f.Close() })
		r.Files = append(r.Files, f)
	}
	return r
}

// byProgram is what the probe sees when rl-run starts it.
func (c container) byProgram(tb testing.TB) view {
	tb.Helper()
	return seen(tb, c.command(tb, trial.Bin(tb, "rl-run"), c.args(tb)...).Run(tb))
}

// byScript is what it sees when a script does.
func (c container) byScript(tb testing.TB, script string) view {
	tb.Helper()
	return seen(tb, c.command(tb, "/bin/sh", saved(tb, script)).Run(tb))
}

// script is what --explain=sh says.
func (c container) script(tb testing.TB, more ...string) string {
	tb.Helper()
	args := c.args(tb, append([]string{"--explain=sh"}, more...)...)
	return c.command(tb, trial.Bin(tb, "rl-run"), args...).Run(tb).OK(tb) + "\n"
}

func saved(tb testing.TB, script string) string {
	tb.Helper()
	name := filepath.Join(tb.TempDir(), "container.sh")
	if err := os.WriteFile(name, []byte(script), 0o644); err != nil {
		tb.Fatal(err)
	}
	return name
}

// seen reads a view. Where there is none the messages stand for it.
func seen(tb testing.TB, r trial.Result) view {
	tb.Helper()
	var v view
	if err := json.Unmarshal([]byte(r.Stdout), &v); err != nil {
		v = view{"no view": r.Stdout + r.Stderr}
	}
	v["exit code"] = fmt.Sprint(r.Code)
	hosts(v)
	return v
}

// hosts replaces the numbers of namespaces by whose they are.
func hosts(v view) {
	for key, value := range v {
		name, ok := strings.CutPrefix(key, "namespace ")
		if !ok {
			continue
		}
		if link, err := os.Readlink("/proc/self/ns/" + name); err == nil && link == value {
			v[key] = "the host's"
		} else if strings.HasPrefix(value, name+":[") {
			v[key] = "its own"
		}
	}
	if id, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false); err == nil {
		if text, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id); err == nil && text == v["keyring"] {
			v["keyring"] += " (the host's)"
		}
	}
}

// differences are the things of which two views tell differently.
func differences(want, got view) []string {
	all := maps.Clone(want)
	maps.Copy(all, got)
	var list []string
	if want["no view"] != got["no view"] {
		return []string{want["no view"] + got["no view"]}
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if want[key] != got[key] {
			list = append(list, fmt.Sprintf("%s: %q, by the script %q", key, want[key], got[key]))
		}
	}
	return list
}

// watch is for tests that start containers by both ways.
func watch(t *testing.T) {
	t.Helper()
	trial.NeedUser(t)
	for _, tool := range []string{"unshare", "setpriv", "nsenter", "newuidmap", "keyctl"} {
		trial.NeedTool(t, tool)
	}
	leak.Watch(t)
}

func TestSameContainer(t *testing.T) {
	trial.NeedUser(t)
	trial.NeedTool(t, "busybox")
	tree := trial.Tree(t, "busybox")
	data := t.TempDir()
	odd := filepath.Join(data, "odd 'name'\n$(x)\\")
	for _, dir := range []string{odd, filepath.Join(odd, "below")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	links := trial.NewTree(t)
	for name, to := range map[string]string{
		"etc/hosts": "/run/../../made/hosts", "etc/resolv.conf": "../../../etc/hosts.link", "etc/hosts.link": "/etc/hostname",
		"link": "/../../opt", "opt/again": "/link/../opt/./real",
	} {
		_ = os.Remove(filepath.Join(links, name))
		if err := os.Symlink(to, filepath.Join(links, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(links, "etc/hostname"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		container
	}{
		{"defaults", container{}},
		{"single", container{options: []string{"--userns=single", "--net=none"}}},
		{"keep-id", container{options: []string{"--userns=keep-id", "--hostname", "other"}}},
		{"writable", container{options: []string{"--rw", "-v", data + ":/made/data:ro", "-w", "/made/there"}, rootfs: trial.NewTree(t)}},
		{"read-only", container{options: []string{"--read-only"}}},
		{"no init", container{options: []string{"--init=false"}}},
		{"read-only tree", container{options: []string{"--read-only"}, rootfs: trial.NewTree(t)}},
		{"copy", container{options: []string{"--copy", "--size", "50m"}}},
		{"shared", container{options: []string{"--pid=host", "--ipc=host", "--uts=host", "--cgroupns=host", "--net=host"}}},
		{"user", container{options: []string{"-u", "1000:1000", "--group-add", "5", "--cap-add", "net_raw", "--cap-drop", "chown", "-w", "/made/here"}}},
		{"mounts", container{options: []string{
			"--device", "/dev/zero:/dev/naught", "--tmpfs", "/mnt/t:size=1m,mode=0700,exec", "--mount", "type=tmpfs,dst=/opt/r,ro",
			"-v", odd + ":/made/$odd 'name'", "--size", "20m", "-v", data + ":/made/all",
		}, env: []string{"TMPDIR=" + data}}},
		{"links", container{options: []string{"-v", data + ":/link/again/deep:ro", "-w", "/link"}, rootfs: links}},
		{"nested", container{outer: []string{trial.Bin(t, "rl-unshare"), "--quiet"}}},
		{"environment", container{
			options: []string{"--env-host", "-e", "GIVEN=1\n2' $(x)", "-e", "TAKEN"},
			env:     []string{"TAKEN=`a` \"b\"\\", "GIVEN=1\n2' $(x)", "PWD=/x", "OLDPWD=/y", "EMPTY="},
			words:   []string{"", "-e", "a b", "'", `"\`, "$HOME", "\n", "\xff\xfe", "*", "exit 7"},
		}},
		{"masks", container{options: []string{"--security-opt", "no-new-privileges=false", "--security-opt", "unmask=/proc/sys:/sys/firmware", "--security-opt", "mask=/proc/uptime"}}},
		{"limits of processes", container{options: []string{"--ulimit", "nofile=100:200", "--ulimit", "core=0", "--ulimit", "cpu=1000:-1"}}},
		{"every capability", container{options: []string{"--cap-add", "ALL", "-i=false"}, files: 4}},
		{"no capability", container{options: []string{"--cap-drop", "ALL", "--security-opt", "unmask=ALL"}, files: 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			watch(t)
			c := c.container
			if c.rootfs == "" {
				c.rootfs = tree
			}
			want := c.byProgram(t)
			if want["no view"] != "" {
				t.Fatal(want)
			}
			for _, d := range differences(want, c.byScript(t, c.script(t))) {
				t.Error(d)
			}
		})
	}
}
