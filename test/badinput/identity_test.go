package badinput

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

func TestUnknownUsers(t *testing.T) {
	tree := begin(t)
	try(t, tree, []row{
		{line: "-u nobodyy TREE", error: `-u nobodyy: unknown user "nobodyy" (did you mean "nobody"?)`},
		{line: "-u 0:nogrop TREE", error: `-u 0:nogrop: unknown group "nogrop" (did you mean "nogroup"?)`},
		{line: "-u stranger TREE", error: `-u stranger: unknown user "stranger"`},
		{line: "-u : TREE", error: `-u: malformed user ":" (expected USER[:GROUP], each a name or an id)`},
		{line: "-u 0:0:0 TREE", error: `-u: malformed user "0:0:0" (expected USER[:GROUP], each a name or an id)`},
		{line: "-u -1 TREE", error: "-u: user id -1 out of range (expected 0 to 4294967294)"},
		{line: "-u 99999999999 TREE", error: "-u: user id 99999999999 out of range (expected 0 to 4294967294)"},
		{line: "-u 4000000000 TREE", error: "-u: user 4000000000 has no id in the container's map", hint: "it has the uids 0-"},
		{line: "-u 0:4000000000 TREE", error: "-u: group 4000000000 has no id in the container's map", hint: "the gids 0-"},
		{line: "--group-add stranger TREE", error: `--group-add: unknown group "stranger"`},
		{line: "-u 1000 --userns=single TREE", error: "-u: user 1000 has no id in the container's map", hint: "leave --userns=single out"},
		{line: "--group-add 0 --userns=single TREE", error: "--group-add: with a map of a single id the kernel refuses setgroups", hint: "leave --userns=single out"},
	})
}

func TestMaps(t *testing.T) {
	tree := begin(t)
	const form = ": want INSIDE:HOST:COUNT, as in 0:100000:65536"
	own := os.Getuid()
	first := subordinate(t)
	try(t, tree, []row{
		{line: "--uidmap '' TREE", error: `--uidmap ""` + form},
		{line: "--uidmap 0 TREE", error: `--uidmap "0"` + form},
		{line: "--gidmap 0:0 TREE", error: `--gidmap "0:0"` + form},
		{line: "--uidmap 0:1:2:3 TREE", error: `--uidmap "0:1:2:3"…`},
		{line: "--uidmap 0:1:x TREE", error: `--uidmap "0:1:x": "x" is not a decimal number`},
		{line: "--uidmap -1:0:1 TREE", error: `--uidmap "-1:0:1": "-1" is not a decimal number`},
		{line: "--uidmap 0:0:0 TREE", error: `--uidmap "0:0:0": a count of 0 maps nothing`},
		{line: "--uidmap 99999999999:0:1 TREE", error: `--uidmap "99999999999:0:1": 99999999999 is larger than any id`},
		{line: "--uidmap 4294967295:0:1 TREE", error: `--uidmap "4294967295:0:1": 1 inside ids from 4294967295 pass the last id 4294967294`},
		{line: "--uidmap 0:4294967290:100 TREE", error: `--uidmap "0:4294967290:100": 100 host ids from 4294967290 pass the last id 4294967294`},
		{line: "--uidmap 0:0:1 TREE", error: "--uidmap 0:0:1: host uid 0 is neither your own (…"},
		{line: fmt.Sprintf("--uidmap 0:%d:2 TREE", own), error: fmt.Sprintf("--uidmap 0:%d:2: host uid %d is neither your own (%d) nor one of your subordinate uids (…", own, own+1, own)},
		{line: fmt.Sprintf("--uidmap 0:%d:1 --uidmap 0:%d:10 TREE", own, first), error: fmt.Sprintf("--uidmap 0:%d:1 and 0:%d:10 overlap: both hold inside id 0", own, first)},
		{line: fmt.Sprintf("--uidmap 0:%d:10 --uidmap 10:%d:10 TREE", first, first+5), error: fmt.Sprintf("--uidmap 0:%d:10 and 10:%d:10 overlap: both hold host id %d", first, first+5, first+5)},
	})
}

// subordinate is the first subordinate uid of the caller.
func subordinate(t *testing.T) int {
	t.Helper()
	text := trial.Command{Path: trial.Bin(t, "rl-unshare"), Args: []string{"cat", "/proc/self/uid_map"}}.Run(t).OK(t)
	for line := range strings.Lines(text) {
		var inside, outside, count int
		if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && outside != os.Getuid() {
			return outside
		}
	}
	t.Fatalf("no subordinate id in the map:\n%s", text)
	return 0
}

// poor runs rl-run as a plain user of a namespace in which the files of the machine may
// be covered: first the shell script is run as its root, with the tree in /mnt/tree.
// The user there is id 60123, and the ids up to 65535 exist.
func poor(t *testing.T, script string, args ...string) trial.Result {
	t.Helper()
	for _, tool := range []string{"unshare", "setpriv", "mount", "prlimit"} {
		trial.NeedTool(t, tool)
	}
	const outer = `
		mount -t tmpfs tmpfs /mnt
		mkdir /mnt/tree /mnt/bin
		mount --rbind "$1" /mnt/tree
		touch /mnt/bin/rl-run
		mount --bind "$2" /mnt/bin/rl-run
		chmod 0755 /mnt
		` + "%s" + `
		shift 2
		exec env HOME=/ XDG_RUNTIME_DIR= setpriv --reuid 60123 --regid 60123 --clear-groups --inh-caps=-all \
			/mnt/bin/rl-run "$@"`
	return trial.Command{
		Path: trial.Bin(t, "rl-unshare"),
		Args: slices.Concat([]string{
			"--quiet", "unshare", "--mount", "sh", "-euc", fmt.Sprintf(outer, script), "outer",
			trial.Tree(t, "busybox"), trial.Bin(t, "rl-run"),
		}, args),
	}.Run(t)
}

const granted = `
	echo 60123:2000:1000 >/mnt/sub
	mount --bind /mnt/sub /etc/subuid
	mount --bind /mnt/sub /etc/subgid
`

func TestNoSubordinateIDs(t *testing.T) {
	begin(t)
	const none = `
		: >/mnt/empty
		mount --bind /mnt/empty /etc/subuid
		mount --bind /mnt/empty /etc/subgid
	`
	if got := poor(t, none, "/mnt/tree", "id", "-u"); got.OK(t) != "0" || !strings.Contains(got.Stderr, "rl-run: note: only one id is mapped: ") {
		t.Errorf("without subordinate ids: got %+v", got)
	}
	refused(t, poor(t, none, "-u", "5", "/mnt/tree"), 125,
		"-u: user 5 has no id in the container's map", "an administrator can give you a name and subordinate ids: sh -c 'echo u60123:x:60123:60123::/:/bin/sh >>/etc/passwd' && usermod --add-subuids 100000-165535 --add-subgids 100000-165535 u60123")
	refused(t, poor(t, none, "--uidmap", "0:2000:10", "/mnt/tree"), 125,
		"--uidmap 0:2000:10: host uid 2000 is neither your own (60123) nor one of your subordinate uids (none)", "")
}

func TestMapHelpers(t *testing.T) {
	begin(t)
	hidden := func(mode string) string {
		return granted + `
			install -m ` + mode + ` /dev/null /mnt/helper
			for dir in $(echo "$PATH:/usr/bin:/usr/sbin" | tr : ' '); do
				for name in newuidmap newgidmap; do
					if [ -e "$dir/$name" ]; then mount --bind /mnt/helper "$dir/$name"; fi
				done
			done
		`
	}
	for name, c := range map[string]struct{ mode, problem, hint string }{
		"missing":    {"0644", "newuidmap: not found in PATH, /usr/bin or /usr/sbin", "apt-get install uidmap"},
		"not setuid": {"0755", "/newuidmap: neither setuid root nor with the file capability cap_setuid", "chmod u+s /"},
	} {
		t.Run(name, func(t *testing.T) {
			script := hidden(c.mode)
			got := poor(t, script, "/mnt/tree", "id", "-u")
			if got.OK(t) != "0" || !strings.Contains(got.Stderr, "rl-run: note: only one id is mapped: ") || !strings.Contains(got.Stderr, c.problem) {
				t.Errorf("by default: got %+v", got)
			}
			refused(t, poor(t, script, "-u", "5", "/mnt/tree"), 125, "-u: user 5 has no id in the container's map", c.hint)
			r := poor(t, script, "--uidmap", "0:2000:10", "/mnt/tree")
			refused(t, r, 125, "--uidmap 0:2000:10: …", c.hint)
			if !strings.Contains(r.Stderr, c.problem) {
				t.Errorf("the error does not tell that %s: %s", c.problem, r.Stderr)
			}
		})
	}
}

func TestCallerWithoutName(t *testing.T) {
	begin(t)
	const nobody = `
		echo root:x:0:0::/:/bin/sh >/mnt/passwd
		mount --bind /mnt/passwd /etc/passwd
	`
	if got := poor(t, granted+nobody, "--quiet", "/mnt/tree", "id", "-u"); got.OK(t) != "0" || got.Stderr != "" {
		t.Errorf("got %+v", got)
	}
}
