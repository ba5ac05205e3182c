package run

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// noClone3 is a filter that refuses clone3(2) as if the kernel had none, and nothing else.
const noClone3 = `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errno": "ENOSYS"}]}`

// Where clone3(2) is refused all kinds of starts are made by clone(2), with a note; and with --strict none is.
func TestOldClone(t *testing.T) {
	begin(t)
	profile := filepath.Join(t.TempDir(), "profile.json")
	write(t, profile, noClone3)
	const note = "rl-run: note: clone3(2) is refused here: processes are made by clone(2)"
	tree, bin := trial.Tree(t, "busybox"), filepath.Dir(trial.Bin(t, "rl-run"))
	inner := func(script string) trial.Result {
		t.Helper()
		return trial.Run(t, "--quiet", "--net=none", "--security-opt", "seccomp="+profile, "--security-opt", "unmask=ALL",
			"-v", bin+":/rl:ro", "-v", tree+":/inner:ro", tree, "sh", "-c", script)
	}
	r := inner(`/rl/rl-run --net=none /inner sh -c 'cat /proc/1/comm; grep -E "Sig(Cgt|Blk)" /proc/self/status; exit 7'`)
	r.Fails(t, 7, note)
	for _, line := range []string{"SigBlk:\t0000000000000000", "SigCgt:\t0000000000000000"} {
		holds(t, "signals of the command", r.Stdout, line)
	}
	if n := strings.Count(r.Stderr, note); n != 1 {
		t.Errorf("%d notes: %q", n, r.Stderr)
	}
	r = inner(`mkdir -m 700 /run1; export XDG_RUNTIME_DIR=/run1
		/rl/rl-run --quiet -d --net=none --name box /inner sleep 1000 && /rl/rl-exec box sh -c 'echo in $HOSTNAME' && /rl/rl-inspect box && /rl/rl-rm -f box
		/rl/rl-run --quiet --copy --net=none /inner echo copied; /rl/rl-unshare --quiet sh -c 'echo mapped'`)
	holds(t, "output", r.OK(t), "in box\n", "copied\n", "mapped", `"clone3(2) is refused here: processes are made by clone(2)"`)
	inner("/rl/rl-run --strict --net=none --userns=single /inner true").Fails(t, 125, "rl-run: error: --strict: ", "clone3(2) is refused here", "rl-run: hint: rl-doctor")
}

// A filter that refuses clone(2) with CLONE_NEWUSER is named in the hint; what mends it is said.
func TestFilterAgainstUserNamespaces(t *testing.T) {
	begin(t)
	profile := filepath.Join(t.TempDir(), "profile.json")
	write(t, profile, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
		{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errno": "ENOSYS"},
		{"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM"},
		{"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM", "args": [{"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 268435456, "valueTwo": 268435456}]}]}`)
	tree, bin := trial.Tree(t, "busybox"), filepath.Dir(trial.Bin(t, "rl-run"))
	trial.Run(t, "--quiet", "--net=none", "--security-opt", "seccomp="+profile, "--security-opt", "unmask=ALL", "-v", bin+":/rl:ro",
		"-v", tree+":/inner:ro", tree, "/rl/rl-run", "--net=none", "/inner", "true").
		Fails(t, 125, "rl-run: error: start init", "operation not permitted", "rl-run: hint: a seccomp filter of what runs this is in force: start the outer container with --nest")
}

// Each fallback that a plain user can bring about: announced once, and with --strict an error that names it.
func TestLadder(t *testing.T) {
	tree := begin(t)
	for _, c := range []struct {
		name   string
		script string // prepares the machine for "$@"
		fallen string
		single bool // the other fallback of that place is asked for
	}{
		{"no_new_privs", `exec setpriv --no-new-privs "$@"`, "only one id is mapped: newuidmap gains no privilege: no_new_privs is set", false},
		{"nosuid", `exec unshare -Urm sh -c 'mount --bind /usr/bin /usr/bin; mount -o remount,bind,nosuid /usr/bin; exec unshare -U --map-user=1 --map-group=1 "$@"' sh "$@"`, "only one id is mapped: ", false},
		{"no newuidmap", `exec unshare -Urm sh -c 'mount --bind /dev/null /usr/bin/newuidmap; exec unshare -U --map-user=1 --map-group=1 "$@"' sh "$@"`, "only one id is mapped: ", false},
		{"uid 0 in a namespace", `exec unshare -Urm "$@"`, "only one id is mapped: this user namespace has no uid but 0", false},
		{"masked /proc", `exec unshare -Urmpf --mount-proc sh -c 'mount --bind /dev/null /proc/keys; exec "$@"' sh "$@"`, "a part of the outer /proc is masked: ", true},
		{"no runtime directory", `exec "$0" --quiet unshare -m sh -c 'mount -t tmpfs none /run; mount -t tmpfs none /tmp; mkdir /tmp/rl-run-0; chown 5 /tmp/rl-run-0; unset XDG_RUNTIME_DIR; exec "$@"' sh "$@"`, "the container is not listed: ", true},
	} {
		t.Run(strings.ReplaceAll(c.name, "/", ""), func(t *testing.T) {
			start := func(options ...string) trial.Result {
				return trial.Command{Path: "/bin/sh", Args: slices.Concat([]string{"-c", c.script, trial.Bin(t, "rl-unshare"), trial.Bin(t, "rl-run"), "--net=none"},
					options, []string{tree, "sh", "-c", "sleep 0.3; echo started"})}.Run(t)
			}
			var options []string
			if c.single {
				options = []string{"--userns=single"}
			}
			r := start(options...)
			want(t, "output", r.OK(t), "started")
			if n := strings.Count(r.Stderr, "rl-run: note: "+c.fallen); n != 1 {
				t.Errorf("%d times %q in %q", n, c.fallen, r.Stderr)
			}
			r = start(append(options, "--strict")...)
			r.Fails(t, 125, "rl-run: error: --strict: ", c.fallen)
			lacks(t, "output", r.Stdout, "started")
		})
	}
	// nothing is less than was asked for
	want(t, "output", trial.Run(t, "--strict", "--net=none", tree, "echo", "started").OK(t), "started")
}

// The outer /proc that a container gets below a masked one is read-only: its root is the uid outside, and could
// otherwise change what the files of processes outside let their owner change.
func TestOuterProcIsReadOnly(t *testing.T) {
	tree := begin(t)
	start := func(options ...string) trial.Result {
		return trial.Command{Path: "/bin/sh", Args: slices.Concat([]string{
			"-c",
			`exec unshare -Urmpf --mount-proc sh -c 'mount --bind /dev/null /proc/keys; sleep 1000 & "$@"; cat /proc/$!/oom_score_adj; kill $!' sh "$@"`,
			"sh", trial.Bin(t, "rl-run"), "--net=none",
		}, options, []string{tree, "sh", "-c", "for f in /proc/[0-9]*/oom_score_adj; do echo 500 >$f; done 2>&1 | head -n 1; true"})}.Run(t)
	}
	r := start()
	holds(t, "the attempt", r.Stdout, "Read-only file system")
	if !strings.HasSuffix(strings.TrimSpace(r.Stdout), "\n0") {
		t.Errorf("a process outside was changed: %q", r.Stdout)
	}
	// with --nest, which needs to write there, the attack works: the test can tell
	if r := start("--nest"); !strings.HasSuffix(strings.TrimSpace(r.Stdout), "500") {
		t.Errorf("the control: %q, %q", r.Stdout, r.Stderr)
	}
}
