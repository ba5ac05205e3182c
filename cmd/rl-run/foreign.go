package main

import "strings"

// otherOption is an option of another launcher that rl-run answers with its own way to the same end.
type otherOption struct {
	names string // as they are typed, without dashes, between blanks
	hint  string
}

const (
	rootHint = "ROOTFS is the first word that is no option: rl-run [OPTIONS] ROOTFS [COMMAND [ARG...]]"
	ownHint  = "each namespace is the container's own unless an option shares it, as --net=host and --pid=host do"
)

// foreigners are what users of docker, podman, bubblewrap, unshare and systemd-nspawn have in their fingers. None of
// them is taken for a mistyped option of rl-run: --dev is not meant for --env. The table is data of the linker's.
var foreigners = [...]otherOption{
	{"rootfs root directory R D", rootHint},
	{"pull platform arch os variant authfile creds tls-verify", "ROOTFS is a directory and is not fetched: docker export CONTAINER | rl-unshare tar -x -C DIR makes one of an image"},
	{"ephemeral", "what is written vanishes in any case, without --rw or --keep"},
	{"read-only-tmpfs", "--read-only --tmpfs /tmp"},
	{"remount-ro", "--read-only"},
	{"overlay overlay-src tmp-overlay ro-overlay", "ROOTFS is the lower layer of an overlay; --keep DIR keeps the upper one"},
	{"storage-opt", "--size SIZE limits what is written to memory"},

	{"bind dev-bind bind-try dev-bind-try bind-fd volumes-from", "-v SRC:DST binds a file or directory of the host, --device a device"},
	{"ro-bind ro-bind-try ro-bind-fd bind-ro", "-v SRC:DST:ro; the tree for / is ROOTFS, which is never written without --rw"},
	{"proc dev mqueue mount-proc", "/proc, /sys and /dev are the container's own already; --device /dev/X adds a device"},
	{"dir file symlink bind-data ro-bind-data perms", "mount points are made where they are missing; what else is to be there goes into ROOTFS, or the command makes it"},
	{"shm-size", "--tmpfs /dev/shm:size=SIZE"},
	{"secret", "-v FILE:/run/secrets/NAME:ro"},
	{"gpus device-cgroup-rule", "--device /dev/X for each of them"},

	{"uid gid setuid setgid S G", "-u USER[:GROUP]"},
	{"map-root-user map-auto r", "you are root inside, and your subordinate ids are the others; --userns=keep-id keeps your own"},
	{"map-current-user map-user map-group map-users map-groups private-users", "--userns=keep-id keeps your own ids, --uidmap and --gidmap choose others"},

	{"unshare-all unshare-user unshare-user-try unshare-pid unshare-net unshare-ipc unshare-uts unshare-cgroup unshare-cgroup-try U n C", ownHint},
	{"fork f", "the command is a process of its own in the new pid namespace in any case"},
	{"share-net", "--net=host"},
	{"time monotonic boottime T", "the time namespace is the host's"},
	{"propagation", "mounts are private; -v SRC:DST:rslave lets in what the host mounts below SRC"},
	{"target all", "rl-exec NAME COMMAND enters a container that runs"},
	{"pod", "--net=container:NAME, --pid=container:NAME and their kin share a container's namespaces"},

	{"publish-all P", "-p PORT takes a free port of the host, which rl-inspect shows"},
	{"expose", "nothing has to be exposed: -p publishes a port, and containers on one network reach all of each other's"},
	{"link", "rl-net create NET; with --net=NET containers find each other by their --name and --network-alias"},
	{"ip6 mac-address", "a network gives out the addresses, and names for them; --ip chooses one, and with it the number in that of IPv6"},
	{"dns-opt", "--dns-option OPTION"},
	{"no-hosts", "-v FILE:/etc/hosts:ro"},

	{"keep-caps", "--cap-add CAP"},
	{"seccomp add-seccomp-fd", "--security-opt seccomp=FILE, in the JSON form of docker and podman"},
	{"disable-userns assert-userns-disabled", "the default seccomp filter refuses user namespaces in any case"},
	{"sysctl", "--security-opt unmask=/proc/sys --cap-add NET_ADMIN lets the command set those of its own namespaces"},

	{"cpu-shares", "--cpu-weight N, where others have 100"},
	{"cpu-quota cpu-period", "--cpus N, like 0.5"},
	{"memory-reservation memory-swappiness kernel-memory oom-kill-disable", "--memory and --memory-swap are the limits of memory"},
	{"cgroup-parent cgroups cgroup-conf", "a group of its own is made for a container with limits, and for no other"},

	{"setenv", "-e NAME=VALUE"},
	{"clearenv unsetenv unsetenv-all", "the environment begins clean; -e NAME passes a variable on"},
	{"tz", "-e TZ=ZONE"},
	{"chdir cwd wd", "-w DIR"},
	{"die-with-parent kill-child", "without -d a container ends with rl-run in any case"},
	{"new-session", "the command has a session of its own in any case"},
	{"as-pid-1", "--init=false"},
	{"attach detach-keys a", "-i and -t connect stdin and a terminal; with -d, rl-logs -f NAME follows and rl-exec -it NAME sh enters"},
	{"sig-proxy", "signals are passed on to the command in any case"},
	{"label label-file annotation l", "there are no labels: a container is known by its --name"},
	{"machine M", "--name NAME"},
	{"cidfile pidfile conmon-pidfile info-fd json-status-fd", "--name NAME, and rl-inspect NAME shows its Pid and namespaces"},
	{"replace", "rl-rm -f NAME frees the name"},
	{"restart", "a user unit of systemd with Restart= can start rl-run, without -d"},
	{"stop-timeout", "rl-stop -t SECONDS NAME"},
	{"timeout", "timeout SECONDS rl-run ..."},
	{"log-driver log-opt", "the output of -d is kept for rl-logs, 8 MiB at least"},
	{"log-level debug", "-V prints each step of the start, --explain what would be done"},
	{"health-cmd health-interval health-retries health-timeout health-start-period no-healthcheck", "rl-exec NAME COMMAND is a check, for a timer to run"},
}

// foreignHint is what rl-run has in the place of an option that it does not know; empty where that is nobody's.
func foreignHint(name string) string {
	for i := range foreigners {
		for n := range strings.FieldsSeq(foreigners[i].names) {
			if n == name {
				return foreigners[i].hint
			}
		}
	}
	return ""
}
