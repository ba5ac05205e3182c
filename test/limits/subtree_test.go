package limits

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// subtree runs with a group of the user's own around it, from which it has gone a level
// down, and without a way to systemd.
const subtree = `
	bin=$1 tree=$2
	group=/sys/fs/cgroup$(sed s/0::// /proc/self/cgroup)
	mkdir $group/main
	for pid in $(cat $group/cgroup.procs); do echo $pid >$group/main/cgroup.procs; done 2>/dev/null
	export DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere
	left() { find $group -mindepth 1 -type d ! -name main | sed "s,$group/,left: ,; s,[.][0-9]*$,," ; }
	# until_gone runs a command until nothing is left, ten times at most: what was killed ends soon, not at once.
	until_gone() { for i in 1 2 3 4 5 6 7 8 9 10; do "$@" >/dev/null; [ -z "$(left)" ] && return; sleep 0.5; done; }
	rl_run() { "$bin/rl-run" --net=none "$@"; }

	echo foreground
	rl_run -m 50m $tree dd if=/dev/zero of=/dev/null bs=200M count=1 2>&1 | grep -o 'out of memory (--memory 50m)'
	left

	echo detached
	rl_run -d --read-only --name sub -m 50m $tree sh -c 'sleep 1; exec dd if=/dev/zero of=/dev/null bs=200M count=1'
	left
	"$bin/rl-wait" sub
	until_gone true
	left
	"$bin/rl-inspect" sub | grep -o '"OOMKilled": [a-z]*'
	"$bin/rl-rm" sub

	echo killed
	"$bin/rl-run" --net=none --name victim --pids-limit 20 $tree sh -c 'echo ready; exec sleep 1000' >$3 &
	until grep -q ready $3 && "$bin/rl-inspect" victim >/dev/null 2>&1; do sleep 0.1; done
	kill -9 $!
	wait $!
	until_gone true
	left
	"$bin/rl-ps" -q

	echo killed early
	for wait in 0.1 0.3 0.6; do
		"$bin/rl-run" --net=none --pids-limit 20 $tree true & sleep $wait; kill -9 $! 2>/dev/null; wait $! 2>/dev/null
		until_gone true
		left
	done
	exit 0`

// Without systemd a group that the user may write to does, and nothing is left in it.
func TestSubtree(t *testing.T) {
	begin(t)
	if !enforced(t, "pids", "--pids-limit", "20") {
		return
	}
	r := trial.Command{
		Path: trial.NeedTool(t, "systemd-run"),
		Args: []string{
			"--user", "--scope", "--quiet", "--property=Delegate=yes", "sh", "-c", subtree, "sh",
			filepath.Dir(trial.Bin(t, "rl-run")), trial.Tree(t, "busybox"), filepath.Join(t.TempDir(), "out"),
		},
	}.Run(t)
	want := strings.TrimPrefix(`
foreground
out of memory (--memory 50m)
detached
sub
left: rl-run-sub
137
"OOMKilled": true
sub
killed
killed early`, "\n")
	if got := r.OK(t); got != want {
		t.Errorf("got\n%s\nwant\n%s\nstderr: %s", got, want, r.Stderr)
	}
}

// A machine without delegation has nobody to ask: the refusal is all there is to try.
func TestBestEffort(t *testing.T) {
	begin(t)
	r := trial.Command{
		Args: []string{"--net=none", "--limits=best-effort", "-m", "50m", "--name", "best", trial.Tree(t, "busybox"), "sh", "-c", "echo ready; exec sleep 1000"},
		Env:  []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere"},
	}.Start(t)
	r.Stdout("ready")
	until(t, "it is listed", trial.Timeout, func() bool { return rl(t, "rl-inspect", "best").Code == 0 })
	limits, fallbacks := inspect(t, "best", "Limits"), inspect(t, "best", "Fallbacks")
	if limits != "map[Applied:map[] Asked:map[memory:50m] Cgroup:]" {
		t.Errorf("Limits is %s", limits)
	}
	if !strings.Contains(fallbacks, "--memory 50m is not enforced: the memory controller ") {
		t.Errorf("Fallbacks is %s", fallbacks)
	}
	r.Signal(15)
	r.Wait()
}
