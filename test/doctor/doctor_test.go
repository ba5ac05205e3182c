package doctor

import (
	"os"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/launch"
)

func TestMain(m *testing.M) { os.Exit(trial.Tests(m).Run()) }

// diagnose calls rl-doctor by a shell script, which prepares the machine for "$@".
func diagnose(t *testing.T, script string) (map[string]launch.Finding, int) {
	t.Helper()
	trial.NeedUser(t)
	leak.Watch(t)
	if script == "" {
		script = `exec "$@"`
	}
	r := trial.Command{Path: "/bin/sh", Args: []string{"-c", script, "sh", trial.Bin(t, "rl-doctor"), "--json"}}.Run(t)
	return findings(t, r), r.Code
}

func check(t *testing.T, f launch.Finding, health launch.Health, text, mend string) {
	t.Helper()
	if f.Health != health || !strings.Contains(f.Text, text) || !strings.Contains(f.Mend, mend) {
		t.Errorf("%+v; want %s, %q, %q", f, health, text, mend)
	}
}

// inner makes a user and mount namespace in which the rest of a script is root.
func inner(script string) string {
	return `exec unshare -Urm sh -c '` + script + `' sh "$@"`
}

func TestHere(t *testing.T) {
	found, code := diagnose(t, "")
	if code > 1 {
		t.Errorf("exit code %d where containers do start", code)
	}
	for _, part := range []string{"kernel", "user namespaces", "subordinate ids", "newuidmap, newgidmap", "/proc", "overlay", "network", "state of containers"} {
		check(t, found[part], launch.Usable, "", "")
	}
}

func TestAsText(t *testing.T) {
	trial.NeedUser(t)
	r := trial.Command{Path: trial.Bin(t, "rl-doctor")}.Run(t)
	if !strings.Contains(r.Stdout, "ok        user namespaces        can be made\n") || r.Code > 1 {
		t.Errorf("exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	trial.Command{Path: trial.Bin(t, "rl-doctor"), Args: []string{"--jsn"}}.Run(t).Fails(t, 125, "--jsn")
}

func TestNoUserNamespaces(t *testing.T) {
	found, code := diagnose(t, inner(`echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"`))
	check(t, found["user namespaces"], launch.Unusable, "user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces")
	if code != 2 {
		t.Errorf("exit code %d", code)
	}
}

func TestNoNewPrivs(t *testing.T) {
	found, code := diagnose(t, `exec setpriv --no-new-privs "$@"`)
	check(t, found["newuidmap, newgidmap"], launch.Degraded, "no_new_privs", "without no_new_privs")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
}

func TestMaskedProc(t *testing.T) {
	found, _ := diagnose(t, inner(`mount --bind /dev/null /proc/keys; exec "$@"`))
	check(t, found["/proc"], launch.Degraded, "/proc/keys", "unmask=ALL")
}

func TestNoDriver(t *testing.T) {
	found, _ := diagnose(t, `PATH=/nonexistent exec "$@"`)
	check(t, found["network"], launch.Degraded, "neither pasta nor slirp4netns", "apt-get install passt slirp4netns")
}

func TestClosedTun(t *testing.T) {
	found, _ := diagnose(t, inner(`mount -t tmpfs tmpfs /dev/net; exec "$@"`))
	check(t, found["network"], launch.Degraded, "/dev/net/tun is missing", "modprobe tun")
}

// What limits lack is said with the lines that delegate it, or they can be had.
func TestLimits(t *testing.T) {
	found, _ := diagnose(t, "")
	if _, all := found["limits"]; all {
		return
	}
	for _, option := range []string{"--memory", "--cpus", "--pids-limit"} {
		if f, is := found[option]; is && !strings.Contains(f.Text, "controller") {
			t.Errorf("%+v", f)
		}
	}
}
