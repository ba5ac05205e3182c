package doctor

import (
	"os"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/launch"
)

const (
	namespaces = "user namespaces"
	ids        = "subordinate ids"
	maps       = "newuidmap, newgidmap"
	network    = "network"
	state      = "state of containers"
)

// noName leaves the caller without a login name.
const noName = `grep -v :1000: /etc/passwd | file /etc/passwd 644`

// The faults of machines, each made on a machine that has none, which the first line shows. Where a line of the finding mends
// it for root of that machine, it is called, and the machine looked at again: what is said must be the line.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		script string // makes the fault
		part   string
		health launch.Health
		text   string
		mend   string
		mends  bool // the line is tried
	}{
		{"none", ``, ids, launch.Usable, "65536 uids and 65536 gids", "", false},
		{"none", ``, maps, launch.Usable, "they work", "", false},
		{"none", ``, state, launch.Usable, "can be written down", "", false},

		{
			"no user namespaces", `echo 0 >/proc/sys/user/max_user_namespaces`, namespaces, launch.Unusable,
			"user.max_user_namespaces is 0", "sudo sysctl -w user.max_user_namespaces=15000", true,
		},
		{
			"none left", `echo 12 >/proc/sys/user/max_user_namespaces
				for i in $(seq 12); do as_u unshare -U sh -c ': >/tmp/there'$i'; exec sleep 1000' & until [ -e /tmp/there$i ]; do sleep 0.1; done; done`,
			namespaces, launch.Unusable, "user.max_user_namespaces is 12", "sudo sysctl -w user.max_user_namespaces=15000", true,
		},

		{
			"no ids", `for f in /etc/subuid /etc/subgid; do echo other:70000:100 | file $f 644; done`, ids, launch.Degraded,
			"none for u", "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 u", false,
		},
		{"no groups", `echo other:70000:100 | file /etc/subgid 644`, ids, launch.Degraded, "none for u", "sudo usermod --add-subuids ", false},
		{"few ids", `echo u:2000:100 | file /etc/subuid 644`, ids, launch.Degraded, "100 uids and 65536 gids: trees of distributions want 65535", "sudo usermod", false},
		{"overlapping ids", `printf 'u:2000:40000\nu:30000:40000\n' | file /etc/subuid 644`, ids, launch.Degraded, "ranges overlap", "sudoedit /etc/subuid", false},
		{"shared ids", `printf 'u:2000:65536\nbob:60000:10\n' | file /etc/subuid 644`, ids, launch.Degraded, "bob has some of them, too", "sudoedit /etc/subuid", false},
		{"wrong line", `printf 'u:2000:65536\nu:0x10:5\n' | file /etc/subuid 644`, ids, launch.Degraded, "/etc/subuid: line 2: ", "sudoedit /etc/subuid", false},
		{
			"name service", `echo subid: sss | file /etc/nsswitch.conf 644; file /usr/bin/getsubids 644 </dev/null`, ids, launch.Degraded,
			"getsubids: not found", "sudo apt-get install uidmap", false,
		},
		{
			"name service without ids", `echo subid: sss | file /etc/nsswitch.conf 644
				printf '#!/bin/sh\necho no ranges for "$1" >&2\nexit 1\n' >$helpers/getsubids; chmod 755 $helpers/getsubids`, ids, launch.Degraded,
			"no ranges for u", "sudo sed -i '/^subid:/d' /etc/nsswitch.conf && sudo usermod --add-subuids ", false,
		},
		{
			"user of a name service", `grep -v :1000: /etc/passwd | file /etc/passwd 644; printf '#!/bin/sh\necho v:x:1000:1000::/:/bin/sh\n' >$helpers/getent; chmod 755 $helpers/getent
				for f in /etc/subuid /etc/subgid; do : | file $f 644; done`, ids, launch.Degraded, "none for v", " v", false,
		},

		{"no name", noName, ids, launch.Degraded, "none for 1000", "sudo sh -c 'echo u1000:x:1000:1000::/:/bin/sh >>/etc/passwd' && sudo usermod --add-subuids ", false},
		{
			"no name, but ids", noName + `; for f in /etc/subuid /etc/subgid; do echo 1000:2000:65536 | file $f 644; done`, maps, launch.Degraded,
			"they refuse to work for uid 1000", "sudo sh -c 'echo u1000:x:1000:1000::/:/bin/sh >>/etc/passwd'", true,
		},
		{"no newuidmap", `rm $helpers/newuidmap`, maps, launch.Degraded, "newuidmap: not found", "sudo apt-get install uidmap", false},
		{"no setuid bit", `chmod u-s $helpers/newuidmap`, maps, launch.Degraded, "neither setuid root nor", "sudo chmod u+s /mnt/helpers/newuidmap", true},
		{"another's", `chown 5 $helpers/newgidmap; chmod u+s $helpers/newgidmap`, maps, launch.Degraded, "its owner is not root", "start rl-run outside of it", false},
		{"nosuid", `mount -o remount,nosuid $helpers`, maps, launch.Degraded, "mounted nosuid", "sudo mount -o remount,suid ", true},
		{"map refused", `printf '#!/bin/sh\necho newuidmap: nothing for you >&2\nexit 1\n' >$helpers/newuidmap; chmod u+s $helpers/newuidmap`, maps, launch.Degraded, "nothing for you", "", false},
		{"no_new_privs", `wrap='setpriv --no-new-privs'`, maps, launch.Degraded, "they gain no privilege: no_new_privs is set", "without no_new_privs", false},
		{"bounding set", `more='--bounding-set -setgid'`, maps, launch.Degraded, "the bounding set lacks cap_setgid", "--cap-add SETUID,SETGID", false},

		{"masked /proc", `mount --bind /dev/null /proc/keys`, "/proc", launch.Degraded, "/proc/keys", "unmask=ALL", false},
		{"no more than processes in /proc", `mount -t proc -o subset=pid proc /proc`, "/proc", launch.Unusable, "/proc/driver is missing", "as root: mount -t proc proc /proc", false},
		{"old kernel", `wrap='setarch --uname-2.6'`, "kernel", launch.Unusable, "Linux 2.6", "5.12", false},
		{"old overlay", `wrap='setarch --uname-2.6'`, "overlay", launch.Usable, "/var/tmp", "", false},
		{"full disk", `mount -t tmpfs -o size=5m none /var/tmp; wrap='setarch --uname-2.6'`, "overlay", launch.Degraded, "which has 5 MB", "TMPDIR=DIR", false},

		{"no tun", `mount -t tmpfs none /dev/net`, network, launch.Degraded, "/dev/net/tun is missing", "modprobe tun", false},
		{"closed tun", `file /dev/net/tun 600 </dev/null`, network, launch.Degraded, "permission denied", "sudo chmod 0666 /dev/net/tun", true},
		{"no driver", `path=$helpers`, network, launch.Degraded, "neither pasta nor slirp4netns", "apt-get install passt slirp4netns", false},
		// Old drivers are those of this machine without the name of an option, which they refuse then.
		{"old pasta", `path=$helpers; old pasta map-host-loopback`, network, launch.Degraded, "pasta", "slirp4netns", false},
		{"old slirp4netns", `path=$helpers; old slirp4netns enable-seccomp`, network, launch.Degraded, "slirp4netns is of before 0.4.0 (July 2019), and pasta is not installed", "sudo apt-get install passt", false},
		{"old pasta and slirp4netns", `path=$helpers; old pasta map-host-loopback; old slirp4netns enable-seccomp`, network, launch.Degraded, "and slirp4netns is of before 0.4.0", "install a newer ", false},

		{"state of another", `mkdir /tmp/rl-run-1000; chown 5 /tmp/rl-run-1000`, state, launch.Degraded, "/tmp/rl-run-1000 for state: it belongs to ", "XDG_RUNTIME_DIR", false},
		{"state that others write", `mkdir /tmp/rl-run-1000; chown 1000 /tmp/rl-run-1000; chmod 777 /tmp/rl-run-1000`, state, launch.Degraded, "others may write there", "rm -rf /tmp/rl-run-1000", true},
		{"no place for state", `mount -o remount,ro /tmp`, state, launch.Degraded, "/tmp", "XDG_RUNTIME_DIR", false},
	} {
		t.Run(c.name+" "+strings.ReplaceAll(c.part, "/", ""), func(t *testing.T) {
			const look = `as_u ${wrap-} /mnt/bin/rl-doctor --json || code=$?; echo "${code-0}" >&2`
			r := on(t, c.script+"\n"+look)
			f, code := findings(t, r)[c.part], strings.TrimSpace(r.Stderr)
			check(t, f, c.health, c.text, c.mend)
			if c.mend == "" && c.health == launch.Usable && f.Mend != "" {
				t.Errorf("nothing is to mend: %+v", f)
			}
			switch {
			case c.health == launch.Degraded && code == "0", c.health == launch.Unusable && code != "2":
				t.Errorf("exit code %s", code)
			}
			if !c.mends {
				return
			}
			line := strings.ReplaceAll(f.Mend, "sudo ", "")
			again := findings(t, on(t, c.script+"\n{ "+line+"; } >/dev/null; "+look))[c.part]
			check(t, again, launch.Usable, "", "")
		})
	}
}

// The line for a place of the caller's own is for the shell in which rl-run is called: there it mends what has no place.
func TestOtherPlaceForState(t *testing.T) {
	const doctor = "/mnt/bin/rl-doctor --json || :"
	for _, script := range []string{
		`mkdir /tmp/rl-run-1000; chown 5 /tmp/rl-run-1000`,
		`mount -o remount,ro /tmp`,
	} {
		script += `; mkdir /mnt/home; chown 1000 /mnt/home; `
		f := findings(t, on(t, script+"as_u "+doctor))[state]
		again := findings(t, on(t, script+"as_u env HOME=/mnt/home sh -c '"+f.Mend+"; "+doctor+"'"))[state]
		if f.Health != launch.Degraded || again.Health != launch.Usable {
			t.Errorf("%s: %+v, and behind the line %+v", script, f, again)
		}
	}
}

// A newuidmap whose setuid bit or capability is of no effect: containers have one id, and it is said why.
func TestStartsWithoutPrivilege(t *testing.T) {
	for script, note := range map[string]string{
		`mount -o remount,nosuid $helpers`: "/mnt/helpers/newuidmap: on a file system mounted nosuid",
		`wrap='setpriv --no-new-privs'`:    "newuidmap gains no privilege: no_new_privs is set",
		`more='--bounding-set -setgid'`:    "newuidmap gains no privilege: the bounding set lacks cap_setgid",
		`chmod u-s $helpers/newgidmap`:     "/mnt/helpers/newgidmap: neither setuid root nor ",
	} {
		r := on(t, script+`; as_u ${wrap-} /mnt/bin/rl-run --net=none /mnt/tree sh -c 'wc -l </proc/self/uid_map'`)
		if out := r.OK(t); out != "1" || strings.Count(r.Stderr, "rl-run: note: only one id is mapped: "+note) != 1 {
			t.Errorf("%s: %q, %q", script, out, r.Stderr)
		}
		on(t, script+`; as_u ${wrap-} /mnt/bin/rl-run --strict --net=none /mnt/tree true`).Fails(t, 125, "rl-run: error: --strict: only one id is mapped: "+note)
	}
	if out := on(t, `as_u /mnt/bin/rl-run --strict --net=none /mnt/tree sh -c 'wc -l </proc/self/uid_map'`).OK(t); out != "2" {
		t.Errorf("with all of it: %q", out)
	}
}

// A driver that is too old for its options is not tried: it is said why there is no network, and with --strict that is an error.
func TestStartsWithoutOldDriver(t *testing.T) {
	const script, why = `path=$helpers; old slirp4netns enable-seccomp; `, "slirp4netns is of before 0.4.0 (July 2019)"
	r := on(t, script+`as_u /mnt/bin/rl-run /mnt/tree ls /sys/class/net`)
	if out := r.OK(t); out != "lo" || strings.Count(r.Stderr, "rl-run: note: no network: "+why) != 1 || strings.Count(r.Stderr, "rl-run: note: ") != 1 {
		t.Errorf("%q, %q", out, r.Stderr)
	}
	on(t, script+`as_u /mnt/bin/rl-run --strict /mnt/tree true`).Fails(t, 125, "rl-run: error: --strict: no network: "+why)
	on(t, script+`as_u /mnt/bin/rl-run --net=slirp4netns /mnt/tree true`).Fails(t, 125, "rl-run: error: --net=slirp4netns: start network slirp4netns: "+why, "rl-run: hint: install a newer slirp4netns")
	// and tried, it does not do
	on(t, script+`$helpers/slirp4netns --enable-seccomp $$ tap0`).Fails(t, 1, "--enable-seccomp")
}

// What rl-run says of ids that it lacks is what rl-doctor says: both read one table.
func TestHintsAreThoseOfDoctor(t *testing.T) {
	for name, script := range map[string]string{
		"no ids":        `for f in /etc/subuid /etc/subgid; do echo other:70000:100 | file $f 644; done`,
		"no newuidmap":  `rm $helpers/newuidmap`,
		"no setuid bit": `chmod u-s $helpers/newuidmap`,
		"nosuid":        `mount -o remount,nosuid $helpers`,
		"no_new_privs":  `wrap='setpriv --no-new-privs'`,
		"bounding set":  `more='--bounding-set -setgid'`,
	} {
		t.Run(name, func(t *testing.T) {
			sameHint(t, script, "-u 5", maps, ids)
		})
	}
	sameHint(t, `echo 0 >/proc/sys/user/max_user_namespaces`, "", namespaces)
	sameHint(t, noName, "-u 5", ids)
	sameHint(t, `mount -t proc -o subset=pid proc /proc`, "", "/proc")
	sameHint(t, `mount -t tmpfs none /dev/net`, "--net=slirp4netns", network)
	sameHint(t, `mkdir /tmp/rl-run-1000; chown 1000 /tmp/rl-run-1000; chmod 777 /tmp/rl-run-1000`, "-d", state)
}

// sameHint compares the hint of a start that fails with what mends the one part of parts that is not well.
func sameHint(t *testing.T, script, options string, parts ...string) {
	t.Helper()
	r := on(t, script+"\nas_u ${wrap-} /mnt/bin/rl-doctor --json || :; ! as_u ${wrap-} /mnt/bin/rl-run --quiet --net=none "+options+" /mnt/tree true")
	found, mend := findings(t, r), ""
	for _, part := range parts {
		if f := found[part]; f.Health != launch.Usable && mend == "" {
			mend = f.Mend
		}
	}
	_, hint, ok := strings.Cut(r.Stderr, "rl-run: hint: ")
	plain := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "sudo ", "")) }
	if !ok || mend == "" || !strings.HasSuffix(plain(hint), plain(mend)) {
		t.Errorf("rl-doctor says %q, rl-run %q", mend, r.Stderr)
	}
}

// bwrap gives a machine without /dev, and with what control groups are to be there.
const sandbox = `bwrap --ro-bind /usr /usr --ro-bind /etc /etc --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/sbin /sbin
	--dev /dev --tmpfs /tmp --ro-bind "$(dirname "$1")" /opt`

func TestSandboxes(t *testing.T) {
	trial.NeedTool(t, "bwrap")
	type machine struct {
		name, options string
		part          string
		health        launch.Health
		text, mend    string
	}
	list := []machine{
		{"no /proc", ``, "/proc", launch.Unusable, "none is mounted", "mount -t proc proc /proc"},
		{"host's newuidmap", `--proc /proc`, maps, launch.Degraded, "its owner is not root of this user namespace", "start rl-run outside of it"},
		{"no control groups", `--proc /proc`, "--pids-limit", launch.Degraded, "no control groups are mounted", "mount -t cgroup2"},
	}
	if _, err := os.Stat("/sys/fs/cgroup/unified"); err == nil { // both versions are mounted here: either can be alone
		list = append(list, []machine{
			{
				"control groups of version 1", `--proc /proc --ro-bind /sys/fs/cgroup/pids /sys/fs/cgroup/pids`, "--pids-limit", launch.Degraded,
				"the pids controller is bound to cgroup v1 (v1 layout)", "systemd.unified_cgroup_hierarchy=1",
			},
			{
				"version 2 without controllers", `--proc /proc --ro-bind /sys/fs/cgroup/unified /sys/fs/cgroup`, "--memory", launch.Degraded,
				"this kernel has no memory controller", "cgroup_enable=memory",
			},
		}...)
		found, _ := diagnose(t, "")
		check(t, found["--pids-limit"], launch.Degraded, "(hybrid layout)", "systemd.unified_cgroup_hierarchy=1")
	}
	for _, c := range list {
		t.Run(strings.ReplaceAll(c.name, "/", ""), func(t *testing.T) {
			found, _ := diagnose(t, "exec "+strings.ReplaceAll(sandbox, "\n", " ")+" "+c.options+" /opt/rl-doctor --json")
			check(t, found[c.part], c.health, c.text, c.mend)
		})
	}
}

// In a container of rl-run its own filter refuses a user namespace; what mends it does.
func TestInContainer(t *testing.T) {
	start := func(options string) (map[string]launch.Finding, int) {
		return diagnose(t, `exec "${1%/*}/rl-run" --quiet --net=none `+options+` -v "${1%/*}:/rl:ro" "`+trial.Tree(t, "busybox")+`" /rl/rl-doctor --json`)
	}
	found, code := start("")
	check(t, found[namespaces], launch.Unusable, "a seccomp filter of what runs this is in force", "with --nest (rl-run)")
	if code != 2 {
		t.Errorf("exit code %d", code)
	}
	found, _ = start("--nest")
	check(t, found[namespaces], launch.Usable, "can be made", "")
}

func TestInChroot(t *testing.T) {
	const tree = `mkdir /mnt/tree/opt/bin; mount --bind "$bin" /mnt/tree/opt/bin; mount --rbind /proc /mnt/tree/proc; `
	f := findings(t, on(t, tree+"chroot /mnt/tree /opt/bin/rl-doctor --json || :"))[namespaces]
	check(t, f, launch.Usable, "this is a chroot, which the caller may leave", "")
	f = findings(t, on(t, tree+"chroot --userspec 1000:1000 /mnt/tree /opt/bin/rl-doctor --json || :"))[namespaces]
	check(t, f, launch.Unusable, "in a chroot the kernel makes no user namespace", "bwrap --bind DIR / ")
}
