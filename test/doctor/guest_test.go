//go:build guest

package doctor

import (
	"os"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/launch"
)

// withoutModule keeps the kernel from loading a module at its first use, as administrators do; modprobe by its name still does.
const withoutModule = `echo blacklist $0 | sudo tee /etc/modprobe.d/fault.conf >/dev/null; sudo modprobe -r $0`

// TestMachine is about faults of a whole machine, which only root can make, and for which other tests have fixtures. It is for the
// guest of package vm, where sudo asks nothing: so the lines of rl-doctor are called as they are, and mend what they say.
func TestMachine(t *testing.T) {
	trial.NeedUser(t)
	shell := func(t *testing.T, script string) trial.Result {
		t.Helper()
		return trial.Command{Path: "/bin/sh", Args: []string{"-euc", script, "sh", trial.Bin(t, "rl-run"), trial.Tree(t, "busybox")}}.Run(t)
	}
	look := func(t *testing.T) (map[string]launch.Finding, int) {
		t.Helper()
		r := trial.Command{Path: trial.Bin(t, "rl-doctor"), Args: []string{"--json"}}.Run(t)
		return findings(t, r), r.Code
	}
	before, code := look(t)
	if code > 1 {
		t.Fatalf("exit code %d on a sound machine: %+v", code, before)
	}
	for _, c := range []struct {
		name   string
		script string // makes the fault
		undo   string // what the line does not
		part   string
		health launch.Health
		text   string
		mend   string // the whole line, or its begin up to "…"
		start  string // a script that starts a container while the fault is there
	}{
		{
			name: "Debian's sysctl", script: `sudo sysctl -qw kernel.unprivileged_userns_clone=0`, part: namespaces, health: launch.Unusable,
			text: "kernel.unprivileged_userns_clone is 0", mend: "sudo sysctl -w kernel.unprivileged_userns_clone=1",
			start: `! "$1" --net=none "$2" true 2>&1 | grep -v "hint: kernel.unprivileged_userns_clone is 0: sudo sysctl -w kernel.unprivileged_userns_clone=1$" | grep hint`,
		},
		{
			name: "no user namespaces", script: `sudo sysctl -qw user.max_user_namespaces=0`, part: namespaces, health: launch.Unusable,
			text: "user.max_user_namespaces is 0", mend: "sudo sysctl -w user.max_user_namespaces=15000",
		},
		{
			name: "no overlay", script: strings.ReplaceAll(withoutModule, "$0", "overlay"), undo: `sudo rm /etc/modprobe.d/fault.conf`, part: "overlay",
			health: launch.Degraded, text: "the kernel has none", mend: "sudo modprobe overlay",
			start: `"$1" --net=none "$2" sh -c ": >/new && echo started" 2>&1 | grep -cE "^rl-run: note: .* cannot be a layer of an overlay here: it is copied into memory|^started$" | grep -x 2
				"$1" --explain --net=none "$2" true 2>&1 | grep -c "^note: .*it is copied into memory\|^rl-run: note: .*it is copied into memory" | grep -x 1
				! "$1" --strict --net=none "$2" true 2>/dev/null`,
		},
		{
			// rl-run is the first who wants one: the kernel loads it by itself
			name: "overlay not loaded", script: `sudo modprobe -r overlay; "$1" --explain --net=none "$2" true | grep -q "mount overlay as root"; sudo modprobe -r overlay`, part: "overlay", health: launch.Usable,
		},
		{
			name: "no tun device", script: strings.ReplaceAll(withoutModule, "$0", "tun"), undo: `sudo rm /etc/modprobe.d/fault.conf`, part: network,
			health: launch.Degraded, text: "/dev/net/tun: the kernel has no tun device", mend: "sudo modprobe tun",
			start: `"$1" "$2" true 2>&1 | grep -x "rl-run: note: no network: /dev/net/tun: the kernel has no tun device; sudo modprobe tun"`,
		},
		{
			name: "closed tun", script: `sudo modprobe tun; sudo chmod 600 /dev/net/tun`, part: network, health: launch.Degraded,
			text: "/dev/net/tun: permission denied", mend: "sudo chmod 0666 /dev/net/tun",
		},
		{
			name: "no setuid bit", script: `sudo chmod u-s /usr/bin/newuidmap`, part: maps, health: launch.Degraded,
			text: "/usr/bin/newuidmap: neither setuid root nor", mend: "sudo chmod u+s /usr/bin/newuidmap",
		},
		{
			name: "nosuid", script: `sudo mount --bind /usr/bin /usr/bin; sudo mount -o remount,bind,nosuid /usr/bin`, undo: `sudo umount --lazy /usr/bin`, part: maps,
			health: launch.Degraded, text: "on a file system mounted nosuid", mend: `sudo mount -o remount,suid "$(findmnt -no TARGET -T /usr/bin/newuidmap)"`,
		},
		{
			name: "no ids", script: `sudo sed -i /^user:/d /etc/subuid /etc/subgid`, part: ids, health: launch.Degraded,
			text: "none for user", mend: "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 user",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			sound, _ := look(t)
			if c.undo != "" {
				defer func() { shell(t, c.undo).OK(t) }()
			}
			shell(t, c.script).OK(t)
			found, code := look(t)
			f := found[c.part]
			begin, open := strings.CutSuffix(c.mend, "…")
			if f.Health != c.health || !strings.Contains(f.Text, c.text) || f.Mend != c.mend && (!open || !strings.HasPrefix(f.Mend, begin)) {
				t.Errorf("%+v; want %s, %q, %q", f, c.health, c.text, c.mend)
			}
			if c.health == launch.Unusable && code != 2 {
				t.Errorf("exit code %d", code)
			}
			if c.start != "" {
				shell(t, c.start).OK(t)
			}
			if c.health == launch.Usable {
				return
			}
			shell(t, f.Mend).OK(t)
			again, _ := look(t)
			if again[c.part].Text != sound[c.part].Text && again[c.part].Health != launch.Usable {
				t.Errorf("%s mends nothing: %+v, and before the fault %+v", f.Mend, again[c.part], sound[c.part])
			}
		})
	}
	if after, _ := look(t); len(after) != len(before) {
		t.Errorf("the machine is not as it was: %+v", after)
	}
}

// TestDelegation has the line that delegates the one controller which is not: called as it is, and then the other one that it names.
// rl-run gives the same line. Then nothing is left to mend but the network, for which the guest can install no driver: with one that
// only says its options all is usable.
func TestDelegation(t *testing.T) {
	trial.NeedUser(t)
	const option, part = "--cpuset-cpus=0", "--cpuset-cpus"
	sudo := func(line string) { trial.Command{Path: "/bin/sh", Args: []string{"-euc", line}}.Run(t).OK(t) }
	start := func() trial.Result {
		return trial.Run(t, "--net=none", "--quiet", option, trial.Tree(t, "busybox"), "cat", "/sys/fs/cgroup/cpuset.cpus")
	}
	// Not as elsewhere with a look at what is left: with the user's systemd its bus begins anew.
	look := func(env ...string) (map[string]launch.Finding, int) {
		t.Helper()
		r := trial.Command{Path: trial.Bin(t, "rl-doctor"), Args: []string{"--json"}, Env: env}.Run(t)
		return findings(t, r), r.Code
	}
	found, code := look()
	f := found[part]
	line, then, _ := strings.Cut(f.Mend, " # then log in again, or: ")
	check(t, f, launch.Degraded, "the cpuset controller is not delegated to user@1000.service (delegated: cpu io memory pids)", "Delegate=cpu cpuset io memory pids")
	if code != 1 || !strings.HasPrefix(line, "sudo ") || !strings.HasPrefix(then, "sudo ") || strings.Contains(f.Mend, "\n") {
		t.Fatalf("exit code %d, %+v", code, f)
	}
	start().Fails(t, 125, "rl-run: error: enforce --cpuset-cpus 0: "+f.Text, "rl-run: hint: "+f.Mend+"\n")

	// It is undone when the next job delegates what it wants.
	defer sudo("sudo rm -r /etc/systemd/system/user@.service.d; sudo systemctl daemon-reload")
	sudo(f.Mend)
	sudo(then)
	found, code = look()
	check(t, found["limits"], launch.Usable, "memory, cpu, cpuset, pids and io can be limited", "")
	check(t, found[network], launch.Degraded, "neither pasta nor slirp4netns is installed", "sudo apt-get install passt slirp4netns")
	if code != 1 {
		t.Errorf("exit code %d without a network", code)
	}
	if out := start().OK(t); out != "0" {
		t.Errorf("processors: %q", out)
	}

	driver := t.TempDir()
	const options = "#!/bin/sh\necho --enable-seccomp --enable-sandbox --disable-host-loopback --disable-dns --enable-ipv6\n"
	if err := os.WriteFile(driver+"/slirp4netns", []byte(options), 0o755); err != nil {
		t.Fatal(err)
	}
	if found, code = look("PATH=" + driver + ":" + os.Getenv("PATH")); code != 0 {
		t.Errorf("exit code %d where nothing is left to mend: %+v", code, found)
	}
}
