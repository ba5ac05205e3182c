#!/bin/sh
# A container, built by hand: the plan of a start as rl-run --explain=sh says it.
#
# Save this as a file and run it with sh, as the user who has made it. It needs
# util-linux 2.38 or newer, iproute2 and, where a step maps ids with it,
# newuidmap(1). Each block is a step of the plan. The functions stand in the order
# of the plan; the last lines of each say what comes next.
#
# Namespaces, mounts, ids, capabilities and files are those of rl-run. Otherwise
# than with rl-run
#  - no seccomp filter is loaded;
#  - there is no init: the command itself is process 1, which reaps the orphans
#    or not, and which gets only those signals that it handles;
#  - there is no terminal of the container's own, and no control group with limits;
#  - only file descriptors below 10 are closed, and the session keyring is new
#    only where keyctl(1) is installed;
#  - that a path still leads to what the plan was made for is not checked;
#  - variables whose names no shell can have are not handed on.

# shellcheck disable=SC2016,SC2317 # words are quoted; the parts are called by name
set -eu
PATH=${PATH-/usr/bin:/bin}:/usr/sbin:/sbin

die() {
	printf '%s: error: %s\n' "${0##*/}" "$1" >&2
	exit 125
}

last='echo >&4
read -r OLDPWD <&3 || exit 125
cd -P -- "$1" || exit 125
shift
unset PWD OLDPWD
exec "$@" 3<&- 4>&-'

start() {
	# step 1 parent: start init in new namespaces: user
	# --keep-caps, since a shell that is executed before the ids are mapped would lose its capabilities
	set -- unshare --fork --keep-caps --user
	setpriv --pdeathsig KILL -- "$@" -- /bin/sh "$self" from_2 "$dir" 4>"$dir/up" 3<"$dir/down"
}

from_2() {
	# The number that this process has outside, for those who map its ids.
	read -r pid _ </proc/self/stat
	echo "$pid" >&4
	read -r _ <&3

	# step 2 init: map ids: users 0:1000:1, groups 0:1000:1 (own)
	echo deny >/proc/self/setgroups
	echo 0 1000 1 >/proc/self/uid_map
	echo 0 1000 1 >/proc/self/gid_map

	# step 3 init: become 0:0, keep the groups
	# (uid 0 gets all capabilities at each exec: none need be inherited any more)
	exec setpriv --inh-caps=-all --ambient-caps=-all --reuid 0 --regid 0 --keep-groups -- /bin/sh "$0" from_4 "$dir" "$@"
}

from_4() {
	# step 4 init: unshare mnt
	exec unshare --mount --propagation unchanged -- /bin/sh "$0" from_5 "$dir" "$@"
}

from_5() {
	# step 5 init: make all mounts private
	mount --make-rprivate /

	# step 6 init: mount the stage tmpfs
	# (on a directory of its own, which this script can name)
	mount -t tmpfs -o nosuid,nodev,mode=0755,huge=within_size tmpfs "$stage" 2>/dev/null || mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs "$stage"

	# step 7 init: bind /home/alice/tree as lower
	mkdir -m 0700 "$stage/lower"
	mount --bind -- /home/alice/tree "$stage/lower"

	# step 8 init: mount a tmpfs of 52428800 bytes as root
	mkdir -m 0700 "$root"
	mount -t tmpfs -o mode=0755,size=52428800,huge=within_size tmpfs "$root" 2>/dev/null || mount -t tmpfs -o mode=0755,size=52428800 tmpfs "$root"

	# step 9 init: copy /home/alice/tree to root
	cp -a -- "$stage/lower/." "$stage/root"

	# step 10 init: open the new root
	# (it is $root, and inside finds the paths in it)
	from_12 "$@"
}

pivot() {
	# step 11 init: pivot into the new root, detach the old one
	# From outside, because in the new root there is no program of the host to go on with:
	# the process inside has its last one loaded already, and the pivot moves its root too.
	# The second nsenter keeps the host's tree as its own root.
	nsenter --target "$pid" --user --mount --preserve-credentials -- pivot_root "$dir/stage/root" "$dir/stage/root"
	nsenter --target "$pid" --user --mount --preserve-credentials --root=/ --wd="/proc/$pid/root" -- umount --lazy --no-canonicalize .
}

from_12() {
	# step 12 init: drop bounding set to 0x1ffffbfffff
	set -- "$@" --bounding-set -sys_boot

	# step 13 init: start the command's process
	# (there is one process only: first it does the work of init, then that of the command)

	# step 14 init: exec init
	# left out: the command takes the place of init
	from_15 "$@"
}

from_15() {
	# step 15 command: exec /bin/sh
	# The last shell waits for the pivot, and then executes the command.
	exec setpriv "$@" -- env -i -- \
		PATH=/bin \
		/bin/sh -c "$last" sh . \
		/bin/sh
}

cleanup() {
	rm "$dir/up" "$dir/down"
	rmdir "$dir/stage" "$dir"
}

# outside is done beside the container, by what has a name in the tree and in the
# namespaces of the host. The two halves talk over two pipes: up comes from inside,
# down goes there. The end of up is the end of all inside.
outside() {
	exec 3<"$dir/up" 4>"$dir/down"
	trap 'set +e; exec 4>&-; cat <&3 >/dev/null; cleanup' EXIT
	read -r pid <&3
	echo >&4
	read -r _ <&3
	pivot
	echo >&4
}

case ${1-} in
from_*)
	trap 'exit 125' EXIT
	part=$1 dir=$2
	shift 2
	# shellcheck disable=SC2034 # not every plan uses both
	stage=$dir/stage root=$dir/stage/root
	cd /
	"$part" "$@"
	;;
*)
	for tool in unshare setpriv mount umount nsenter pivot_root; do
		command -v "$tool" >/dev/null || die "find $tool: no such program"
	done
	grep -qs '^# A container, built by hand' -- "$0" || die 'this script starts itself again: it must be a file'
	case $0 in
	/*) self=$0 ;;
	*) self=$PWD/$0 ;;
	esac
	dir=$(mktemp -d)
	dir=$(cd -- "$dir" && pwd -P) # as /proc/self/mountinfo has it
	mkdir "$dir/stage"
	mkfifo "$dir/up" "$dir/down"
	outside &
	code=0
	start || code=$?
	wait
	exit "$code"
	;;
esac
