package nest

import (
	"slices"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// bubblewrap gives its command the caller's own id, or another one that it is asked for, and capabilities where it is asked.
func TestInBubblewrap(t *testing.T) {
	bin, inner, outer := begin(t)
	bwrap := trial.NeedTool(t, "bwrap")
	run := func(options []string, text string) trial.Result {
		t.Helper()
		return trial.Command{Path: bwrap, Args: slices.Concat([]string{
			"--unshare-all", "--die-with-parent", "--bind", outer, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
			"--ro-bind", bin, "/tmp/bin", "--ro-bind", inner, "/tmp/box", "--chdir", "/",
		}, options, []string{"/tmp/bin/rl-run", "--net=none", "/tmp/box", "sh", "-c", text})}.Run(t)
	}
	for _, c := range []struct {
		name    string
		options []string
		notes   []string
	}{
		{"user", nil, []string{"only one id is mapped: uid ", noSys}},
		{"root with one capability", []string{"--uid", "0", "--gid", "0", "--cap-add", "CAP_SETFCAP"}, []string{"only one id is mapped: ", noSys}},
		{"root", []string{"--uid", "0", "--gid", "0", "--cap-add", "ALL"}, []string{"only one id is mapped: this user namespace has no uid but 0", noSys}},
		{"the host's /sys", []string{"--ro-bind", "/sys", "/sys"}, []string{"only one id is mapped: uid "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			started(t, run(c.options, look), "box", c.notes...)
		})
	}
	// A uid 0 that lacks that capability cannot map itself, and has no other id (user_namespaces(7)).
	run([]string{"--uid", "0", "--gid", "0"}, "true").Fails(t, 125, "rl-run: error: map ids: ", "operation not permitted",
		"rl-run: hint: uid 0 maps itself with CAP_SETFCAP alone: start what is around with --cap-add CAP_SETFCAP, or rl-run as another user")
}
