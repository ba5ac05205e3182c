package launch

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/net/usermode"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/userns"
)

// Diagnose says what a machine lacks, and how to mend it. It is a pure function.
func Diagnose(m *Machine) []Finding {
	if m.NoProc {
		return []Finding{m.kernelFinding(), {"/proc", Unusable, "none is mounted: neither the caller's ids nor anything else can be read", noProcHint}}
	}
	if m.PIDsAlone {
		return []Finding{m.kernelFinding(), {"/proc", Unusable, noDriver + ", and what else the machine has cannot be read", noProcHint}}
	}
	return slices.Concat(
		[]Finding{m.kernelFinding(), m.namespaceFinding()},
		m.idFindings(),
		[]Finding{m.procFinding(), m.overlayFinding(), m.networkFinding()},
		m.keyFindings(),
		m.limitFindings(),
		[]Finding{m.runtimeFinding()},
	)
}

// Worst is the health of the machine.
func Worst(list []Finding) Health {
	worst := Usable
	for _, f := range list {
		if f.Health == Unusable || worst == Usable {
			worst = f.Health
		}
	}
	return worst
}

func (m *Machine) kernelFinding() Finding {
	f := Finding{"kernel", Usable, fmt.Sprintf("Linux %d.%d", m.Kernel[0], m.Kernel[1]), ""}
	if m.Kernel[0] < 5 || m.Kernel[0] == 5 && m.Kernel[1] < 12 {
		f.Health, f.Mend = Unusable, "install a kernel of 5.12 or newer"
	}
	return f
}

func (m *Machine) namespaceFinding() Finding {
	f := Finding{"user namespaces", Usable, "can be made", ""}
	if m.Single == nil {
		return f
	}
	f.Health, f.Text = Unusable, m.Single.Error()
	if s, ok := errors.AsType[*plan.StepError](m.Single); ok {
		f.Text, f.Mend = Explain(s), ruledHint(s)
	}
	switch {
	case m.Chroot && m.Leavable:
		return Finding{f.Part, Usable, "this is a chroot, which the caller may leave: rl-run makes its root that of a mount namespace first", ""}
	case m.Chroot:
		f.Text += "; in a chroot the kernel makes no user namespace"
		f.Mend = chrootHint
	case m.Sysctls[sysctlClone] == "0":
		f.Text += "; " + sysctlClone + " is 0"
		f.Mend = "sudo sysctl -w " + sysctlClone + "=1"
	case m.Sysctls[sysctlMax] == "0" || errors.Is(m.Single, unix.ENOSPC) || errors.Is(m.Single, unix.EUSERS):
		f.Text += "; " + sysctlMax + " is " + m.Sysctls[sysctlMax]
		f.Mend = "sudo sysctl -w " + sysctlMax + "=" + more(m.Sysctls[sysctlMax])
	case m.Sysctls[sysctlAppArmor] == "1":
		f.Text += "; " + sysctlAppArmor + " is 1"
		f.Mend = "printf '%s\\n' 'abi <abi/4.0>,' 'include <tunables/global>' 'profile rl-run " + m.Executable +
			" flags=(unconfined) { userns, }' | sudo tee /etc/apparmor.d/rl-run && sudo systemctl reload apparmor"
	case m.Filtered && errors.Is(m.Single, unix.EPERM):
		f.Text += "; a seccomp filter of what runs this is in force"
		f.Mend = "start the outer container with --nest (rl-run) or --security-opt seccomp=unconfined (podman, docker)"
	case errors.Is(m.Single, unix.EPERM):
		f.Text += "; a security module forbids them, or this is a chroot"
		f.Mend = chrootHint
	}
	return f
}

// more is a limit above the present one, which root of another part of the machine may have set: twice of it, and 15000 at least.
func more(present string) string {
	const least = 15000
	n, _ := strconv.ParseUint(present, 10, 31)
	return strconv.FormatUint(min(max(2*n, least), 1<<31-1), 10)
}

// chrootHint: bwrap needs no privilege, and what the other line needs root of a chroot has.
const chrootHint = "instead of chroot DIR COMMAND: bwrap --bind DIR / --dev-bind /dev /dev --proc /proc COMMAND, or as root: " +
	"unshare --mount sh -c 'mount --rbind DIR DIR; cd DIR; pivot_root . .; umount -l .; exec COMMAND'"

// idFindings are about subordinate ids, and what maps them.
func (m *Machine) idFindings() []Finding {
	c := m.Caller
	if c.CapSetUID && c.CapSetGID {
		return []Finding{{"ids", Usable, "the caller may map any", ""}}
	}
	return []Finding{m.subordinateFinding(), m.mapToolFinding()}
}

// mend is the line of a hint of rl-run: what is said to a user of his administrator is to be done here.
func mend(hint string) string {
	if who, line, found := strings.Cut(hint, ": "); found && strings.HasPrefix(who, "an administrator can ") {
		return "sudo " + strings.ReplaceAll(line, " && ", " && sudo ")
	}
	return hint
}

// enough is how many ids a distribution's tree wants: nobody is 65534.
const enough = 65535

func (m *Machine) subordinateFinding() Finding {
	s := m.Caller.Subordinate
	f := Finding{"subordinate ids", Usable, fmt.Sprintf("%d uids and %d gids", count(s.UID), count(s.GID)), ""}
	who := s.Name
	if who == "" {
		who = fmt.Sprint(m.Caller.UID)
	}
	line := mend(subordinateHint(m.Caller, m.NextID))
	switch {
	case strings.HasPrefix(s.Problem, "/etc/sub"):
		f.Health, f.Text, f.Mend = Degraded, f.Text+"; "+s.Problem, "sudoedit /etc/subuid /etc/subgid"
	case s.Problem != "":
		f.Health, f.Text, f.Mend = Degraded, f.Text+"; "+s.Problem, line
	case count(s.UID) == 0 || count(s.GID) == 0:
		f.Health, f.Text, f.Mend = Degraded, "none for "+who+": containers have a single id", line
	case overlap(s.UID) || overlap(s.GID):
		f.Health, f.Text, f.Mend = Degraded, f.Text+"; ranges overlap", "sudoedit /etc/subuid /etc/subgid"
	case m.SharedIDs != "":
		f.Health, f.Text, f.Mend = Degraded, f.Text+"; "+m.SharedIDs+" has some of them, too, and may change what containers own", "sudoedit /etc/subuid /etc/subgid"
	case count(s.UID) < enough || count(s.GID) < enough:
		f.Health, f.Text, f.Mend = Degraded, f.Text+": trees of distributions want 65535", line
	}
	return f
}

func (m *Machine) mapToolFinding() Finding {
	c := m.Caller
	f := Finding{"newuidmap, newgidmap", Usable, "they work", ""}
	for _, h := range []userns.Helper{c.Helpers.UID, c.Helpers.GID} {
		if h.Problem != "" && f.Health == Usable {
			f.Health, f.Text, f.Mend = Degraded, h.Problem, mend(helpersHint(c))
		}
	}
	switch {
	case f.Health != Usable:
	case c.Bar != "":
		f.Health, f.Text, f.Mend = Degraded, "they gain no privilege: "+c.Bar, mend(helpersHint(c))
	case c.Subordinate.Name == "" && c.Subordinate.Problem == "":
		f.Health, f.Text = Degraded, fmt.Sprintf("they refuse to work for uid %d, of which no name is known", c.UID)
		f.Mend = mend("an administrator can give it one: " + nameLine(c))
	case m.Mapped != nil:
		f.Health, f.Text, f.Mend = Degraded, m.Mapped.Error(), Hint(m.Mapped)
	}
	return f
}

func count(ranges []userns.Range) (n uint64) {
	for _, r := range ranges {
		n += uint64(r.Count)
	}
	return n
}

func overlap(ranges []userns.Range) bool {
	for i, a := range ranges {
		for _, b := range ranges[i+1:] {
			if uint64(a.Start) < uint64(b.Start)+uint64(b.Count) && uint64(b.Start) < uint64(a.Start)+uint64(a.Count) {
				return true
			}
		}
	}
	return false
}

func (m *Machine) procFinding() Finding {
	f := Finding{"/proc", Usable, "not masked", ""}
	var over []string
	for _, p := range m.ProcMasks {
		// The kernel lets these two be: they cover what is empty.
		if p != "/proc/sys/fs/binfmt_misc" && p != "/proc/fs/nfsd" {
			over = append(over, p)
		}
	}
	if len(over) > 0 {
		f.Health, f.Text = Degraded, "parts are masked"+some(over)+": containers get the outer /proc"
		f.Mend = "start the outer container with --security-opt unmask=ALL (podman) or --security-opt systempaths=unconfined (docker)"
	}
	return f
}

func (m *Machine) overlayFinding() Finding {
	f := Finding{"overlay", Usable, "writes to the root stay in memory", ""}
	old := m.Kernel[0] < 6 || m.Kernel[0] == 6 && m.Kernel[1] < 6
	const little = 100 << 20
	switch {
	case !m.Overlay:
		f.Health, f.Text, f.Mend = Degraded, "the kernel has none: ROOTFS is copied into memory at each start, or read-only where mounts lie in it, unless --rw or --read-only is given", "sudo modprobe overlay"
	case old && m.Free < little:
		f.Health, f.Text, f.Mend = Degraded, fmt.Sprintf("writes go to %s, which has %d MB", m.LayersIn, m.Free>>20), "TMPDIR=DIR names another place"
	case old:
		f.Text = "before Linux 6.6 writes to the root go to " + m.LayersIn
	}
	return f
}

func (m *Machine) networkFinding() Finding {
	f := Finding{"network", Usable, "", ""}
	d, notes, err := usermode.Choose(m.Usermode, usermode.Request{})
	switch {
	case err != nil:
		f.Health, f.Text = Degraded, err.Error()
	case d.Kind == usermode.None && len(notes) > 0:
		f.Health = Degraded
		f.Text, f.Mend, _ = strings.Cut(notes[len(notes)-1], "; ")
	case len(notes) > 0:
		f.Health = Degraded
		f.Text, f.Mend, _ = strings.Cut(notes[0], "; ")
	default:
		f.Text = fmt.Sprintf("by %s, %s", d.Kind, d.Path)
	}
	return f
}

// limitFindings are those of the limits that cannot be enforced.
func (m *Machine) limitFindings() (list []Finding) {
	for _, option := range []string{"memory", "cpus", "cpuset-cpus", "pids-limit", "blkio-weight"} {
		err := m.Limits[option]
		if err == nil {
			continue
		}
		f := Finding{"--" + option, Degraded, err.Error(), ""}
		if r, ok := errors.AsType[*cgroup.Refusal](err); ok {
			f.Text, f.Mend = r.Cause, r.Hint
		}
		list = append(list, f)
	}
	if len(list) == 0 {
		return []Finding{{"limits", Usable, "memory, cpu, cpuset, pids and io can be limited", ""}}
	}
	return list
}

// keyFindings say nothing where all is well.
func (m *Machine) keyFindings() []Finding {
	if !m.NoKeyctl {
		return nil
	}
	return []Finding{{
		"keyrings", Degraded, "keyctl(2) is refused here: containers keep the caller's session keyring, and start only where a filter hides it",
		"start the outer container with a filter that allows keyctl, as --nest does (rl-run), or --security-opt seccomp=unconfined (podman, docker)",
	}}
}

func (m *Machine) runtimeFinding() Finding {
	f := Finding{"state of containers", Usable, "can be written down", ""}
	if m.Runtime != nil {
		f.Health, f.Text, f.Mend = Degraded, m.Runtime.Error(), Hint(m.Runtime)
		if f.Mend == "" {
			f.Mend = "mkdir -pm 700 ~/.rl-run-state && export XDG_RUNTIME_DIR=~/.rl-run-state"
		}
	}
	return f
}
