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
	r = inner("/rl/rl-run --explain --net=none --userns=single /inner true")
	r.OK(t)
	holds(t, "--explain", r.Stderr, note)
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

// refusing is a program in Python that runs a command and answers each of its calls of mount(2) of one filesystem as a kernel does
// that has none (SECCOMP_RET_USER_NOTIF): refusing FILESYSTEM COMMAND...
const refusing = `import errno, os, select, sys
from seccomp import ALLOW, NOTIFY, NotificationResponse, SyscallFilter

kind = sys.argv[1].encode() + b"\0"
rules = SyscallFilter(ALLOW)
rules.add_rule(NOTIFY, "mount")
rules.load()
listener = rules.get_notify_fd()
if (child := os.fork()) == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
while True:
    if not select.select([listener], [], [], 0.05)[0]:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            sys.exit(os.waitstatus_to_exitcode(status))
        continue
    call = rules.receive_notify()
    said = b""
    if call.syscall_args[2]:
        with open("/proc/%d/mem" % call.pid, "rb", buffering=0) as memory:
            memory.seek(call.syscall_args[2])
            said = memory.read(len(kind))
    if said == kind:
        rules.respond_notify(NotificationResponse(call, 0, -errno.ENODEV, 0))
    else:
        rules.respond_notify(NotificationResponse(call, 0, 0, 1)) # SECCOMP_USER_NOTIF_FLAG_CONTINUE
`

// without is a script for a kernel that lacks a filesystem, in its list and in what it mounts. That its list lies over a part of /proc
// does not mask that: another one is whole.
func without(filesystem string) string {
	return `exec unshare -Urmpf --mount-proc sh -c 'kind=$1; shift; mount -t tmpfs none /mnt; grep -v "$kind$" /proc/filesystems >/mnt/list
		mkdir /mnt/proc; mount -t proc none /mnt/proc; mount --bind /mnt/list /proc/filesystems
		exec /usr/bin/python3 -c "$REFUSING" "$kind" "$@"' sh ` + filesystem + ` "$@"`
}

// Each fallback that a plain user can bring about: announced once, shown by --explain and rl-inspect, and with --strict an
// error that names it.
func TestLadder(t *testing.T) {
	tree := begin(t)
	single := []string{"--net=none", "--userns=single"} // the other fallback of that place is asked for
	for _, c := range []struct {
		name    string
		script  string // prepares the machine for "$@"
		fallen  string
		options []string
	}{
		{"no_new_privs", `exec setpriv --no-new-privs "$@"`, "only one id is mapped: newuidmap gains no privilege: no_new_privs is set", nil},
		{"nosuid", `exec unshare -Urm sh -c 'mount --bind /usr/bin /usr/bin; mount -o remount,bind,nosuid /usr/bin; exec unshare -U --map-user=1 --map-group=1 "$@"' sh "$@"`, "only one id is mapped: ", nil},
		{"no newuidmap", `exec unshare -Urm sh -c 'mount --bind /dev/null /usr/bin/newuidmap; exec unshare -U --map-user=1 --map-group=1 "$@"' sh "$@"`, "only one id is mapped: ", nil},
		{"uid 0 in a namespace", `exec unshare -Urm "$@"`, "only one id is mapped: this user namespace has no uid but 0", nil},
		{"uid 0 with many ids", `exec "$0" --quiet "$@"`, "no subordinate ids: the host's stand for themselves (uids 1-", nil},
		{"groups", `exec "$0" --quiet setpriv --reuid 1000 --regid 1000 --groups 1000,4,27 --inh-caps=-all -- "$@"`, "the caller's supplementary groups (4, 27) stay with the container: ", single},
		{"masked /proc", `exec unshare -Urmpf --mount-proc sh -c 'mount --bind /dev/null /proc/keys; exec "$@"' sh "$@"`, "a part of the outer /proc is masked: ", single},
		{"masked /sys", `exec unshare -Urmn sh -c 'mount -t sysfs none /sys; mount -t tmpfs none /sys/kernel; exec "$@"' sh "$@"`, "a part of the outer /sys is masked, or ", single},
		{"no tun", `exec unshare -Urm sh -c 'mount -t tmpfs none /dev/net; exec "$@"' sh "$@"`, "no network: /dev/net/tun is missing", []string{"--userns=single"}},
		{"no driver", `exec unshare -Urm sh -c 'for p in pasta slirp4netns; do mount --bind /dev/null $(command -v $p); done; exec "$@"' sh "$@"`, "no network: neither pasta nor slirp4netns is installed", []string{"--userns=single"}},
		{"no cgroup2", without("cgroup2"), "no cgroup2 can be mounted here: /sys/fs/cgroup of the container is empty", single},
		{"no mqueue", without("mqueue"), "no mqueue can be mounted here: the container has no /dev/mqueue", single},
		{"no user xattrs", `exec setarch --uname-2.6 "$@"`, "an overlay in memory does not work here: writes to the root go to ", nil},
		{
			// the kernel stacks two filesystems and no third
			"no overlay", `exec unshare -Urm sh -c 'low=$TREE; mount -t tmpfs none /mnt
				for n in 1 2; do
					mkdir /mnt/$n /mnt/$n.up /mnt/$n.work; mount -t overlay -o "lowerdir=$low,upperdir=/mnt/$n.up,workdir=/mnt/$n.work,userxattr" none /mnt/$n; low=/mnt/$n
				done
				mount --bind /mnt/2 "$TREE"; exec "$@"' sh "$@"`,
			tree + " cannot be a layer of an overlay here: it is copied into memory", single,
		},
		{"no runtime directory", `exec "$0" --quiet unshare -m sh -c 'mount -t tmpfs none /run; mount -t tmpfs none /tmp; mkdir /tmp/rl-run-0; chown 5 /tmp/rl-run-0; unset XDG_RUNTIME_DIR; exec "$@"' sh "$@"`, "the container is not listed: ", single},
	} {
		t.Run(strings.ReplaceAll(c.name, "/", ""), func(t *testing.T) {
			options := c.options
			if options == nil {
				options = []string{"--net=none"}
			}
			in := func(words ...string) trial.Result {
				return trial.Command{
					Path: "/bin/sh", Env: []string{"TREE=" + tree, "REFUSING=" + refusing},
					Args: slices.Concat([]string{"-c", c.script, trial.Bin(t, "rl-unshare")}, words),
				}.Run(t)
			}
			start := func(more ...string) trial.Result {
				return in(slices.Concat([]string{trial.Bin(t, "rl-run")}, options, more, []string{tree, "sh", "-c", "sleep 0.3; echo started"})...)
			}
			once := func(r trial.Result) {
				t.Helper()
				if n := strings.Count(r.Stderr, "rl-run: note: "+c.fallen); n != 1 {
					t.Errorf("%d times %q in %q", n, c.fallen, r.Stderr)
				}
			}
			r := start()
			want(t, "output", r.OK(t), "started")
			once(r)
			r = start("--explain")
			r.OK(t)
			once(r)
			lacks(t, "a plan", r.Stdout, "started\n")
			r = start("--strict")
			r.Fails(t, 125, "rl-run: error: --strict: ", c.fallen)
			lacks(t, "output", r.Stdout, "started")
			if c.name == "no runtime directory" { // where nothing is to be inspected
				return
			}
			r = in(slices.Concat([]string{"sh", "-c", `rl=$1; shift; "$rl" --quiet --name ladder "$@" &
				until out=$("${rl%run}inspect" ladder 2>/dev/null) && case $out in *'"running"'*) ;; *) false ;; esac; do sleep 0.1; done
				echo "$out"; "${rl%run}rm" -f ladder; wait`, "sh", trial.Bin(t, "rl-run")}, options, []string{tree, "sleep", "1000"})...)
			_, fallbacks, _ := strings.Cut(r.Stdout, `"Fallbacks": [`)
			holds(t, "Fallbacks", fallbacks, strings.ReplaceAll(c.fallen, `"`, `\"`))
		})
	}
	// nothing is less than was asked for
	want(t, "output", trial.Run(t, "--strict", "--net=none", tree, "echo", "started").OK(t), "started")
}

// A filter that refuses sethostname(2), as podman's does in a user namespace: the name is the outer one.
func TestRefusedName(t *testing.T) {
	tree := begin(t)
	profile, bin := filepath.Join(t.TempDir(), "profile.json"), filepath.Dir(trial.Bin(t, "rl-run"))
	write(t, profile, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM"}]}`)
	inner := func(text string) trial.Result {
		t.Helper()
		// the outer filter is in force when rl-run's own name has been set
		return trial.Run(t, "--quiet", "--net=none", "--hostname=outer", "--security-opt", "seccomp="+profile, "--security-opt", "unmask=ALL",
			"-v", bin+":/rl:ro", "-v", tree+":/inner:ro", tree, "sh", "-c", "/rl/rl-run "+text)
	}
	r := inner("--net=none --userns=single /inner sh -c 'hostname; cat /etc/hostname; echo $HOSTNAME; grep -c outer /etc/hosts'")
	want(t, "names", r.OK(t), "outer\nouter\nouter\n1")
	if n := strings.Count(r.Stderr, "rl-run: note: no host name can be set here: the container keeps the outer one, outer"); n != 1 {
		t.Errorf("%d notes: %q", n, r.Stderr)
	}
	inner("--net=none --strict --userns=single /inner true").Fails(t, 125, "--strict: no host name can be set here")
	r = inner("--explain --net=none --userns=single /inner true")
	r.OK(t)
	holds(t, "--explain", r.Stderr, "rl-run: note: no host name can be set here: the container keeps the outer one, outer")
	inner("--net=none --hostname=mine --userns=single /inner true").Fails(t, 125, "--hostname mine: what runs this refuses sethostname(2)", "rl-run: hint: leave it out")
	r = inner("-d --quiet --net=none --userns=single --name box /inner sleep 1000; /rl/rl-inspect box | grep -A1 Fallbacks; /rl/rl-rm -f box")
	holds(t, "Fallbacks", r.OK(t), `"no host name can be set here: `)
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
