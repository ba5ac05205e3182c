package explain

// helper is a function that the blocks of steps call.
type helper struct{ name, text string }

// helpers are in the order in which the script has them; one that another calls
// stands before it.
var helpers = [...]helper{
	{"die", `die() {
	printf '%s: error: %s\n' "${0##*/}" "$1" >&2
	exit 125
}
`},
	{"inside", `# inside PATH sets $at to where a path of the container is found from here. Its
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
`},
	{"rbind", `# rbind SOURCE TARGET binds a tree with the mounts below it, but without what this
# script has mounted there.
rbind() {
	mount --make-unbindable "$stage"
	mount --rbind -- "$1" "$2"
	mount --make-private "$stage"
}
`},
	{"attributes", `# attributes PATH OPTIONS sets options on the mount at a path and on those below
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
`},
}

// last is what the last shell does. It writes to fd 4 that nothing of the
// host is to be loaded any more, and waits on fd 3 for the pivot. It has no variable
// of its own, or that would hide one of the command's: what it reads goes to OLDPWD,
// which is lost in any case.
const last = `last='echo >&4
read -r OLDPWD <&3 || exit 125
cd -P -- "$1" || exit 125
shift
unset PWD OLDPWD
RESTORE
exec "$@" 3<&- 4>&-'
`

const head = `#!/bin/sh
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
`
