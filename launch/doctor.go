package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/net/usermode"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs"
	"github.com/rl-run/rl-run/userns"
)

// Health is how well a part of a machine serves containers.
type Health string

// The healths, from the best to the worst.
const (
	Usable   Health = "ok"
	Degraded Health = "degraded" // containers start, without something
	Unusable Health = "unusable" // no container starts
)

// Finding is what is to say of one part of a machine.
type Finding struct {
	Part   string `json:"part"`
	Health Health `json:"health"`
	Text   string `json:"text"`
	Mend   string `json:"mend,omitempty"` // the line that mends it
}

// Machine is what ProbeMachine saw.
type Machine struct {
	Kernel     [2]int
	Executable string
	Caller     userns.Caller
	Sysctls    map[string]string // by name, without those that the kernel lacks
	Filtered   bool              // a seccomp filter is in force
	NoKeyctl   bool              // it refuses keyctl(2)
	Chroot     bool              // which a user namespace cannot be made in
	Leavable   bool              // the chroot, by the caller
	Single     error             // of a user namespace with the caller's own id
	Mapped     error             // of one with all of the caller's ids; nil where there is one alone
	NoProc     bool              // is mounted, and nothing more is known
	PIDsAlone  bool              // are in /proc, and nothing more is known
	ProcMasks  []string          // what is mounted over parts of /proc
	Overlay    bool
	Usermode   usermode.Host
	Limits     map[string]error // by the option, for those that cannot be enforced
	Runtime    error            // of the directory for the containers' state
	Free       uint64           // bytes for layers on disk
	LayersIn   string
	SharedIDs  string // who else has some of the caller's subordinate ids
	NextID     uint32 // above all subordinate ids that anybody has
}

// sysctls decide about user namespaces.
const (
	sysctlClone    = "kernel.unprivileged_userns_clone"
	sysctlMax      = "user.max_user_namespaces"
	sysctlAppArmor = "kernel.apparmor_restrict_unprivileged_userns"
)

// ProbeMachine looks at this machine. It starts a process in a user namespace, twice at most,
// which ends at once; else it only reads. runtimeDir is the error of the state directory,
// getenv gives variables of the caller.
func ProbeMachine(runtimeDir error, getenv func(string) string) (m Machine, err error) {
	path := getenv("PATH")
	m = Machine{Runtime: runtimeDir, Sysctls: make(map[string]string), Limits: make(map[string]error)}
	if m.Kernel, _, err = kernel(); err != nil {
		return m, err
	}
	if m.NoProc = unix.Access("/proc/self/uid_map", unix.F_OK) != nil; m.NoProc {
		return m, nil
	}
	if m.PIDsAlone = errors.Is(unix.Access(plan.StagePoint, unix.F_OK), unix.ENOENT); m.PIDsAlone {
		return m, nil
	}
	if m.Caller, err = userns.Probe(userns.ModeAuto, path); err != nil {
		return m, err
	}
	m.Executable, _ = os.Executable()
	m.lookNamespaces()
	m.NoKeyctl = m.Filtered && keyctlRefused()
	m.Single = tryUserNamespace(userns.ModeSingle, m.Caller)
	m.Chroot, m.Leavable = lookChroot(m.Single)
	if ids, err := userns.Compile(userns.Request{}, m.Caller); err == nil && ids.How.Way != userns.WaySelf && m.Single == nil {
		m.Mapped = tryUserNamespace(userns.ModeAuto, m.Caller)
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return m, err
	}
	if !visible(mounts, "proc", emptyProc[:]) {
		if m.ProcMasks, err = rootfs.Submounts("/proc"); err != nil {
			return m, err
		}
	}
	if m.Overlay, err = hasOverlay(m.Caller); err != nil {
		return m, err
	}
	m.Usermode = usermode.Probe(path, usermode.Auto)
	m.tryLimits(getenv)
	m.LayersIn = filepath.Dir(layersDir(""))
	var fs unix.Statfs_t
	if err := unix.Statfs(m.LayersIn, &fs); err == nil {
		m.Free = fs.Bavail * uint64(fs.Bsize)
	}
	m.NextID = nextSubordinate()
	m.SharedIDs = whoShares(m.Caller)
	return m, nil
}

// lookNamespaces reads what may forbid user namespaces.
func (m *Machine) lookNamespaces() {
	for _, name := range []string{sysctlClone, sysctlMax, sysctlAppArmor} {
		if text, err := small("/proc/sys/" + strings.ReplaceAll(name, ".", "/")); err == nil && len(text) > 0 {
			m.Sysctls[name] = strings.TrimSpace(string(text))
		}
	}
	m.Filtered = filtered()
}

// refusal is a machine as far as it explains why a user namespace could not be made.
func refusal(err error) *Machine {
	m := &Machine{Sysctls: make(map[string]string), Single: err}
	m.Executable, _ = os.Executable()
	m.lookNamespaces()
	m.Chroot, m.Leavable = lookChroot(err)
	return m
}

func lookChroot(refusal error) (is, leavable bool) {
	if !errors.Is(refusal, unix.EPERM) {
		return false, false
	}
	return chroot()
}

// tryUserNamespace starts a program that does nothing in a user namespace.
func tryUserNamespace(mode userns.Mode, c userns.Caller) error {
	ids, err := userns.Compile(userns.Request{Mode: mode}, c)
	if err != nil {
		return err
	}
	ws, err := RunInMap(ids, c, []string{"/bin/true", "/usr/bin/true"}, []string{"true"}, nil, -1)
	if err == nil && ws != 0 {
		err = fmt.Errorf("a process in it ended with status %#x", int(ws))
	}
	return err
}

// tryLimits finds out which limits can be enforced, one by one.
func (m *Machine) tryLimits(getenv func(string) string) {
	for _, o := range [...][2]string{{"memory", "64m"}, {"cpus", "0.5"}, {"cpuset-cpus", "0"}, {"pids-limit", "64"}, {"blkio-weight", "500"}} {
		var l cgroup.Limits
		err := l.Set(o[0], o[1])
		if err == nil {
			h := cgroup.Probe(&l, getenv)
			_, _, err = cgroup.Compile(&l, &h, "doctor", cgroup.Require)
		}
		if err != nil {
			m.Limits[o[0]] = err
		}
	}
}

// subordinates calls do with each line of a file of subordinate ids that is one.
func subordinates(file string, do func(owner string, r userns.Range)) {
	text, err := small(file)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 3 {
			first, err1 := strconv.ParseUint(f[1], 10, 32)
			count, err2 := strconv.ParseUint(f[2], 10, 32)
			if err1 == nil && err2 == nil {
				do(f[0], userns.Range{Start: uint32(first), Count: uint32(count)})
			}
		}
	}
}

// nextSubordinate is the first id above all that /etc/subuid and /etc/subgid give away.
func nextSubordinate() uint32 {
	next := uint64(100000)
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		subordinates(file, func(_ string, r userns.Range) { next = max(next, uint64(r.Start)+uint64(r.Count)) })
	}
	return uint32(min(next, 1<<32-1))
}

// whoShares is another user who has been given some of the caller's subordinate ids, or nobody.
func whoShares(c userns.Caller) (who string) {
	for file, own := range map[string][]userns.Range{"/etc/subuid": c.Subordinate.UID, "/etc/subgid": c.Subordinate.GID} {
		subordinates(file, func(owner string, r userns.Range) {
			if owner != c.Subordinate.Name && owner != strconv.FormatUint(uint64(c.UID), 10) &&
				slices.ContainsFunc(own, func(o userns.Range) bool { return overlap([]userns.Range{o, r}) }) {
				who = owner
			}
		})
	}
	return who
}
