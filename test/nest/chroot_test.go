package nest

import (
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// outerTree is a script that makes a tree with a container's tree in it, in a mount namespace of the test's own: once as a mount
// point, which is $top, once as a directory, which is $deep. "$@" is to be done there.
const outerTree = `bin=$1 inner=$2 outer=$3; shift 3
	mount -t tmpfs none /mnt; top=/mnt/top deep=/mnt/top/mnt/deep
	mkdir $top; mount --bind "$outer" $top; mount -t tmpfs none $top/mnt; mkdir $deep; cp -a "$outer/." $deep
	for tree in $top $deep; do
		mount -t tmpfs none $tree/opt; mkdir $tree/opt/bin $tree/opt/box; mount --bind "$bin" $tree/opt/bin; cp -a "$inner/." $tree/opt/box
		mount --rbind /proc $tree/proc; mount --rbind /dev $tree/dev; mount --rbind /sys $tree/sys
	done
	`

func in(t *testing.T, script string, args ...string) trial.Result {
	t.Helper()
	bin, inner, outer := begin(t)
	return trial.Command{
		Path: trial.Bin(t, "rl-unshare"),
		Args: append([]string{"--quiet", "unshare", "-m", "sh", "-euc", outerTree + script, "sh", bin, inner, outer}, args...),
	}.Run(t)
}

const (
	identity = "no subordinate ids: the host's stand for themselves "
	leaves   = "this is a chroot: its root becomes that of a mount namespace first"
)

// In a chroot the kernel makes no user namespace. Its root may make the tree the root of a mount namespace, and rl-run does.
func TestRootInChroot(t *testing.T) {
	for _, tree := range []string{"$top", "$deep"} {
		r := in(t, `! chroot `+tree+` /opt/bin/rl-unshare --quiet true 2>/dev/null || exit 99 # as is to be seen
			exec chroot `+tree+` /opt/bin/rl-run --net=none /opt/box sh -c "$1"`, look)
		started(t, r, "box", identity, leaves)
	}
	// as many times as there are starts, with all that is no start
	r := in(t, `inside() { chroot $top /opt/bin/"$@"; }
		inside rl-run --quiet --net=none -d --name one /opt/box sh -c 'echo said; exec sleep 1000' && inside rl-exec one hostname
		inside rl-logs one; inside rl-inspect one | grep -c 'this is a chroot'; inside rl-rm -f one
		inside rl-run --quiet --net=none --copy /opt/box echo copied; inside rl-run --quiet --net=none --rw /opt/box touch /kept; ls $top/opt/box/kept`)
	if out := r.OK(t); out != "one\none\nsaid\n1\none\ncopied\n/mnt/top/opt/box/kept" {
		t.Errorf("%q, %q", out, r.Stderr)
	}
	// what is mounted there stays there: the outer mounts are as they were
	r = in(t, `cat /proc/self/mountinfo >/mnt/before; chroot $top /opt/bin/rl-run --quiet --net=none /opt/box true; cmp /mnt/before /proc/self/mountinfo && echo same`)
	if out := r.OK(t); !strings.HasSuffix(out, "same") {
		t.Errorf("%q, %q", out, r.Stderr)
	}
}

// A user in a chroot is told so, and what helps: both remedies are tried.
func TestUserInChroot(t *testing.T) {
	const remedy = "instead of chroot DIR COMMAND: bwrap --bind DIR / --dev-bind /dev /dev --proc /proc COMMAND, or as root: " +
		"unshare --mount sh -c 'mount --rbind DIR DIR; cd DIR; pivot_root . .; umount -l .; exec COMMAND'"
	for tree, why := range map[string]string{
		"$deep": "in a chroot the kernel makes no user namespace: ",
		"$top":  "a security module forbids them, or this is a chroot: ",
	} {
		in(t, `exec chroot --userspec=1000:1000 `+tree+` /opt/bin/rl-run --net=none /opt/box true`).
			Fails(t, 125, "rl-run: error: start init", "operation not permitted", "rl-run: hint: ", why, remedy)
	}
	const asUser = "setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all"
	_, words, _ := strings.Cut(remedy, ": ")
	bwrap, unshare, _ := strings.Cut(words, ", or as root: ")
	fill := func(line, command string) string {
		return strings.NewReplacer("DIR", "$top", "COMMAND", command).Replace(line)
	}
	r := in(t, `chown -R 1000:1000 $top/opt/box; exec `+asUser+` `+fill(bwrap, `/opt/bin/rl-run --net=none /opt/box sh -c "$1"`), look)
	started(t, r, "box", "only one id is mapped: ")
	r = in(t, `printf '%s' "$1" >$top/opt/look; export top; exec `+fill(unshare, `/opt/bin/rl-run --net=none /opt/box sh -c "$(cat /opt/look)"`), look)
	started(t, r, "box", identity) // and not that it leaves a chroot
}
