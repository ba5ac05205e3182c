package badinput

import "testing"

const (
	allFlags = "rl-run --help lists all flags"
	usage    = "rl-run [OPTIONS] ROOTFS"
)

func TestUnknownFlags(t *testing.T) {
	tree := begin(t)
	try(t, tree, []row{
		{line: "", error: "start a container: ROOTFS is missing", hint: usage},
		{line: "--quiet --", error: "start a container: ROOTFS is missing", hint: usage},
		{line: "''", error: "start a container: ROOTFS is empty", hint: usage},
		{line: "--bogus TREE", error: "unknown flag --bogus", hint: allFlags},
		{line: "--raed-only TREE", error: "unknown flag --raed-only (did you mean --read-only?)"},
		{line: "--net-work none TREE", error: "unknown flag --net-work (did you mean --network?)"},
		{line: "--envfile=x TREE", error: "unknown flag --envfile (did you mean --env-file?)"},
		{line: "-rw TREE", error: "unknown flag -rw (did you mean --rw?)"},
		{line: "-network=none TREE", error: "unknown flag -network=none (did you mean --network?)"},
		{line: "-x TREE", error: "unknown flag -x", hint: allFlags},
		{line: "-xit TREE", error: "unknown flag -x in -xit", hint: allFlags},
		{line: "-itx TREE", error: "unknown flag -x", hint: allFlags},
		{line: "--=x TREE", error: `parse "--=x": no flag has such a name`, hint: allFlags},
		{line: "---rw TREE", error: `parse "---rw": no flag has such a name`, hint: allFlags},
		{line: "--size", error: "parse --size: it needs a value", hint: allFlags},
		{line: "-v", error: "parse -v: it needs a value", hint: allFlags},
		{line: "-h", error: "parse -h: it needs a value (it is --hostname, as in docker)", hint: allFlags},
		{line: "--rw=perhaps TREE", error: `--rw "perhaps": expected true or false`},
	})
}

func TestMalformedMounts(t *testing.T) {
	tree := begin(t)
	try(t, tree, []row{
		{line: "-v '' TREE", error: `-v "": no destination (expected SRC:DST[:OPTIONS])`},
		{line: "-v /etc TREE", error: "-v /etc: no destination (expected SRC:DST[:OPTIONS])"},
		{line: "-v /etc: TREE", error: "-v /etc:: no destination"},
		{line: "-v :/etc TREE", error: "-v :/etc: no source"},
		{line: "-v data:/data TREE", error: `-v data:/data: source "data" names a volume, and there are none here (a file or directory of that name is "./data")`},
		{line: "-v /etc:data TREE", error: `-v /etc:data: destination "data" is not absolute`},
		{line: "-v /etc:/a:rx TREE", error: `-v /etc:/a:rx: unknown option "rx" (expected ro, …`},
		{line: "-v /etc:/a:ro,rw TREE", error: `-v /etc:/a:ro,rw: options "ro" and "rw" are both given`},
		{line: "-v /etc:/a:b:c TREE", error: "-v /etc:/a:b:c: too many colons (expected SRC:DST[:OPTIONS]; a path with a colon needs --mount)"},
		{line: "-v /nowhere:/a TREE true", error: "mount /nowhere on /a: no such file or directory"},
		{line: "-v /proc/1/cwd:/a TREE true", error: "mount /proc/1/cwd on /a: permission denied"},
		{line: "--mount type=bind,src=/proc/1/cwd/x,dst=/a TREE true", error: "mount /proc/1/cwd/x on /a: permission denied"},
		{line: "-v /etc/passwd:/tmp TREE true", error: "mount /etc/passwd on /tmp: both must be directories, or both files"},
		{line: "-v /etc:/etc/passwd TREE true", error: "mount /etc on /etc/passwd: both must be directories, or both files"},
		{line: "-v /etc:/proc/x TREE true", error: "make directory /proc/x: no such file or directory (step …", hint: "nothing can be made below /proc and /sys"},
		{line: "--mount '' TREE", error: `--mount "": no fields (expected type=bind or type=tmpfs and more)`},
		{line: "--mount src=/etc TREE", error: "--mount src=/etc: no type (expected type=bind or type=tmpfs)"},
		{line: "--mount type=volume,src=a,dst=/a TREE", error: `--mount type=volume,src=a,dst=/a: there are no volumes here (expected type=bind or type=tmpfs)`},
		{line: "--mount type=bind TREE", error: "--mount type=bind: no source (expected source=PATH)"},
		{line: "--mount type=bind,src=/etc,dst=a TREE", error: `--mount type=bind,src=/etc,dst=a: destination "a" is not absolute`},
		{line: "--mount type=tmpfs TREE", error: "--mount type=tmpfs: no destination (expected destination=PATH)"},
		{line: "--tmpfs '' TREE", error: `--tmpfs "": no destination`},
		{line: "--tmpfs a TREE", error: `--tmpfs a: destination "a" is not absolute`},
		{line: "--tmpfs /a:size=x TREE", error: `--tmpfs /a:size=x: malformed size "x" (expected …`},
		{line: "--tmpfs /a:mode=9 TREE", error: `--tmpfs /a:mode=9: malformed mode "9" (expected an octal number from 0 to 7777)`},
		{line: "--tmpfs /a --tmpfs /a TREE", error: "--mount type=tmpfs,destination=/a: …"},
		{line: "--tmpfs / TREE", error: `--tmpfs /: destination…`},
		{line: "--tmpfs /etc/passwd TREE true", error: "mount tmpfs on /etc/passwd (…"},
		{line: "--device '' TREE", error: `--device "": source "" is not absolute (expected a path such as /dev/X)`},
		{line: "--device null TREE", error: `--device null: source "null" is not absolute (expected a path such as /dev/X)`},
		{line: "--device /dev/nowhere TREE", error: "mount /dev/nowhere on /dev/nowhere: no such file or directory"},
		{line: "--device /etc/passwd TREE", error: "--device /etc/passwd: /etc/passwd is no device"},
	})
}

func TestMalformedValues(t *testing.T) {
	tree := begin(t)
	const size = "(expected a number of bytes above 0, as in 4096, 512k, 50m or 1.5g)"
	const security = "expected seccomp=FILE, seccomp=unconfined, no-new-privileges[=false], mask=PATH or unmask=PATH"
	try(t, tree, []row{
		{line: "--size x TREE", error: `--size: malformed size "x" ` + size},
		{line: "--size -1 TREE", error: `--size: malformed size "-1" ` + size},
		{line: "--size 0 TREE", error: `--size: malformed size "0" ` + size},
		{line: "--size 1z TREE", error: `--size: malformed size "1z" ` + size},
		{line: "--size 99999999999g TREE", error: `--size: size "99999999999g" is larger than 8 EiB`},
		{line: "-e =x TREE", error: `-e "=x": expected NAME=VALUE or NAME`},
		{line: "-e '' TREE", error: `-e "": expected NAME=VALUE or NAME`},
		{line: "--explain= TREE true", error: `--explain "": expected text, json or sh`},
		{line: "--hlep TREE", error: "unknown flag --hlep (did you mean --help?)"},
		{line: "--tmpfs /a:uid=4000000 TREE true", error: "mount tmpfs on /a: uid 4000000 has no id in the container's map", hint: "--uidmap"},
		{line: "--env-file /nowhere TREE", error: "open /nowhere: no such file or directory"},
		{line: "--env-file /etc TREE", error: "read /etc: not a regular file"},
		{line: "--cap-add NET_ADMN TREE", error: `--cap-add "NET_ADMN": no such capability (did you mean NET_ADMIN?)`},
		{line: "--cap-drop nonsense TREE", error: `--cap-drop "nonsense": no such capability`, hint: "capabilities(7)"},
		{line: "--cap-add '' TREE", error: `--cap-add "": no such capability`, hint: "capabilities(7)"},
		{line: "--cap-add CHOWN --cap-drop CHOWN TREE", error: "add capability CHOWN: dropped as well"},
		{line: "--stop-signal TREM TREE", error: `--stop-signal "TREM": no such signal (did you mean TERM?)`},
		{line: "--stop-signal sigtrem TREE", error: `--stop-signal "sigtrem": no such signal (did you mean TERM?)`},
		{line: "--stop-signal bogus TREE", error: `--stop-signal "bogus": no such signal (expected …`},
		{line: "--stop-signal STOP TREE", error: "--stop-signal STOP: it would stop the container's init alone, which cannot pass it on"},
		{line: "--stop-signal pipe TREE", error: "--stop-signal pipe: the container's init takes it for its own, and does not pass it on"},
		{line: "--stop-signal 65 TREE", error: `--stop-signal "65": no such signal (expected …`},
		{line: "--security-opt x TREE", error: `--security-opt "x": ` + security},
		{line: "--security-opt seccomp TREE", error: `--security-opt "seccomp": ` + security},
		{line: "--security-opt seccomp= TREE", error: `--security-opt "seccomp=": ` + security},
		{line: "--security-opt label=disable TREE", error: `--security-opt "label=disable": ` + security},
		{line: "--security-opt no-new-privileges=no TREE", error: `--security-opt no-new-privileges "no": expected true or false`},
		{line: "--security-opt mask=/etc TREE", error: `--security-opt "mask=/etc": expected paths below /proc or /sys, separated by colons`},
		{line: "--mtu 1400 --net none TREE", error: "--mtu 1400: with --net=none the container has no link that it could be of"},
		{line: "--mtu 1400 --net container:x TREE", error: "--mtu 1400: with --net=container:x the container has no link…"},
		{line: "--mtu 1400 --net home TREE", error: "--mtu 1400: with --net=home the container has no link…"},
		{line: "--net hots TREE", error: `--net=hots: there is no such network (did you mean host?)`},
		{line: "--net bogus TREE", error: `--net=bogus: there is no such network`, hint: "rl-net create bogus; rl-net ls lists them"},
		{line: "--network container:x TREE", error: "share namespaces of x: there is no such container", hint: "rl-ps -a lists them"},
		{line: "--pid container:x TREE", error: "share namespaces of x: there is no such container", hint: "rl-ps -a lists them"},
		{line: "--ipc shareable TREE", error: `--ipc "shareable": expected private, host or container:NAME`},
		{line: "--userns bogus TREE", error: `--userns "bogus": expected auto, single or keep-id, or container:NAME`},
		{line: "--userns=host TREE", error: "--userns host: without a user namespace of its own a container would need root", hint: "--userns=keep-id"},
		{line: "--privileged TREE", error: "--privileged: a container of rl-run has no privileges of the host to give", hint: "--cap-add ALL"},
		{line: "--name ../x TREE", error: `--name "../x": expected a letter or digit, then …`},
		{line: "--hostname a_b TREE", error: `--hostname "a_b": expected at most 63 letters, digits, hyphens and dots`},
		{line: "--hostname -a TREE", error: `--hostname "-a": expected at most 63 letters, digits, hyphens and dots`},
		{line: "--net=veth --veth-ip 192.168.47.12/32 TREE", error: `--veth-ip "192.168.47.12/32": expected the IPv4 address of a host with a length of 8 to 31, as 192.168.47.12/24`},
		{line: "--net=veth --veth-host 192.168.47.255/24 TREE", error: `--veth-host "192.168.47.255/24": expected the IPv4 address of a host with a length of 8 to 31, as 192.168.47.12/24`},
		{line: "--net=veth --veth-ip ::1/64 TREE", error: `--veth-ip "::1/64": expected the IPv4 address of a host with a length of 8 to 31, as 192.168.47.12/24`},
		{line: "--net=veth --veth-host 192.168.47.11/24 --veth-ip 192.168.47.11/24 TREE", error: "--veth-ip 192.168.47.11/24: expected another address of one net with --veth-host 192.168.47.11/24, as 192.168.47.12/24 with 192.168.47.11/24"},
		{line: "--net=veth --veth-host 192.168.47.9/30 --veth-ip 192.168.47.99/24 TREE", error: "--veth-ip 192.168.47.99/24: expected another address of one net with --veth-host 192.168.47.9/30, as 192.168.47.12/24 with 192.168.47.11/24"},
		{line: "--dns localhost TREE", error: `--dns "localhost": expected an IP address`},
		{line: "--dns fe80::1%a;b TREE", error: `--dns "fe80::1%a;b": expected an IP address`},
		{line: "--add-host x:fe80::1%a|b TREE", error: `--add-host "x:fe80::1%a|b": expected NAME:ADDRESS, or NAME:host-gateway for the host`},
		{line: "--dns-search a..b TREE", error: `--dns-search "a..b": expected a domain, as example.org, or . for none`},
		{line: "--dns-search '' TREE", error: `--dns-search "": expected a domain, as example.org, or . for none`},
		{line: "--dns-option é TREE", error: `--dns-option "é": expected an option of resolv.conf(5), as ndots:2`},
		{line: "--ip 1.2.3 TREE", error: `--ip "1.2.3": expected an IPv4 address, as 10.9.8.7`},
		{line: "--ip ::1 TREE", error: `--ip "::1": expected an IPv4 address, as 10.9.8.7`},
		{line: "--ip 10.9.8.7 TREE", error: `--ip, --network-alias: they go with a named network, not --net=auto`, hint: "rl-net create NAME, and --net=NAME"},
		{line: "--net=host --network-alias a TREE", error: `--ip, --network-alias: they go with a named network, not --net=host`, hint: "rl-net create NAME, and --net=NAME"},
		{line: "--network-alias a/b TREE", error: `--network-alias "a/b": expected letters, digits, hyphens, dots and _`},
		{line: "--init=false --pid=host TREE", error: "--init=false: with --pid=host nobody would end what the command leaves running"},
		{line: "--add-host x=y TREE", error: `--add-host "x=y": expected NAME:ADDRESS, or NAME:host-gateway for the host`},
		{line: "--add-host x TREE", error: `--add-host "x": expected NAME:ADDRESS, or NAME:host-gateway for the host`},
		{line: "--add-host x:y TREE", error: `--add-host "x:y": expected NAME:ADDRESS, or NAME:host-gateway for the host`},
		{line: "--net=none --add-host x:host-gateway TREE", error: `--add-host x:host-gateway: with --net=none there is no address of the host that is known`, hint: "with --net=auto there is, where the host has a way out; with --net=veth it is that of --veth-host"},
		{line: "--net=bridge TREE", error: `--net=bridge: the networks here have names of their own`, hint: "rl-net create NAME, and --net=NAME; --net=auto is for a container that no other has to find"},
		{line: "--explain=yaml TREE", error: `--explain "yaml": expected text, json or sh`},
		{line: "--limits=some TREE", error: `--limits "some": expected require or best-effort`},
		{line: "-w relative TREE", error: "-w relative: not an absolute path"},
		{line: "-w /etc/passwd TREE true", error: "enter /etc/passwd: not a directory (step …"},
		{line: "-w /etc/passwd/x TREE true", error: "open /etc/passwd/x: not a directory"},
	})
}

func TestMalformedLimits(t *testing.T) {
	tree := begin(t)
	const (
		memory = "expected a size of 1m or more, as in 50m or 1.5g, or 0 for no limit"
		cpus   = "expected a number of processors from 0.01 to 8192, as in 0.5 or 2, or 0 for no limit"
		rate   = "expected /dev/X:N with N bytes a second, as in /dev/sda:1mb"
		ops    = "expected /dev/X:N with N operations a second, as in /dev/sda:1000"
		pids   = "expected a number of processes from 1 to 4194304, or -1 for no limit"
	)
	try(t, tree, []row{
		{line: "--memory x TREE", error: `--memory "x": ` + memory},
		{line: "-m 50q TREE", error: `--memory "50q": ` + memory},
		{line: "-m 4k TREE", error: `--memory "4k": ` + memory},
		{line: "-m -50m TREE", error: `--memory "-50m": ` + memory},
		{line: "-m '' TREE", error: `--memory "": ` + memory},
		{line: "-m 99999999999g TREE", error: `--memory "99999999999g": ` + memory},
		{line: "--memory-swap 100m TREE", error: "--memory-swap 100m: it limits memory and swap together, and needs --memory"},
		{line: "-m 100m --memory-swap 50m TREE", error: "--memory-swap 50m: it limits memory and swap together: expected 100m (--memory) or more, or -1"},
		{line: "--cpus 0.001 TREE", error: `--cpus "0.001": ` + cpus},
		{line: "--cpus half TREE", error: `--cpus "half": ` + cpus},
		{line: "--cpu-weight 10001 TREE", error: `--cpu-weight "10001": expected a number from 1 to 10000 (100 is usual)`},
		{line: "--cpuset-cpus 3-1 TREE", error: `--cpuset-cpus "3-1": expected numbers and ranges of processors from 0 to 8191, as in 0-1,3`},
		{line: "--pids-limit many TREE", error: `--pids-limit "many": ` + pids},
		{line: "--pids-limit -2 TREE", error: `--pids-limit "-2": ` + pids},
		{line: "--blkio-weight 5 TREE", error: `--blkio-weight "5": expected a number from 10 to 1000`},
		{line: "--device-read-bps 1m TREE", error: `--device-read-bps "1m": ` + rate},
		{line: "--device-write-bps sda:1m TREE", error: `--device-write-bps "sda:1m": ` + rate},
		{line: "--device-read-iops /dev/sda:1k TREE", error: `--device-read-iops "/dev/sda:1k": ` + ops},
		{line: "--device-write-iops /dev/sda:0 TREE", error: `--device-write-iops "/dev/sda:0": ` + ops},
		{line: "--ulimit x TREE", error: `--ulimit "x": expected NAME=SOFT[:HARD] with a name of as core…`},
		{line: "--ulimit nofile TREE", error: `--ulimit "nofile": expected nofile=SOFT[:HARD] with numbers from 0, or -1 for no limit`},
		{line: "--ulimit nofile=2:1 TREE", error: `--ulimit "nofile=2:1": the soft limit is above the hard one`},
		{line: "--ulimit nofile=99999999999 TREE", error: "--ulimit nofile=99999999999: the caller's hard limit is …"},
	})
}

func TestConflicts(t *testing.T) {
	tree := begin(t)
	const root = "choose the root: --rw, --read-only and --copy exclude each other"
	try(t, tree, []row{
		{line: "--rw --read-only TREE", error: root},
		{line: "--copy --rw TREE", error: root},
		{line: "--rw --keep /tmp/kept TREE", error: "--keep /tmp/kept: only an ephemeral root has a layer to keep, not --rw"},
		{line: "--copy --keep /tmp/kept TREE", error: "--keep /tmp/kept: only an ephemeral root has a layer to keep, not --copy"},
		{line: "--size 4k --rw TREE", error: "--size 4096: no tmpfs takes writes with --rw"},
		{line: "--size 4k --keep /tmp/kept TREE", error: "--size: the writes go to --keep's directory"},
		{line: "--uts=host --hostname x TREE", error: "--hostname: with --uts=host the name is the host's"},
		{line: "--userns=keep-id --uidmap 0:100000:1 TREE", error: "--userns=keep-id and --uidmap or --gidmap exclude each other"},
	})
}
