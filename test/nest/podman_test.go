package nest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// podman's own filter lets user namespaces be made, and refuses sethostname(2) in them. Its masks make the kernel refuse a new
// /proc and /sys; unmask=ALL takes them away.
func TestInPodman(t *testing.T) {
	bin, inner, outer := begin(t)
	podman, work := trial.NeedTool(t, "podman"), t.TempDir()
	run := []string{"--root", work + "/storage", "--runroot", work + "/run"}
	if _, err := os.Stat("/sys/fs/cgroup/unified"); err == nil {
		trial.NeedTool(t, "runc") // crun refuses to start beside control groups of version 1
		run = append(run, "--runtime", "runc")
	}
	env := []string{"XDG_RUNTIME_DIR=" + work + "/xdg", "HOME=" + work}
	if err := os.Mkdir(work+"/xdg", 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// by this process podman keeps its user namespace
		if pid, err := os.ReadFile(work + "/xdg/libpod/tmp/pause.pid"); err == nil {
			trial.Command{Path: "/bin/kill", Args: []string{"-KILL", strings.TrimSpace(string(pid))}}.Run(t).OK(t)
		}
		left, _ := filepath.Glob(work + "/*") // some of it belongs to subordinate ids
		trial.Command{Path: trial.Bin(t, "rl-unshare"), Args: append([]string{"--quiet", "rm", "-rf"}, left...)}.Run(t).OK(t)
	})
	const identity = "no subordinate ids: the host's stand for themselves "
	for _, c := range []struct {
		name    string
		options []string
		notes   []string
	}{
		{"defaults", nil, []string{identity, noName + "outer", maskedProc, noSys}},
		{"unmasked", []string{"--security-opt", "unmask=ALL"}, []string{identity, noName + "outer"}},
		{"unconfined", []string{"--security-opt", "seccomp=unconfined"}, []string{identity, maskedProc, noSys}},
		{"unmasked and unconfined", []string{"--security-opt", "unmask=ALL", "--security-opt", "seccomp=unconfined"}, []string{identity}},
		{"user", []string{"--security-opt", "unmask=ALL", "--user", "1000"}, []string{
			"only one id is mapped: ", "/box belongs to uid 0, which has no id in the container: it is read-only", noName + "outer",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := "box"
			if slices.ContainsFunc(c.notes, func(n string) bool { return strings.HasPrefix(n, noName) }) {
				name = "outer"
			}
			text := look
			if c.name == "user" { // whose root is read-only
				text = strings.Replace(look, "touch /made", "! touch /made 2>/dev/null", 1)
			}
			r := trial.Command{Path: podman, Env: env, Args: slices.Concat(run, []string{
				"run", "--rm", "--network=none", "--hostname=outer", "--rootfs", "-v", bin + ":/bin.rl-run:ro", "-v", inner + ":/box:ro",
			}, c.options, []string{outer + ":O", "/bin.rl-run/rl-run", "--net=none", "/box", "sh", "-c", text})}.Run(t)
			if c.name == "defaults" || c.name == "unconfined" { // the outer /proc has other numbers
				r.Stdout = strings.Replace(r.Stdout, "pid 1\n", "pid 2\n", 1)
			}
			started(t, r, name, c.notes...)
		})
	}
}
