#!/bin/sh
# Makes an environment of the matrix and proves it, as root of a user, mount and pid namespace,
# and ends in a shell script of a user "u" there who has no privilege.
#
# usage: environment.sh IDS PROC TUN CGROUP BIN TREE SCRIPT [ARG...]
set -eu
ids=$1 proc=$2 tun=$3 cgroup=$4 bin=$5 tree=$6
shift 6

die() {
	echo "environment: $*" >&2
	exit 99
}
as_u() {
	env -i PATH=/mnt/helpers:/usr/bin:/bin:/usr/sbin:/sbin HOME=/ USER=u TERM=xterm \
		setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all -- "$@"
}
file() { # file TARGET MODE: binds a file over TARGET, with the text from stdin
	over=/mnt/over$(echo "$1" | tr / -)
	cat >"$over"
	chmod "$2" "$over"
	mount --bind "$over" "$1"
}

mount -t tmpfs -o mode=755 none /mnt
mkdir /mnt/bin /mnt/helpers
mount --bind "$bin" /mnt/bin
cp -a "$tree" /mnt/tree
chown -R 1000:1000 /mnt/tree
mount -t tmpfs none /tmp
[ ! -d /run/user ] || mount -t tmpfs none /run/user
{ echo 'u:x:1000:1000::/:/bin/sh' && cat /etc/passwd; } | file /etc/passwd 644

case $ids in
subids | single)
	# the setuid bit counts where the file's owner is root of this namespace
	cp /usr/bin/newuidmap /usr/bin/newgidmap /mnt/helpers
	chmod 4755 /mnt/helpers/*
	;;
esac
for kind in uid gid; do
	if [ "$ids" = single ]; then echo 'other:2000:60000'; else echo 'u:2000:60000'; fi | file "/etc/sub$kind" 644
	[ "$ids" != none ] || file "/usr/bin/new${kind}map" 644 </dev/null
done
[ "$proc" = clean ] || mount --bind /dev/null /proc/keys
[ "$tun" = tun ] || mount -t tmpfs -o mode=755 none /dev/net

# proofs
try_map() {
	# shellcheck disable=SC2016 # for the inner shell
	as_u sh -c 'unshare -U sleep 10 & sleep 0.2; newuidmap $! 0 1000 1 1 2000 100; code=$?; kill $!; exit $code' 2>&1
}
case $ids in
subids) try_map >/dev/null || die "newuidmap does not map: $(try_map)" ;;
single) ! try_map >/dev/null || die 'newuidmap maps ids that u does not have' ;;
none) ! as_u sh -c 'command -v newuidmap' >/dev/null || die 'there is a newuidmap' ;;
esac
new_proc() { as_u unshare -Urmpf mount -t proc none /proc 2>&1; }
case $proc in
clean) new_proc >/dev/null || die "a new /proc is refused: $(new_proc)" ;;
masked) ! new_proc >/dev/null || die 'a new /proc is not refused' ;;
esac
open_tun() { as_u sh -c ': <>/dev/net/tun' 2>&1; }
case $tun in
tun) open_tun >/dev/null || die "tun cannot be opened: $(open_tun)" ;;
none) ! open_tun >/dev/null || die 'tun can be opened' ;;
esac
kinds() { sed 's/.* - \([^ ]*\) .*/\1/' /proc/self/mountinfo | grep ^cgroup | sort -u | tr '\n' ' '; }
group=$(sed -n 's/^0:://p' /proc/self/cgroup)
case $cgroup in
hybrid) [ "$(kinds)" = 'cgroup cgroup2 ' ] || die "not both versions of cgroup, but $(kinds)" ;;
*) [ "$(kinds)" = 'cgroup2 ' ] || die "not cgroup v2 alone, but $(kinds)" ;;
esac
group=${group%/main} # in which the processes are
make_group() { as_u mkdir "/sys/fs/cgroup$group/proof" 2>&1 && as_u rmdir "/sys/fs/cgroup$group/proof"; }
case $cgroup in
delegated)
	for file in . cgroup.procs cgroup.subtree_control main main/cgroup.procs main/cgroup.subtree_control; do chown 1000:1000 "/sys/fs/cgroup$group/$file"; done
	make_group >/dev/null || die "no group can be made: $(make_group)"
	;;
undelegated) ! make_group >/dev/null || die 'a group can be made' ;;
esac

as_u sh -c "$@"
