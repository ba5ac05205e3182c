package run

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// The default capabilities, by their numbers (capabilities(7)): CHOWN DAC_OVERRIDE FOWNER
// FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP.
const defaultCaps = 1<<0 | 1<<1 | 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<18 | 1<<31

// set is a capability set of /proc/PID/status.
func set(t *testing.T, status, name string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(field(t, status, name), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// known is the set of all capabilities of this kernel.
func known(t *testing.T) uint64 {
	t.Helper()
	last, err := strconv.Atoi(strings.TrimSpace(read(t, "/proc/sys/kernel/cap_last_cap")))
	if err != nil {
		t.Fatal(err)
	}
	return 1<<(last+1) - 1
}

func TestPrivileges(t *testing.T) {
	begin(t)
	all := known(t)
	const sysAdmin, netRaw, chown = 1 << 21, 1 << 13, 1 << 0
	for _, c := range []struct {
		options           string
		bounding, ambient uint64
		user              bool // the command is not root
	}{
		{"", defaultCaps, 0, false},
		{"--userns=single", defaultCaps, 0, false},
		{"--userns=keep-id", defaultCaps, 0, true},
		{"-u nobody", defaultCaps, 0, true},
		{"-u 1000:1000 --cap-add=NET_RAW", defaultCaps | netRaw, netRaw, true},
		{"--cap-add=SYS_ADMIN --cap-add=cap_net_raw", defaultCaps | sysAdmin | netRaw, 0, false},
		{"--cap-add=ALL", all, 0, false},
		{"--cap-add=ALL --cap-drop=CAP_CHOWN", all &^ chown, 0, false},
		{"--cap-drop=ALL", 0, 0, false},
		{"--cap-drop=ALL --cap-add=CHOWN", chown, 0, false},
		{"--cap-drop=ALL --cap-add=CHOWN -u nobody", chown, chown, true},
		{"--cap-add=ALL --pid=host --net=none", all, 0, false},
	} {
		self := inside(t, "cat /proc/self/status", strings.Fields(c.options)...)
		effective := c.bounding
		if c.user {
			effective = c.ambient
		}
		for name, expected := range map[string]uint64{
			"CapBnd": c.bounding, "CapEff": effective, "CapPrm": effective, "CapInh": c.ambient, "CapAmb": c.ambient,
		} {
			if got := set(t, self, name); got != expected {
				t.Errorf("%s: %s is %#x, want %#x", c.options, name, got, expected)
			}
		}
		want(t, c.options+": Seccomp", field(t, self, "Seccomp"), "2")
		want(t, c.options+": NoNewPrivs", field(t, self, "NoNewPrivs"), "1")
		if strings.Contains(c.options, "--pid=host") {
			continue
		}
		init := inside(t, awaitInit+"cat /proc/1/status", strings.Fields(c.options)...)
		want(t, c.options+": NoNewPrivs of init", field(t, init, "NoNewPrivs"), "1")
		for _, name := range []string{"CapInh", "CapAmb"} {
			if got := set(t, init, name); got != 0 {
				t.Errorf("%s: %s of init is %#x", c.options, name, got)
			}
		}
		for _, name := range []string{"CapBnd", "CapPrm", "CapEff"} {
			if got := set(t, init, name); got&^c.bounding != 0 {
				t.Errorf("%s: %s of init is %#x, wider than %#x", c.options, name, got, c.bounding)
			}
		}
	}
}

func TestNoNewPrivilegesOff(t *testing.T) {
	begin(t)
	options := []string{"--security-opt", "no-new-privileges=false"}
	for _, more := range [][]string{nil, {"-u", "nobody"}, {"--userns=single"}, {"--cap-drop=ALL"}} {
		status := inside(t, "cat /proc/self/status", append(options[:2:2], more...)...)
		want(t, "NoNewPrivs", field(t, status, "NoNewPrivs"), "0")
		want(t, "Seccomp", field(t, status, "Seccomp"), "2")
	}
}

func TestSeccomp(t *testing.T) {
	tree := begin(t)
	refused := "unshare -U true 2>&1; chroot / true && echo chroot works"
	holds(t, "default profile", inside(t, refused), "Operation not permitted", "chroot works")
	status := inside(t, "cat /proc/self/status; unshare -U true && echo unshared", "--security-opt", "seccomp=unconfined")
	want(t, "Seccomp unconfined", field(t, status, "Seccomp"), "0")
	holds(t, "unconfined", status, "unshared")

	// TIOCSTI (0x5412) types into a terminal.
	profile := t.TempDir() + "/profile.json"
	write(t, profile, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
		{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77}]}`)
	got := trial.Run(t, script([]string{"--security-opt", "seccomp=" + profile}, tree, "unshare -U true && mkdir /x")...)
	got.Fails(t, 1, "mkdir")
	trial.Run(t, "--security-opt", "seccomp="+profile+".missing", tree, "true").Fails(t, 125, "profile.json.missing")
	write(t, profile, "{")
	trial.Run(t, "--security-opt", "seccomp="+profile, tree, "true").Fails(t, 125, "profile.json")
}

func TestMasks(t *testing.T) {
	begin(t)
	look := `for f in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts /proc/sched_debug; do
			[ ! -e $f ] || cat $f || echo unreadable $f; done
		for d in /proc/acpi /proc/scsi /proc/asound /sys/firmware /sys/fs/selinux /sys/devices/virtual/powercap; do
			[ ! -d $d ] || ls -A $d; done`
	want(t, "masked paths", inside(t, look), "")
	tries := `for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/sys/vm/drop_caches /sys/kernel/uevent_seqnum; do
			[ ! -e $f ] || { echo 1 >$f; } 2>/dev/null && [ -e $f ] && echo wrote $f; done; true`
	want(t, "writes", inside(t, tries), "")
	want(t, "writes with all capabilities", inside(t, tries, "--cap-add=ALL"), "")
	want(t, "an own mask", inside(t, "cat /proc/version; ls /sys/kernel",
		"--security-opt", "mask=/proc/version:/sys/kernel"), "")
	holds(t, "unmasked", inside(t, "cat /proc/timer_list /proc/interrupts; mount",
		"--security-opt", "unmask=/proc/interrupts"), "CPU0")
	lacks(t, "all unmasked", inside(t, "mount", "--security-opt", "unmask=ALL"), " on /proc/", " on /sys/firmware")
}

// A container that may mount cannot take the masks off, for they are not its only proc.
func TestMasksHoldAgainstRoot(t *testing.T) {
	begin(t)
	got := inside(t, "umount /proc/keys 2>/dev/null && echo taken off; cat /proc/keys; echo end", "--cap-drop=SYS_ADMIN")
	want(t, "masks", got, "end")
}

func TestNoPrivilegeThroughSetuid(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Not busybox, which gives the privilege up by itself.
	program := tree + "/opt/program"
	write(t, program, read(t, self))
	if err := os.Chmod(program, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	run := func(options ...string) string {
		return trial.Run(t, append(options, "--quiet", "-u", "nobody", "-e", probeEnv+"=uids", tree, "/opt/program")...).OK(t)
	}
	want(t, "uids with no_new_privs", run(), `"65534 65534 65534 65534"`)
	want(t, "uids without", run("--security-opt", "no-new-privileges=false"), `"65534 0 0 0"`)
	source := t.TempDir()
	write(t, source+"/x", "")
	mount := fmt.Sprintf("%s:/bound", source)
	holds(t, "a bind", trial.Run(t, script([]string{"-v", mount}, tree, "grep ' /bound ' /proc/mounts")...).OK(t), "nosuid", "nodev")
}

// lookUIDs are the real, effective, saved and file system uid.
func lookUIDs() (string, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "", err
	}
	_, after, _ := strings.Cut(string(status), "\nUid:")
	line, _, _ := strings.Cut(after, "\n")
	return words(line), nil
}
