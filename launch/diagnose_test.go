package launch

import (
	"errors"
	"maps"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/usermode"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/userns"
)

// healthy is a machine that lacks nothing.
func healthy() Machine {
	h := desktop()
	return Machine{
		Kernel: [2]int{6, 18}, Executable: "/usr/local/bin/rl-run", Caller: h.Caller, Overlay: true, Usermode: h.Usermode,
		Sysctls: map[string]string{sysctlMax: "15000"}, Limits: map[string]error{}, Free: 1 << 40, LayersIn: "/var/tmp", NextID: 165536,
	}
}

func refused(errno unix.Errno) error {
	return &plan.StepError{Actor: plan.Parent, Step: plan.StartInit{Flags: unix.CLONE_NEWUSER}, Err: errno}
}

// fixtures are the faults that TestDiagnose alone has: this kernel, or a plain user, cannot have them. All others are
// had really in test/doctor, where those of them that need root of a machine are made in the guest of test/vm (TestMachine).
var fixtures = map[string]string{
	"AppArmor": "the kernel must have that module, with a policy",
}

// TestDiagnose has machines as data.
func TestDiagnose(t *testing.T) {
	left := maps.Clone(fixtures)
	for _, c := range []struct {
		name   string
		change func(*Machine)
		part   string
		health Health
		text   string
		mend   string
	}{
		{"healthy", func(*Machine) {}, "network", Usable, "by pasta, /usr/bin/pasta", ""},
		{"old kernel", func(m *Machine) { m.Kernel = [2]int{5, 10} }, "kernel", Unusable, "Linux 5.10", "5.12"},
		{
			"Debian's sysctl", func(m *Machine) { m.Single, m.Sysctls[sysctlClone] = refused(unix.EPERM), "0" }, "user namespaces", Unusable,
			"kernel.unprivileged_userns_clone is 0", "sudo sysctl -w kernel.unprivileged_userns_clone=1",
		},
		{
			"none left", func(m *Machine) { m.Single = refused(unix.ENOSPC) }, "user namespaces", Unusable,
			"user.max_user_namespaces is 15000", "sudo sysctl -w user.max_user_namespaces=30000",
		},
		{
			"no name", func(m *Machine) { m.Caller.Subordinate.Name = "" }, "newuidmap, newgidmap", Degraded,
			"they refuse to work for uid 1000", "sudo sh -c 'echo u1000:x:1000:1000::/:/bin/sh >>/etc/passwd'",
		},
		{"no more than processes in /proc", func(m *Machine) { m.PIDsAlone = true }, "/proc", Unusable, "/proc/driver is missing", "mount -t proc proc /proc"},
		{
			"AppArmor", func(m *Machine) { m.Single, m.Sysctls[sysctlAppArmor] = refused(unix.EPERM), "1" }, "user namespaces", Unusable,
			"apparmor_restrict_unprivileged_userns is 1", "profile rl-run /usr/local/bin/rl-run flags=(unconfined) { userns, }",
		},
		{
			"outer filter", func(m *Machine) { m.Single, m.Filtered = refused(unix.EPERM), true }, "user namespaces", Unusable,
			"a seccomp filter", "--security-opt seccomp=unconfined",
		},
		{"no keyctl", func(m *Machine) { m.NoKeyctl = true }, "keyrings", Degraded, "keyctl(2) is refused", "seccomp=unconfined"},
		{
			"no ids", func(m *Machine) { m.Caller.Subordinate.UID = nil }, "subordinate ids", Degraded,
			"none for alice", "sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 alice",
		},
		{"few ids", func(m *Machine) { m.Caller.Subordinate.GID[0].Count = 1000 }, "subordinate ids", Degraded, "65536 uids and 1000 gids", "usermod"},
		{"overlapping ids", func(m *Machine) {
			m.Caller.Subordinate.UID = append(m.Caller.Subordinate.UID, userns.Range{Start: 165535, Count: 10})
		}, "subordinate ids", Degraded, "overlap", "sudoedit /etc/subuid"},
		{"name service", func(m *Machine) { m.Caller.Subordinate.Problem = "getsubids: not found" }, "subordinate ids", Degraded, "getsubids: not found", "sudo apt-get install uidmap"},
		{
			"no newuidmap", func(m *Machine) { m.Caller.Helpers.UID = userns.Helper{Problem: "newuidmap: not found"} }, "newuidmap, newgidmap", Degraded,
			"newuidmap: not found", "apt-get install uidmap",
		},
		{"no setuid bit", func(m *Machine) {
			m.Caller.Helpers.UID = userns.Helper{Path: "/usr/bin/newuidmap", Problem: "newuidmap has no privilege"}
		}, "newuidmap, newgidmap", Degraded, "no privilege", "chmod u+s /usr/bin/newuidmap"},
		{"nosuid", func(m *Machine) {
			m.Caller.Helpers.GID = userns.Helper{Path: "/opt/bin/newgidmap", Privilege: "setuid", Problem: "/opt/bin/newgidmap: on a file system mounted nosuid"}
		}, "newuidmap, newgidmap", Degraded, "mounted nosuid", `sudo mount -o remount,suid "$(findmnt -no TARGET -T /opt/bin/newgidmap)"`},
		{"bounding set", func(m *Machine) { m.Caller.Bar = "the bounding set lacks cap_setuid" }, "newuidmap, newgidmap", Degraded, "lacks cap_setuid", "--cap-add SETUID,SETGID"},
		{"shared ids", func(m *Machine) { m.SharedIDs = "bob" }, "subordinate ids", Degraded, "bob has some of them, too", "sudoedit /etc/subuid"},
		{"wrong line", func(m *Machine) { m.Caller.Subordinate.Problem = "/etc/subuid: line 2: want" }, "subordinate ids", Degraded, "line 2", "sudoedit /etc/subuid"},
		{"chroot", func(m *Machine) { m.Single, m.Chroot = refused(unix.EPERM), true }, "user namespaces", Unusable, "in a chroot the kernel makes no", "bwrap --bind DIR /"},
		{"chroot or module", func(m *Machine) { m.Single = refused(unix.EPERM) }, "user namespaces", Unusable, "or this is a chroot", "bwrap --bind DIR /"},
		{"root in a chroot", func(m *Machine) { m.Single, m.Chroot, m.Leavable = refused(unix.EPERM), true, true }, "user namespaces", Usable, "which the caller may leave", ""},
		{"no /proc", func(m *Machine) { m.NoProc = true }, "/proc", Unusable, "none is mounted", "mount -t proc proc /proc"},
		{"no_new_privs", func(m *Machine) { m.Caller.Bar = "no_new_privs is set" }, "newuidmap, newgidmap", Degraded, "no_new_privs is set", "without no_new_privs"},
		{"map refused", func(m *Machine) { m.Mapped = errors.New("newuidmap: uid range [0-1) -> [1000-1001) not allowed") }, "newuidmap, newgidmap", Degraded, "not allowed", ""},
		{
			"masked /proc", func(m *Machine) { m.ProcMasks = []string{"/proc/sys/fs/binfmt_misc", "/proc/kcore", "/proc/keys"} }, "/proc", Degraded,
			"/proc/kcore and 1 more", "unmask=ALL",
		},
		{"binfmt_misc", func(m *Machine) { m.ProcMasks = []string{"/proc/sys/fs/binfmt_misc"} }, "/proc", Usable, "not masked", ""},
		{"no overlay", func(m *Machine) { m.Overlay = false }, "overlay", Degraded, "copied into memory", "sudo modprobe overlay"},
		{"old overlay", func(m *Machine) { m.Kernel = [2]int{6, 1} }, "overlay", Usable, "/var/tmp", ""},
		{"full disk", func(m *Machine) { m.Kernel, m.Free = [2]int{6, 1}, 5<<20 }, "overlay", Degraded, "has 5 MB", "TMPDIR"},
		{"no driver", func(m *Machine) { m.Usermode.Pasta, m.Usermode.Slirp4netns = "", "" }, "network", Degraded, "neither", "apt-get install passt slirp4netns"},
		{"no tun", func(m *Machine) { m.Usermode.Tun = usermode.TunMissing }, "network", Degraded, "/dev/net/tun is missing", "modprobe tun"},
		{"closed tun", func(m *Machine) { m.Usermode.Tun = usermode.TunForbidden }, "network", Degraded, "permission denied", "chmod 0666 /dev/net/tun"},
		{"old pasta alone", func(m *Machine) { m.Usermode.PastaIsNew, m.Usermode.Slirp4netns = false, "" }, "network", Degraded, "before August 2024", "newer passt"},
		{
			"old slirp4netns alone", func(m *Machine) { m.Usermode.Pasta, m.Usermode.SlirpIsOld = "", true }, "network", Degraded,
			"slirp4netns is of before 0.4.0", "sudo apt-get install passt, or a newer slirp4netns",
		},
		{
			"old drivers", func(m *Machine) { m.Usermode.PastaIsNew, m.Usermode.SlirpIsOld = false, true }, "network", Degraded,
			"before August 2024, uploads may stall, and slirp4netns is of before 0.4.0", "install a newer one of either",
		},
		{
			"no delegation", func(m *Machine) {
				m.Limits["memory"] = &cgroup.Refusal{Limit: "--memory 64m", Cause: "the memory controller …", Hint: "Delegate=memory"}
			},
			"--memory", Degraded, "the memory controller", "Delegate=memory",
		},
		{"state", func(m *Machine) { m.Runtime = errors.New("it belongs to uid 0") }, "state of containers", Degraded, "uid 0", "XDG_RUNTIME_DIR"},
	} {
		delete(left, c.name)
		t.Run(c.name, func(t *testing.T) {
			m := healthy()
			c.change(&m)
			list := Diagnose(&m)
			for _, f := range list {
				switch {
				case f.Part == c.part:
					if f.Health != c.health || !strings.Contains(f.Text, c.text) || !strings.Contains(f.Mend, c.mend) || c.mend == "" && f.Mend != "" {
						t.Errorf("%+v", f)
					}
					c.part = ""
				case f.Health != Usable:
					t.Errorf("also %+v", f)
				}
				if strings.Contains(f.Text+f.Mend, "\n") {
					t.Errorf("more than a line: %+v", f)
				}
			}
			if c.part != "" {
				t.Errorf("nothing about %s: %+v", c.part, list)
			}
			if worst := Worst(list); worst != c.health {
				t.Errorf("the machine is %s, want %s", worst, c.health)
			}
		})
	}
	if len(left) > 0 {
		t.Errorf("no machine is like that: %v", left)
	}
}

// AppArmor's parser reads the profile that is to be pasted. Its version 3 judges all but what it does not have.
func TestProfileToPaste(t *testing.T) {
	parser, err := exec.LookPath("/usr/sbin/apparmor_parser")
	if err != nil {
		trial.Skip(t, "no apparmor_parser: %v", err)
	}
	m := healthy()
	m.Single, m.Sysctls[sysctlAppArmor] = refused(unix.EPERM), "1"
	line, install, found := strings.Cut(m.namespaceFinding().Mend, " | sudo tee /etc/apparmor.d/rl-run && ")
	if !found || install != "sudo systemctl reload apparmor" {
		t.Fatalf("%q, %q", line, install)
	}
	parse := func(line string) trial.Result {
		return trial.Command{Path: "/bin/sh", Args: []string{"-c", line + ` | "$0" --skip-kernel-load --skip-cache --names`, parser}}.Run(t)
	}
	if version := (trial.Command{Path: parser, Args: []string{"--version"}}).Run(t).OK(t); strings.Contains(version, "version 3") {
		line = strings.NewReplacer("abi/4.0", "abi/3.0", "userns,", "").Replace(line)
	}
	if got := parse(line).OK(t); got != "rl-run" {
		t.Errorf("profiles %q", got)
	}
	parse(strings.Replace(line, "(unconfined)", "(no-such-mode)", 1)).Fails(t, 1)
}
