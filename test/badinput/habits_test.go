package badinput

import "testing"

// What others' users type is answered with what there is here, and not taken for a mistyped option.
func TestHabitsOfOthers(t *testing.T) {
	tree := begin(t)
	try(t, tree, []row{
		// docker and podman
		{line: "--pull always TREE", error: "unknown flag --pull", hint: "docker export CONTAINER | rl-unshare tar -x -C DIR"},
		{line: "--rootfs TREE", error: "unknown flag --rootfs", hint: "ROOTFS is the first word that is no option"},
		{line: "-itP TREE", error: "unknown flag -P", hint: "-p PORT takes a free port"},
		{line: "--restart=always TREE", error: "unknown flag --restart", hint: "Restart="},
		{line: "--shm-size 1g TREE", error: "unknown flag --shm-size", hint: "--tmpfs /dev/shm:size=SIZE"},
		{line: "--gpus all TREE", error: "unknown flag --gpus", hint: "--device /dev/X"},
		{line: "--sysctl net.core.somaxconn=1 TREE", error: "unknown flag --sysctl", hint: "unmask=/proc/sys"},
		{line: "--cpu-shares 512 TREE", error: "unknown flag --cpu-shares", hint: "--cpu-weight N"},
		{line: "--net=veth --ip 10.0.0.2 TREE", error: "--ip, --network-alias: they go with a named network, not --net=veth", hint: "--veth-ip"},
		{line: "--label a=b TREE", error: "unknown flag --label", hint: "--name"},
		{line: "run TREE sh", error: "open run: no such file or directory", hint: "there is no verb: rl-run [OPTIONS] ROOTFS"},
		{line: "exec web sh", error: "open exec: no such file or directory", hint: "rl-exec --help"},
		{line: "network ls", error: "open network: no such file or directory", hint: "rl-net --help"},
		{line: "TREE -it sh", code: 127, error: "exec -it: command not found", hint: "options stand before ROOTFS"},
		// bubblewrap
		{line: "--bind /etc /mnt TREE", error: "unknown flag --bind", hint: "-v SRC:DST"},
		{line: "--ro-bind / / --dev /dev sh", error: "unknown flag --ro-bind", hint: "-v SRC:DST:ro"},
		{line: "--dev /dev TREE", error: "unknown flag --dev", hint: "--device /dev/X"},
		{line: "--proc /proc TREE", error: "unknown flag --proc", hint: "the container's own already"},
		{line: "--unshare-all TREE", error: "unknown flag --unshare-all", hint: "the container's own unless"},
		{line: "--share-net TREE", error: "unknown flag --share-net", hint: "--net=host"},
		{line: "--die-with-parent TREE", error: "unknown flag --die-with-parent", hint: "ends with rl-run"},
		{line: "--setenv A b TREE", error: "unknown flag --setenv", hint: "-e NAME=VALUE"},
		{line: "--chdir /tmp TREE", error: "unknown flag --chdir", hint: "-w DIR"},
		{line: "--uid 0 TREE", error: "unknown flag --uid", hint: "-u USER[:GROUP]"},
		// unshare and nsenter
		{line: "--mount-proc TREE", error: "unknown flag --mount-proc", hint: "the container's own already"},
		{line: "--map-root-user TREE", error: "unknown flag --map-root-user", hint: "you are root inside"},
		{line: "-Urmpf TREE", error: "unknown flag -U in -Urmpf", hint: "the container's own unless"},
		{line: "-r TREE", error: "unknown flag -r", hint: "you are root inside"},
		{line: "--fork TREE", error: "unknown flag --fork", hint: "in any case"},
		{line: "--target 1 TREE", error: "unknown flag --target", hint: "rl-exec NAME COMMAND"},
	})
}
