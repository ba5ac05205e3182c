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
#
# note: a note/x'y\n$(touch /tmp/z)\t\x1b[31m\\xff -n

# shellcheck disable=SC2016,SC2317 # words are quoted; the parts are called by name
set -eu
PATH=${PATH-/usr/bin:/bin}:/usr/sbin:/sbin

die() {
	printf '%s: error: %s\n' "${0##*/}" "$1" >&2
	exit 125
}

# inside PATH sets $at to where a path of the container is found from here. Its
# links lead to no other place than into the new root.
inside() {
	at=$root rest=$1 links=0
	while [ -n "$rest" ]; do
		name=${rest%%/*}
		case $rest in
		*/*) rest=${rest#*/} ;;
		*) rest= ;;
		esac
		case $name in
		'' | .) continue ;;
		..)
			[ "$at" = "$root" ] || at=${at%/*}
			continue
			;;
		esac
		if [ -L "$at/$name" ]; then
			links=$((links + 1))
			[ "$links" -le 40 ] || die "$1: too many symbolic links"
			link=$(readlink -n -- "$at/$name" && echo x)
			link=${link%x}
			case $link in
			/*) at=$root ;;
			esac
			rest=$link/$rest
		else
			at=$at/$name
		fi
	done
}

# rbind SOURCE TARGET binds a tree with the mounts below it, but without what this
# script has mounted there.
rbind() {
	mount --make-unbindable "$stage"
	mount --rbind -- "$1" "$2"
	mount --make-private "$stage"
}

# attributes PATH OPTIONS sets options on the mount at a path and on those below
# it (mount(8) can do so by itself since 2.39: ro=recursive). Where its root cannot
# get to, as below /sys/kernel/debug, nobody can in the container.
attributes() {
	found=
	while read -r _ _ _ _ place _; do
		place=$(printf '%bx' "$place")
		place=${place%x}
		case $place/ in
		"$1"/*)
			[ -e "$place" ] || continue
			mount -o "remount,bind,$2" "$place"
			found=1
			;;
		esac
	done </proc/self/mountinfo
	[ -n "$found" ] || die "$1: no such mount"
}

last='echo >&4
read -r OLDPWD <&3 || exit 125
cd -P -- "$1" || exit 125
shift
unset PWD OLDPWD
export PWD="$1"
shift
exec "$@" 3<&- 4>&-'

prepare() {
	# step 1 parent: bind on the host: 8080:80/tcp
	# left out: the script has lo alone
	:

	# step 2 parent: share /home/alice/tree/x'y\n$(touch /tmp/z)\t\x1b[31m\\xff -n with other containers
	# (the lock goes with the end of this script)
	if [ -r '/home/alice/tree/x'\''y
$(touch /tmp/z)	[31m\ÿ -n' ]; then
		exec 8<'/home/alice/tree/x'\''y
$(touch /tmp/z)	[31m\ÿ -n'
		flock --shared 8
	fi

	# step 3 parent: prepare layers in /home/alice/kept
	[ -d /home/alice/kept ] || mkdir -m 0700 -- /home/alice/kept
	[ -e /home/alice/kept/rl-run.layers ] || [ -z "$(ls -A -- /home/alice/kept)" ] ||
		die 'use /home/alice/kept: the directory is not empty and holds no layer of rl-run'
	# (the lock goes with the end of this script)
	exec 5>>/home/alice/kept/rl-run.layers
	flock --nonblock 5 || die 'lock /home/alice/kept: in use by another container'
	[ -s /home/alice/kept/rl-run.layers ] || printf %s 'rootfs/x'\''y
$(touch /tmp/z)	[31m\ÿ -n' >&5
	[ "$(cat -- /home/alice/kept/rl-run.layers)" = 'rootfs/x'\''y
$(touch /tmp/z)	[31m\ÿ -n' ] ||
		die 'use /home/alice/kept: its layer was made with another ROOTFS or other id maps'
	[ ! -L /home/alice/kept/upper ] || die 'use /home/alice/kept/upper: it is a link'
	[ -d /home/alice/kept/upper ] || mkdir -m 0755 -- /home/alice/kept/upper
	[ ! -L /home/alice/kept/work ] || die 'use /home/alice/kept/work: it is a link'
	[ -d /home/alice/kept/work ] || mkdir -m 0700 -- /home/alice/kept/work

	# step 4 parent: leave the chroot: make its root that of a mount namespace
	# (in a chroot there are none)
	# left out: this script does not start in a chroot, but in the root around
	:

	# step 5 parent: start the keeper
	# (it outlives rl-run)
	# left out: the script stays in the foreground
}

start() {
	# step 6 keeper: start the joiner
	# (nsenter is the joiner)

	# step 7 joiner: die with the parent
	# left out: nsenter does as it does

	# step 8 parent: enter the control group /user.slice/x'y\n$(touch /tmp/z)\t\x1b[31m\\xff -n
	# left out: the script does not look for a control group

	# step 9 joiner: leave the launcher's memory
	# (nsenter is the joiner)

	# step 10 joiner: hide the launcher's memory
	# left out: nsenter does as it does

	# step 11 joiner: join user, mnt of web
	set -- nsenter --target 4711 --preserve-credentials --user --mount --

	# step 12 joiner: start init in new namespaces: user, pid
	# (the user namespace comes first)
	set -- "$@" unshare --fork --keep-caps --user --pid

	# step 13 keeper: wait for parent
	# left out: the script stays in the foreground

	# step 14 keeper: exec keeper, log 1048576 bytes, and the control group
	# left out: the script stays in the foreground

	# step 15 init: die with the parent
	set -- "$@" --kill-child
	setpriv --pdeathsig KILL -- "$@" -- /bin/sh "$self" from_18 "$dir" 4>"$dir/up" 3<"$dir/down"
}

map() {
	# step 16 parent: map ids: users 0:100000:1000,1000:1000:1, groups 0:100000:1000,1000:1000:1 (helpers)
	/usr/bin/newuidmap "$pid" 0 100000 1000 1000 1000 1
	/usr/bin/newgidmap "$pid" 0 100000 1000 1000 1000 1

	# step 17 parent: enter control group rl-run-box.scope: memory.max=52428800, memory.oom.group=1, cpu.max=50000 100000
	# (while init waits)
	# left out: the limits. In a control group that is yours they would be
	#   echo 52428800 >memory.max
	#   echo 1 >memory.oom.group
	#   echo '50000 100000' >cpu.max
	#   echo "$pid" >cgroup.procs
}

from_18() {
	# The number that this process has outside, for those who map its ids.
	read -r pid _ </proc/self/stat
	echo "$pid" >&4
	read -r _ <&3

	# step 18 init: hand the user namespace to the launcher
	# left out: the script has lo alone
	:

	# step 19 parent: start the driver
	# left out: the script has lo alone
	:

	# step 20 driver: join the container's user namespace
	# left out: the script has lo alone
	:

	# step 21 driver: start process 1 of a new pid namespace
	# left out: the script has lo alone
	:

	# step 22 driver: exec a guard of /usr/bin/pasta --foreground -I /x'y\n$(touch /tmp/z)\t\x1b[31m\\xff -n
	# left out: the script has lo alone
	:

	# step 23 init: become 0:0, no groups
	# (uid 0 gets all capabilities at each exec: none need be inherited any more)
	exec setpriv --inh-caps=-all --ambient-caps=-all --reuid 0 --regid 0 --clear-groups -- /bin/sh "$0" from_24 "$dir" "$@"
}

from_24() {
	# step 24 init: die with the parent
	exec setpriv --pdeathsig KILL -- /bin/sh "$0" from_25 "$dir" "$@"
}

from_25() {
	# step 25 init: set umask 0000
	umask 0000

	# step 26 init: unshare mnt, uts, ipc, cgroup
	exec unshare --mount --uts --ipc --cgroup --propagation unchanged -- /bin/sh "$0" from_27 "$dir" "$@"
}

from_27() {
	# step 27 init: become the reaper of orphans
	# left out: there is no init to reap orphans

	# step 28 init: start the command's process
	# (there is one process only: first it does the work of init, then that of the command)
	from_52 "$@"
}

from_29() {
	# step 29 command: die with the parent
	set -- "$@" --pdeathsig KILL

	# step 30 command: unshare net
	exec unshare --net -- /bin/sh "$0" from_31 "$dir" "$@"
}

from_31() {
	# step 31 command: hand the net namespace to the launcher
	# left out: the script has lo alone
	:

	# step 32 command: set lo up
	ip link set lo up

	# step 33 command: set net/ipv4/ping_group_range to 0 1000
	# left out: the script has lo alone
	:

	# step 34 command: let init go on
	# (nothing to do for one process)

	# step 35 parent: give the net namespace to the driver
	# left out: the script has lo alone
	:

	# step 36 parent: start the forwarder
	# left out: the script has lo alone
	:

	# step 37 forwarder: join the container's user and net namespaces
	# left out: the script has lo alone
	:

	# step 38 joiner: map ids: uids [{0 100000 1000} {1000 1000 1}], gids [{0 100000 1000} {1000 1000 1}]
	# left out: the script has lo alone
	:

	# step 39 parent: wait until the ids are mapped
	# left out: the script has lo alone
	:

	# step 40 parent: make a link to the network db, at 10.9.8.7, known as pg, primary
	# left out: the script has lo alone
	:

	# step 41 linker: ask for a veth pair between its bridge and the container
	# left out: the script has lo alone
	:

	# step 42 parent: make a veth pair by /usr/libexec/rl-run/rl-veth ip=192.168.47.12/24
	# left out: the script has lo alone
	:
	from_65 "$@"
}

from_43() {
	# step 43 command: start a session
	exec setsid /bin/sh "$0" from_44 "$dir" "$@"
}

from_44() {
	# step 44 command: set umask 0022
	umask 0022

	# step 45 command: join a new session keyring
	# left out where there is no keyctl(1), of keyutils, which says on stderr what it does
	if command -v keyctl >/dev/null; then
		exec keyctl session - /bin/sh "$0" from_46 "$dir" "$@"
	fi
	from_46 "$@"
}

from_46() {
	# step 46 command: connect stdin to /dev/null
	exec </dev/null

	# step 47 command: connect stdout and stderr to the keeper
	# left out: the script stays in the foreground

	# step 48 command: set limit nofile 1024:unlimited
	prlimit --pid "$$" --nofile=1024:unlimited

	# step 49 command: mark fds above 2 close-on-exec
	# (those that a POSIX shell can name and that this script does not need itself)
	exec 5>&- 6>&- 7>&- 8>&- 9>&-

	# step 50 command: drop bounding set to 0x20000002001
	set -- "$@" --bounding-set -all,+chown,+net_raw,+cap_41

	# step 51 command: reset the signal mask
	# (a shell has changed nothing)
	from_85 "$@"
}

from_52() {
	# step 52 init: set hostname box
	hostname box

	# step 53 init: make all mounts slave
	mount --make-rslave /

	# step 54 init: mount the stage tmpfs of 1048576 bytes
	# (on a directory of its own, which this script can name)
	mount -t tmpfs -o nosuid,nodev,mode=0755,size=1048576,huge=within_size tmpfs "$stage" 2>/dev/null || mount -t tmpfs -o nosuid,nodev,mode=0755,size=1048576 tmpfs "$stage"

	# step 55 init: make stage directory upper, mode 2755, owner 5:6
	mkdir -m 2755 "$stage/upper"
	chown 5:6 "$stage/upper"
	chmod 2755 "$stage/upper"

	# step 56 init: bind recursively read-only /home/alice/tree as lower
	mkdir -m 0700 "$stage/lower"
	rbind /home/alice/tree "$stage/lower"
	attributes "$stage/lower" ro

	# step 57 init: mount overlay as root: lowerdir=lower,upperdir=upper,workdir=work,userxattr,volatile
	mkdir -m 0700 "$root"
	(cd "$stage" && mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work,userxattr,volatile overlay root)

	# step 58 init: open the new root
	# (it is $root, and inside finds the paths in it)

	# step 59 init: make directory /tmp
	inside /
	[ -e "$at/tmp" ] || [ -L "$at/tmp" ] || mkdir -m 1777 "$at/tmp"

	# step 60 init: make file /x'y\n$(touch /tmp/z)\t\x1b[31m\\xff -n
	inside '/x'\''y
$(touch /tmp'
	[ -e "$at/"'z)	[31m\ÿ -n' ] || [ -L "$at/"'z)	[31m\ÿ -n' ] || (umask 0022 && : >"$at/"'z)	[31m\ÿ -n')

	# step 61 init: mount proc on /proc (nosuid,nodev,noexec)
	inside /proc
	[ "$at" = "$root/proc" ] || die '/proc is a symbolic link'
	mount -t proc -o nosuid,nodev,noexec proc "$at"

	# step 62 init: bind /dev/null
	inside /dev
	(umask 0022 && : >"$at/null")
	mount --bind -- /dev/null "$at/null"

	# step 63 init: link /dev/fd to -/self/fd
	inside /dev
	ln -sT -- -/self/fd "$at/fd"

	# step 64 init: mount own /etc/hosts
	(umask 0022 && printf %s '127.0.0.1	localhost
/x'\''y
$(touch /tmp/z)	[31m\ÿ -n' >"$stage/hosts")
	inside /etc/hosts
	mount --bind "$stage/hosts" "$at"
	from_29 "$@"
}

from_65() {
	# step 65 init: wait for command
	# (nothing to do for one process)

	# step 66 init: join the command's net namespace
	# (nothing to do for one process)

	# step 67 init: bind recursively /sys on /sys (ro,noexec,slave)
	inside /sys
	rbind /sys "$at"
	attributes "$at" ro,noexec
	mount --make-rslave "$at"

	# step 68 init: bind /x'y\n$(touch /tmp/z)\t\x1b[31m\\xff -n on /x'y\n$(touch /tmp/z)\t\x1b[31m\\xff -n
	inside '/x'\''y
$(touch /tmp/z)	[31m\ÿ -n'
	mount --bind -- '/x'\''y
$(touch /tmp/z)	[31m\ÿ -n' "$at"

	# step 69 init: remount /proc/sys (ro)
	inside /proc
	if [ -e "$at/sys" ]; then
		mount --rbind "$at/sys" "$at/sys"
		attributes "$at/sys" ro
	fi

	# step 70 init: open /dev/null for the masks
	[ "$(stat -c %t:%T /dev/null)" = 1:3 ] || die '/dev/null is another device'

	# step 71 init: mask /proc/keys
	inside /proc
	[ ! -e "$at/keys" ] || mount --bind /dev/null "$at/keys"

	# step 72 init: mask /sys/firmware
	inside /sys
	[ ! -d "$at/firmware" ] || mount -t tmpfs -o ro,nosuid,nodev,noexec,size=0,nr_inodes=1,mode=0555 tmpfs "$at/firmware"

	# step 73 parent: wait for the network
	# left out: the script has lo alone
	:

	# step 74 init: set link rlv0 up as eth0
	# left out: the script has lo alone
	:

	# step 75 init: make the new root read-only
	mount -o remount,bind,ro "$root"
	from_77 "$@"
}

pivot() {
	# step 76 init: pivot into the new root, detach the old one
	# From outside, because in the new root there is no program of the host to go on with:
	# the process inside has its last one loaded already, and the pivot moves its root too.
	# The second nsenter keeps the host's tree as its own root.
	nsenter --target "$pid" --user --mount -- pivot_root "$dir/stage/root" "$dir/stage/root"
	nsenter --target "$pid" --user --mount --root=/ --wd="/proc/$pid/root" -- umount --lazy --no-canonicalize .
}

from_77() {
	# step 77 init: hide the launcher's memory
	# left out: the command takes the place of init

	# step 78 init: let command go on
	# (nothing to do for one process)
	from_79 "$@"
}

from_79() {
	# step 79 init: drop bounding set to 0x1
	# left out: the command takes the place of init

	# step 80 init: become 1000:1000, no groups
	# left out: the command takes the place of init

	# step 81 init: set capabilities: effective 0x0, permitted 0x0, inheritable 0x0
	# left out: the command takes the place of init

	# step 82 init: set no_new_privs
	# left out: the command takes the place of init

	# step 83 init: exec init
	# left out: the command takes the place of init

	# step 84 init: leave the command alone
	# left out: the command takes the place of init
	from_43 "$@"
}

from_85() {
	# step 85 command: wait for init
	# (nothing to do for one process)

	# step 86 command: outlive the parent
	# left out: the script stays in the foreground

	# step 87 command: keep capabilities over the change of ids
	# (setpriv does so by itself)

	# step 88 command: become 1000:1000, groups 5 29
	set -- "$@" --reuid 1000 --regid 1000 --groups 5,29

	# step 89 command: die with the parent
	# (as said before: setpriv does so after all else)

	# step 90 command: open a terminal of 24 rows and 80 columns
	# left out: the command keeps the terminal of this script

	# step 91 command: take the terminal
	# left out: the command keeps the terminal of this script

	# step 92 command: enter /x'y\n$(touch /tmp/z)\t\x1b[31m\\xff -n
	# (the last shell enters it, in the new root)
	into='/x'\''y
$(touch /tmp/z)	[31m\ÿ -n'

	# step 93 command: set capabilities: effective 0x2000, permitted 0x2000, inheritable 0x2000
	# (effective and permitted follow from the exec: for uid 0 all that the bounding set has,
	# for others what the ambient set has)
	set -- "$@" --inh-caps -all,+net_raw

	# step 94 command: raise ambient set 0x2000
	set -- "$@" --ambient-caps -all,+net_raw

	# step 95 command: set no_new_privs
	set -- "$@" --no-new-privs

	# step 96 command: load seccomp filter default (3 instructions)
	# left out: no tool of util-linux 2.38 loads a filter

	# step 97 command: exec ls -l /x'y\n$(touch /tmp/z)\t\x1b[31m\\xff -n
	# left out: the variable not.a.name, which a shell does not hand on
	# left out: the variable dir, which this script uses itself
	# From the environment of this script, since they may be secrets: TOKEN EMPTY
	# The last shell waits for the pivot, and then executes the command.
	exec setpriv "$@" -- env -i -- \
		PATH=/bin:/usr/bin \
		HOME='/home/a b' \
		TOKEN="${TOKEN-}" \
		EMPTY="${EMPTY-}" \
		PWD=/there \
		/bin/sh -c "$last" sh "$into" /there \
		ls -l '/x'\''y
$(touch /tmp/z)	[31m\ÿ -n' ''
}

cleanup() {
	rm "$dir/up" "$dir/down"
	rmdir "$dir/stage" "$dir"

	# step 98 parent: remove the mount point /tmp if empty
	# (after the end)
	root=/home/alice/tree
	inside /
	[ -L "$at/tmp" ] || { flock --exclusive --nonblock 8 && rmdir -- "$at/tmp" 2>/dev/null; }

	# step 99 parent: remove the mount point /x'y\n$(touch /tmp/z)\t\x1b[31m\\xff -n if empty
	# (after the end)
	root=/home/alice/tree
	inside '/x'\''y
$(touch /tmp'
	[ -L "$at/"'z)	[31m\ÿ -n' ] || [ ! -f "$at/"'z)	[31m\ÿ -n' ] || [ -s "$at/"'z)	[31m\ÿ -n' ] || { flock --exclusive --nonblock 8 && rm -f -- "$at/"'z)	[31m\ÿ -n'; }

	# step 100 parent: remove /var/tmp/rl-run-1000-42
	# (after the end)
	# (its files have ids of the container's map: the user namespace was kept for that)
	nsenter --user=/proc/self/fd/6 -- rm -rf -- /var/tmp/rl-run-1000-42 || rm -rf -- /var/tmp/rl-run-1000-42
}

# outside is done beside the container, by what has a name in the tree and in the
# namespaces of the host. The two halves talk over two pipes: up comes from inside,
# down goes there. The end of up is the end of all inside.
outside() {
	exec 3<"$dir/up" 4>"$dir/down"
	trap 'set +e; exec 4>&-; cat <&3 >/dev/null; cleanup' EXIT
	read -r pid <&3
	map
	exec 6<"/proc/$pid/ns/user"
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
	for tool in unshare setpriv mount umount /usr/bin/newgidmap /usr/bin/newuidmap flock hostname ip nsenter pivot_root prlimit setsid; do
		command -v "$tool" >/dev/null || die "find $tool: no such program"
	done
	grep -qs '^# A container, built by hand' -- "$0" || die 'this script starts itself again: it must be a file'
	case $0 in
	/*) self=$0 ;;
	*) self=$PWD/$0 ;;
	esac
	prepare
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
