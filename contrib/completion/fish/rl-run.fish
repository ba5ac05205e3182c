# fish completion for rl-run. "make completion" makes it from the options; do not edit.

complete -c rl-run -f

# The words before the cursor that are neither options nor values of them. Fails when there are none.
function __rl_run_words
    set -l found
    set -l value no
    for word in (commandline -opc)[2..]
        if test $value = yes
            set value no
        else if contains -- $word --size --keep --volume -v --mount --tmpfs --device --user -u --group-add --userns --uidmap --gidmap --pid --ipc --uts --cgroupns --hostname -h --net --network --publish -p --mtu --veth-host --veth-ip --veth-bridge --ip --network-alias --dns --dns-search --dns-option --add-host --cap-add --cap-drop --security-opt --memory -m --memory-swap --cpus --cpu-weight --cpuset-cpus --pids-limit --device-read-bps --device-write-bps --device-read-iops --device-write-iops --blkio-weight --ulimit --limits --env -e --env-file --workdir -w --entrypoint --name --stop-signal
            set value yes
        else if not string match -q -- '-*' $word
            set found $found $word
        end
    end
    test -n "$found"; or return 1
    printf '%s\n' $found
end

complete -c rl-run -n 'not __rl_run_words >/dev/null' -l rw -d 'writes stay in ROOTFS'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l read-only -d 'there are no writes'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l copy -d 'copy ROOTFS into memory and write there'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l size -x -d 'limit of the memory for writes, like 50m (half of all memory)'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l keep -x -a '(__fish_complete_directories (commandline -ct | string replace -r "^--?[a-z-]*=" ""))' -d 'keep the writes in DIR, for the next start with it'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l volume -s v -r -F -d 'bind a file or directory of the host'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l mount -x -a 'type=bind type=tmpfs'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l tmpfs -x
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l device -r -F
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l user -s u -x -d 'names of the container\'s own passwd, or ids'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l group-add -x -d 'a further group'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l userns -x -a 'auto single keep-id container: (rl-ps -q 2>/dev/null | string replace -r "^" container:)' -d 'single: your own id alone; keep-id: your own ids inside'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l uidmap -x -d 'N ids from C inside stand for those from H outside'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l gidmap -x -d 'N ids from C inside stand for those from H outside'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l pid -x -a 'private host container: (rl-ps -q 2>/dev/null | string replace -r "^" container:)' -d 'with another container\'s comes its user namespace'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l ipc -x -a 'private host container: (rl-ps -q 2>/dev/null | string replace -r "^" container:)' -d 'with another container\'s comes its user namespace'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l uts -x -a 'private host container: (rl-ps -q 2>/dev/null | string replace -r "^" container:)' -d 'with another container\'s comes its user namespace'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l cgroupns -x -a 'private host container: (rl-ps -q 2>/dev/null | string replace -r "^" container:)' -d 'with another container\'s comes its user namespace'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l hostname -s h -x -d '(the base name of ROOTFS)'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l net -x -a 'auto none host pasta slirp4netns veth (rl-net ls 2>/dev/null | string replace -rf "^(\\\\S+).*" "\\$1" | tail -n +2) container: (rl-ps -q 2>/dev/null | string replace -r "^" container:)' -d 'auto: pasta, else slirp4netns, else none with a note'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l network -x -a 'auto none host pasta slirp4netns veth (rl-net ls 2>/dev/null | string replace -rf "^(\\\\S+).*" "\\$1" | tail -n +2) container: (rl-ps -q 2>/dev/null | string replace -r "^" container:)' -d 'auto: pasta, else slirp4netns, else none with a note'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l publish -s p -x -d 'ranges like 8000-8010:80-90; HOSTPORT 0 for a free one'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l listen-fd -d 'pass on the sockets of systemd\'s socket activation'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l mtu -x -d 'of the container\'s link'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l veth-host -x -d 'for --net=veth; what is not given comes from the policy'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l veth-ip -x -d 'for --net=veth; what is not given comes from the policy'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l veth-bridge -x -d 'for --net=veth; what is not given comes from the policy'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l ip -x -d 'the container\'s address on a NETWORK'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l network-alias -x -d 'a further name there; several containers may have it'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l dns -x -d 'a name server of your own'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l dns-search -x -d 'in place of the host\'s search list; . for none'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l dns-option -x -d 'in place of the host\'s, like ndots:2'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l add-host -x -d 'a line of /etc/hosts; NAME:host-gateway for the host'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l cap-add -x -a 'ALL CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63' -d 'with or without CAP_, or ALL'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l cap-drop -x -a 'ALL CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63' -d 'with or without CAP_, or ALL'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l nest -d 'another launcher can run inside: /proc and /sys are not'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l fake-root -d 'changes of owner and id succeed and do nothing, for package'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l security-opt -x -a 'seccomp= seccomp=unconfined no-new-privileges no-new-privileges=false mask= unmask= unmask=ALL'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l memory -s m -x -d 'memory, like 50m; memory and swap together'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l memory-swap -x -d 'memory, like 50m; memory and swap together'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l cpus -x -d 'processors, like 0.5; a share (100); which ones'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l cpu-weight -x -d 'processors, like 0.5; a share (100); which ones'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l cpuset-cpus -x -d 'processors, like 0.5; a share (100); which ones'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l pids-limit -x -d 'processes and threads'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l device-read-bps -r -F
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l device-write-bps -r -F
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l device-read-iops -r -F -d 'bytes or operations of a disk a second'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l device-write-iops -r -F -d 'bytes or operations of a disk a second'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l blkio-weight -x -d 'a share of disks, 10 to 1000'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l ulimit -x -d 'of each process, like nofile=1024'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l limits -x -a 'require best-effort' -d 'best-effort: only a note of what cannot be enforced'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l env -s e -x -a 'K K=V'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l env-file -r -F
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l env-host
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l workdir -s w -x -a '(__fish_complete_directories (commandline -ct | string replace -r "^--?[a-z-]*=" ""))' -d '(/); made where it is missing'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l tty -s t -a 'false' -d 'a terminal (when stdin and stdout are terminals)'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l interactive -s i -a 'false' -d 'connect stdin (it is)'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l entrypoint -x -d 'put CMD before COMMAND'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l init -a 'false' -d 'an init is process 1 and reaps orphans (it is); with false'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l detach -s d -d 'leave the container to run, print its name'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l name -x -d 'by which rl-ps, rl-exec and the others know it'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l stop-signal -x -a 'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS' -d 'what rl-stop sends (TERM)'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l rm -d 'accepted: without -d nothing is left in any case'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l privileged -d 'refused: it says what to use instead'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l explain -a 'text json sh' -d 'print the plan and start nothing'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l show-secrets -d 'values of -e in the printed plan, not names alone'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l verbose -s V -d 'print each step as it runs'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l timing -d 'print how long each step took'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l strict -d 'what would be less than was asked for is an error, not a note'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l quiet -s q -d 'no notes'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l version
complete -c rl-run -n 'not __rl_run_words >/dev/null' -l help -d 'say what there is'
complete -c rl-run -n 'not __rl_run_words >/dev/null' -a '(__fish_complete_directories (commandline -ct | string replace -r "^--?[a-z-]*=" ""))'
complete -c rl-run -n '__rl_run_words >/dev/null' -a '(set -l tree (__rl_run_words)[1]; path filter -f $tree/{usr/local/,usr/,}{sbin,bin}/* 2>/dev/null | path basename)'
