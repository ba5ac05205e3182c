package userns

import (
	"fmt"
	"os"

	"github.com/rl-run/rl-run/plan"
	"golang.org/x/sys/unix"
)

// Caller is what Compile knows of whoever starts a container, and of the user
// namespace he is in.
type Caller struct {
	// UID and GID are the effective ids, in the caller's user namespace.
	UID uint32 `json:"uid"`
	GID uint32 `json:"gid"`
	// CapSetUID and CapSetGID: the capability is in the effective set, in the
	// caller's user namespace. With both he may write any map of ids he sees.
	CapSetUID bool `json:"cap_setuid"`
	CapSetGID bool `json:"cap_setgid"`
	// Bar is why no program can gain a privilege by exec: no_new_privs, or a
	// bounding set without the capability. "" where nothing bars it.
	Bar string `json:"bar,omitempty"`
	// SetgroupsDenied: setgroups(2) is off in the caller's user namespace, which
	// every namespace below inherits.
	SetgroupsDenied bool `json:"setgroups_denied,omitempty"`
	// Groups are the supplementary groups, as getgroups(2) lists them.
	Groups []uint32 `json:"groups,omitempty"`
	// Parent is the caller's own map, the parent's of the container's.
	Parent Maps `json:"parent"`

	Subordinate Subordinate `json:"subordinate"`
	Helpers     Helpers     `json:"helpers"`
}

// Probe asks the machine what Compile needs to know for mode; path is the value of
// PATH, where programs are looked for first. It reads only. For
// ModeSingle it leaves subordinate ids and helpers out: no single map needs them,
// and they are most of its cost. Errors are those of ParentMaps and of capget(2).
func Probe(mode Mode, path string) (Caller, error) {
	c := Caller{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	var err error
	if c.Parent, err = ParentMaps(); err != nil {
		return Caller{}, err
	}
	if c.Groups, err = groups(); err != nil {
		return Caller{}, err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return Caller{}, os.NewSyscallError("capget", err)
	}
	c.CapSetUID = data[0].Effective&(1<<unix.CAP_SETUID) != 0
	c.CapSetGID = data[0].Effective&(1<<unix.CAP_SETGID) != 0
	if !whole(c.Parent.UID) {
		// Only a nested namespace can have it denied; absent before Linux 3.19.
		if text, err := readProc("/proc/self/setgroups"); err == nil {
			c.SetgroupsDenied = string(text) == "deny\n"
		}
	}
	if mode == ModeSingle {
		return c, nil
	}
	c.Bar = bar()
	c.Subordinate = LookupSubordinate(c.UID, path)
	c.Helpers = FindHelpers(path)
	return c, nil
}

func groups() ([]uint32, error) {
	list, err := unix.Getgroups()
	if err != nil {
		return nil, os.NewSyscallError("getgroups", err)
	}
	var out []uint32
	for _, id := range list {
		out = append(out, uint32(id))
	}
	return out, nil
}

func bar() string {
	if v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && v == 1 {
		return "no_new_privs is set"
	}
	for _, capability := range []int{unix.CAP_SETUID, unix.CAP_SETGID} {
		v, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(capability), 0, 0, 0)
		if err == nil && v == 0 {
			return "the bounding set lacks " + capabilityName(capability)
		}
	}
	return ""
}

// ParentMaps reads the maps of the caller's own user namespace, whose inside ids
// are the host ids of a container started in it. A namespace that has no map yet
// gives no extents. Errors are *os.PathError.
func ParentMaps() (Maps, error) { return readMaps("self") }

// readMaps reads both maps of a process, each by one open.
func readMaps(pid string) (Maps, error) {
	var m Maps
	for _, f := range []struct {
		name string
		into *[]plan.Extent
	}{{"uid_map", &m.UID}, {"gid_map", &m.GID}} {
		path := "/proc/" + pid + "/" + f.name
		text, err := readProc(path)
		if err != nil {
			return Maps{}, err
		}
		if *f.into, err = ParseMap(text); err != nil {
			return Maps{}, &os.PathError{Op: "read", Path: path, Err: fmt.Errorf("not an id map: %w", err)}
		}
	}
	return m, nil
}
