package explain_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/passwd"
	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/launch/explain"
	"github.com/rl-run/rl-run/rootfs/mountspec"
	"github.com/rl-run/rl-run/userns"
)

// base is a container with the Spec of the same options, so that its plan can be
// changed before it becomes a script.
type base struct {
	container
	spec   launch.Spec
	facts  func(*launch.Facts)
	layers string   // "" for what Probe chooses
	watch  []string // directories whose names are looked at after the end
	remove []string // what one run must not leave for the next
}

func (b base) compile(t *testing.T) *launch.Start {
	t.Helper()
	exe := probeProgram(t)
	s := b.spec
	s.Rootfs, s.Quiet, s.Seccomp = b.rootfs, true, "unconfined"
	s.Command = append([]string{exe, probeWord}, b.words...)
	own, err := mountspec.ParseVolume(exe + ":" + exe + ":ro")
	if err != nil {
		t.Fatal(err)
	}
	s.Mounts = append([]mountspec.Mount{own}, s.Mounts...)
	host, err := launch.Probe(&s)
	if err != nil {
		t.Fatal(err)
	}
	host.TTY = false // a terminal may be where the tests are started
	if b.facts != nil {
		b.facts(&host.Facts)
	}
	if b.layers != "" {
		host.Layers = b.layers
	}
	start, err := launch.Compile(&s, &host, nil)
	if err != nil {
		t.Fatal(err)
	}
	return start
}

func (b base) look(t *testing.T, v view) view {
	t.Helper()
	for i, dir := range b.watch {
		_ = filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
			if err == nil {
				v[fmt.Sprintf("afterwards %d%s", i, strings.TrimPrefix(name, dir))] = d.Type().String()
			}
			return nil
		})
	}
	for _, dir := range b.remove {
		// an overlay leaves directories that nobody may enter
		trial.Command{Path: "/bin/sh", Args: []string{"-c", `[ ! -d "$0" ] || { chmod -R u+rwX "$0" && rm -r "$0"; }`, dir}}.Run(t).OK(t)
	}
	return v
}

func said(t *testing.T, s *launch.Start) string {
	t.Helper()
	var b strings.Builder
	if err := explain.Script(&b, s, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func volume(t *testing.T, value string) mountspec.Mount {
	t.Helper()
	m, err := mountspec.ParseVolume(value)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func usual(t *testing.T) base {
	t.Helper()
	data := t.TempDir()
	return base{
		container: container{
			rootfs:  trial.Tree(t, "busybox"),
			options: []string{"--net=none", "-w", "/made/here", "-v", data + ":/made/data", "--device", "/dev/zero:/dev/naught"},
		},
		spec: launch.Spec{
			RootMode: launch.RootEphemeral, Net: launch.NetNone, Workdir: "/made/here",
			Mounts: []mountspec.Mount{volume(t, data+":/made/data"), device(t, "/dev/zero:/dev/naught")},
		},
	}
}

func device(t *testing.T, value string) mountspec.Mount {
	t.Helper()
	m, err := mountspec.ParseDevice(value)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func single(t *testing.T) base {
	t.Helper()
	return base{
		container: container{rootfs: trial.Tree(t, "busybox"), options: []string{"--net=none", "--userns=single"}},
		spec:      launch.Spec{RootMode: launch.RootEphemeral, Net: launch.NetNone, Userns: userns.Request{Mode: userns.ModeSingle}},
	}
}

func sharing(t *testing.T) base {
	t.Helper()
	return base{
		container: container{rootfs: trial.Tree(t, "busybox"), options: []string{"--net=none", "--pid=host", "--cgroupns=host"}},
		spec:      launch.Spec{RootMode: launch.RootEphemeral, Net: launch.NetNone, PID: launch.Shared, Cgroup: launch.Shared},
	}
}

func readOnly(t *testing.T) base {
	t.Helper()
	return base{
		container: container{rootfs: trial.Tree(t, "busybox"), options: []string{"--net=none", "--read-only", "-i=false"}, files: 4},
		spec:      launch.Spec{RootMode: launch.RootReadOnly, Net: launch.NetNone, NoStdin: true},
	}
}

func writable(t *testing.T) base {
	t.Helper()
	tree := trial.NewTree(t)
	return base{
		container: container{rootfs: tree, options: []string{"--net=none", "--rw", "-w", "/made/here"}},
		spec:      launch.Spec{RootMode: launch.RootWritable, Net: launch.NetNone, Workdir: "/made/here"},
		watch:     []string{tree},
	}
}

func copied(t *testing.T) base {
	t.Helper()
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "marker"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	return base{
		container: container{rootfs: tree, options: []string{"--net=none", "--copy", "--size", "10m"}},
		spec:      launch.Spec{RootMode: launch.RootCopy, Net: launch.NetNone, Size: 10 << 20},
	}
}

func plainUser(t *testing.T) base {
	t.Helper()
	return base{
		container: container{rootfs: trial.Tree(t, "busybox"), options: []string{"--net=none", "-u", "1000:1000", "--cap-add", "net_raw"}},
		spec: launch.Spec{
			RootMode: launch.RootEphemeral, Net: launch.NetNone,
			User: passwd.Spec{User: "1000", Group: "1000"}, CapAdd: []string{"net_raw"},
		},
	}
}

func keeping(t *testing.T) base {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "kept 'by\n$(x)\" `me`\\")
	return base{
		container: container{rootfs: trial.Tree(t, "busybox"), options: []string{"--net=none", "--keep", dir}},
		spec:      launch.Spec{RootMode: launch.RootEphemeral, Net: launch.NetNone, Keep: dir},
		watch:     []string{dir},
		remove:    []string{dir},
	}
}

// below is started in a mount namespace whose mounts are shared, so that what
// propagates to the container can be told from what does not.
func below(t *testing.T) base {
	t.Helper()
	b := single(t)
	data := t.TempDir()
	b.outer = []string{"unshare", "--user", "--map-root-user", "--mount", "--propagation", "shared"}
	b.options = append(b.options, "-v", data+":/made/data")
	b.spec.Mounts = []mountspec.Mount{volume(t, data+":/made/data")}
	return b
}

// onDisk is for kernels whose tmpfs takes no user xattrs.
func onDisk(t *testing.T) base {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	layers := filepath.Join(dir, "layers")
	return base{
		container: container{rootfs: trial.Tree(t, "busybox"), options: []string{"--net=none"}},
		spec:      launch.Spec{RootMode: launch.RootEphemeral, Net: launch.NetNone},
		facts:     func(f *launch.Facts) { f.TmpfsUpper = false },
		layers:    layers,
		watch:     []string{layers},
		remove:    []string{layers},
	}
}
