package main

// version is set by the build.
var version = "development"

const help = `rl-run starts a container, without root.

  rl-run [OPTIONS] ROOTFS [COMMAND [ARG...]]

ROOTFS is a directory with the container's files. COMMAND is the user's shell in
it unless given. Options end at ROOTFS: what follows belongs to the command.

Examples:
  rl-run ./debian                             a shell; what it writes vanishes
  rl-run -v $PWD:/src -w /src ./debian make   a build in another system
  rl-run --rw --net=host ./debian apt-get install -y hello
                                              a change that stays in ./debian
  rl-run --copy --size 50m ./busybox df -h /  a root of 50 MB in memory
  rl-run --explain ./busybox sh               what would be done, and why

Root (writes vanish unless something else is said):
  --rw                 writes stay in ROOTFS
  --read-only          there are no writes
  --copy               copy ROOTFS into memory and write there
  --size SIZE          limit of the memory for writes, like 50m (half of all memory)
  --keep DIR           keep the writes in DIR, for the next start with it

Mounts:
  -v, --volume SRC:DST[:ro,rw,noexec,rslave]
                       bind a file or directory of the host
  --mount type=bind|tmpfs,src=SRC,dst=DST[,ro]
  --tmpfs DST[:size=SIZE,mode=MODE,ro,exec]
  --device /dev/X[:/dev/Y]

Identity (you are root inside, subordinate ids are the others):
  -u, --user USER[:GROUP]    names of the container's own passwd, or ids
  --group-add GROUP          a further group
  --userns auto|single|keep-id|container:NAME
                       single: your own id alone; keep-id: your own ids inside
  --uidmap C:H:N, --gidmap C:H:N
                       N ids from C inside stand for those from H outside

Namespaces:
  --pid, --ipc, --uts, --cgroupns private|host|container:NAME
                       with another container's comes its user namespace
  -h, --hostname NAME  (the base name of ROOTFS)

Network:
  --net, --network auto|none|host|pasta|slirp4netns|veth|NETWORK|container:NAME
                       auto: pasta, else slirp4netns, else none with a note
  -p, --publish [HOSTIP:]HOSTPORT:PORT[/udp]
                       ranges like 8000-8010:80-90; HOSTPORT 0 for a free one
  --listen-fd          pass on the sockets of systemd's socket activation
  --mtu BYTES          of the container's link
  --veth-host ADDRESS/N, --veth-ip ADDRESS/N, --veth-bridge NAME
                       for --net=veth; what is not given comes from the policy
  --ip ADDRESS         the container's address on a NETWORK
  --network-alias NAME       a further name there; several containers may have it
  --dns ADDRESS        a name server of your own
  --dns-search DOMAIN  in place of the host's search list; . for none
  --dns-option OPTION  in place of the host's, like ndots:2
  --add-host NAME:ADDRESS
                       a line of /etc/hosts; NAME:host-gateway for the host

Privilege:
  --cap-add CAP, --cap-drop CAP       with or without CAP_, or ALL
  --nest               another launcher can run inside: /proc and /sys are not
                       masked, and the filter lets namespaces and mounts be made
  --fake-root          changes of owner and id succeed and do nothing, for package
                       managers where there is a single id
  --security-opt seccomp=FILE|unconfined
  --security-opt no-new-privileges[=false]
  --security-opt mask=PATH|unmask=PATH|unmask=ALL

Limits (what cannot be enforced is refused, with the lines that would mend it):
  -m, --memory SIZE, --memory-swap SIZE
                       memory, like 50m; memory and swap together
  --cpus N, --cpu-weight N, --cpuset-cpus 0-1,3
                       processors, like 0.5; a share (100); which ones
  --pids-limit N       processes and threads
  --device-read-bps, --device-write-bps /dev/X:SIZE
  --device-read-iops, --device-write-iops /dev/X:N
                       bytes or operations of a disk a second
  --blkio-weight N     a share of disks, 10 to 1000
  --ulimit NAME=SOFT[:HARD]
                       of each process, like nofile=1024
  --limits require|best-effort
                       best-effort: only a note of what cannot be enforced

Process:
  -e, --env K[=V], --env-file FILE, --env-host
  -w, --workdir DIR    (/); made where it is missing
  -t, --tty[=false]    a terminal (when stdin and stdout are terminals)
  -i, --interactive[=false]
                       connect stdin (it is)
  --entrypoint CMD     put CMD before COMMAND
  --init[=false]       an init is process 1 and reaps orphans (it is); with false
                       COMMAND is process 1 itself
  -d, --detach         leave the container to run, print its name
  --name NAME          by which rl-ps, rl-exec and the others know it
  --stop-signal SIGNAL       what rl-stop sends (TERM)
  --rm                 accepted: without -d nothing is left in any case
  --privileged         refused: it says what to use instead

Insight:
  --explain[=text|json|sh]   print the plan and start nothing
  --show-secrets       values of -e in the printed plan, not names alone
  -V, --verbose        print each step as it runs
  --timing             print how long each step took
  --strict             what would be less than was asked for is an error, not a note
  -q, --quiet          no notes
  --version, --help

Exit codes: the command's own; 125 rl-run failed; 126 the command cannot be
executed; 127 it is not found; 128+N it died of signal N.
`

const unshareHelp = `rl-unshare runs a command of this machine in the id map of your containers: as
their root, to look at, change or delete trees that have their ids.

  rl-unshare [OPTIONS] [COMMAND [ARG...]]

COMMAND is your shell unless given. Options end there.

Examples:
  rl-unshare rm -rf ./debian
  rl-unshare tar -xf debian.tar -C ./debian

Options (for the map of containers that were started with them):
  --userns auto|single|keep-id
                       single: your own id alone; keep-id: your own ids inside
  --uidmap C:H:N, --gidmap C:H:N
                       N ids from C inside stand for those from H outside
  -q, --quiet          no notes

Exit codes: the command's own; 125 rl-unshare failed; 126 the command cannot be
executed; 127 it is not found; 128+N it died of signal N.
`
