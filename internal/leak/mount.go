package leak

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mount is one line of proc_pid_mountinfo(5), as far as it is of use here. Octal
// escapes are left in place: names are compared and shown, not opened.
type mount struct {
	id, root, target, fstype, source string
}

func readMounts(path string) ([]mount, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var mounts []mount
	for line := range strings.Lines(string(text)) {
		mine, super, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(mine), strings.Fields(super)
		if !ok || len(f) < 6 || len(g) < 2 {
			return nil, &os.PathError{Op: "parse", Path: path, Err: unix.EINVAL}
		}
		mounts = append(mounts, mount{id: f[0], root: f[3], target: f[4], fstype: g[0], source: g[1]})
	}
	return mounts, nil
}

// listMounts names the mounts of the test program's own mount namespace; all others end
// with their namespaces.
//
// Who lacks CAP_SYS_ADMIN mounts only through fusermount; a mount of any other type
// is then somebody else's and would fail tests that run beside it.
func listMounts(*scope) (map[string]string, error) {
	mounts, err := readMounts("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	able, err := haveCapability(unix.CAP_SYS_ADMIN)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, m := range mounts {
		if able || strings.HasPrefix(m.fstype, "fuse") {
			names[fmt.Sprintf("%s on %s", m.fstype, m.target)+" (mount id "+m.id+")"] = fmt.Sprintf("%s of %s", m.root, m.source)
		}
	}
	return names, nil
}

// haveCapability looks into the effective set, capabilities(7).
func haveCapability(c int) (bool, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(text)) {
		if set, ok := strings.CutPrefix(line, "CapEff:"); ok {
			bits, err := strconv.ParseUint(strings.TrimSpace(set), 16, 64)
			return bits&(1<<c) != 0, err
		}
	}
	return false, &os.PathError{Op: "parse", Path: "/proc/self/status", Err: unix.EINVAL}
}
