package veth

import (
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Names of the two programs.
const (
	program = "rl-veth"
	lxc     = "lxc-user-nic"
)

// Helper is a program that can make a pair.
type Helper struct {
	Path string
	LXC  bool // it is lxc-user-nic
}

// MissingError says that there is no program that could make a pair.
type MissingError struct {
	// Unable is an rl-veth that is there, but without its file capability; else "".
	Unable string
}

func (e *MissingError) Error() string {
	if e.Unable != "" {
		return "find rl-veth: " + e.Unable + " has no file capability cap_net_admin, and lxc-user-nic is not installed"
	}
	return "find rl-veth: neither it nor lxc-user-nic is installed"
}

// Find looks for rl-veth, in the directory beside, which is the one of rl-run's own
// program ("" for none), in the places of an installation and in PATH. The first one that
// has its capability counts; for root any does. Without one it looks for lxc-user-nic.
// The error is a *MissingError.
func Find(beside string) (Helper, error) {
	var places []string
	if beside != "" {
		places = append(places, filepath.Join(beside, program), filepath.Join(beside, "../libexec/rl-run", program))
	}
	for _, dir := range []string{"/usr/local/libexec/rl-run", "/usr/libexec/rl-run", "/usr/local/bin", "/usr/bin"} {
		places = append(places, filepath.Join(dir, program))
	}
	if path, err := exec.LookPath(program); err == nil {
		places = append(places, path)
	}
	missing := &MissingError{}
	for _, path := range places {
		if unix.Access(path, unix.X_OK) != nil {
			continue
		}
		if os.Geteuid() == 0 || hasCapability(path) {
			return Helper{Path: path}, nil
		}
		if missing.Unable == "" {
			missing.Unable = path
		}
	}
	if path, ok := findLXC(); ok {
		return Helper{Path: path, LXC: true}, nil
	}
	return Helper{}, missing
}

// hasCapability tells whether a file has any; which ones only rl-veth itself can tell, for
// they may not take effect where it is.
func hasCapability(path string) bool {
	n, err := unix.Getxattr(path, "security.capability", nil)
	return err == nil && n > 0
}

// findLXC looks where the distributions have it.
func findLXC() (string, bool) {
	multiarch, _ := filepath.Glob("/usr/lib/*/lxc/" + lxc)
	for _, path := range append(multiarch, "/usr/lib/lxc/"+lxc, "/usr/libexec/lxc/"+lxc) {
		if unix.Access(path, unix.X_OK) == nil {
			return path, true
		}
	}
	path, err := exec.LookPath(lxc)
	return path, err == nil
}
