package mountspec

import (
	"fmt"
	"slices"
	"strings"
)

// Mount is one mount that was asked for: a [Bind], a [Tmpfs] or a [Device].
// Values are comparable.
type Mount interface {
	// MountPoint is the destination inside the container: absolute, cleaned,
	// never "/".
	MountPoint() string
	// Flag is the option that takes what String returns.
	Flag() string
	// String is a value of Flag that parses to the same Mount.
	String() string
}

// Propagation says which mounts of the host still arrive below a bind after the
// start, mount_namespaces(7). None ever leaves: a mount namespace that belongs
// to a new user namespace is a slave of the one it was copied from.
type Propagation uint8

const (
	Private Propagation = iota // none arrive; the default
	Slave                      // those below SRC's own mount arrive
	RSlave                     // those below SRC's own mount and its submounts arrive
)

// String is the name that -v and bind-propagation take.
func (p Propagation) String() string {
	switch p {
	case Private:
		return "rprivate"
	case Slave:
		return "slave"
	case RSlave:
		return "rslave"
	}
	return fmt.Sprintf("propagation(%d)", uint8(p))
}

// Bind is a file or directory of the host that appears in the container, with
// nosuid and nodev.
type Bind struct {
	// Source is a path of the host as it was written: it may be relative, and
	// is not cleaned, because ".." after a symbolic link means another place.
	Source       string
	Target       string
	ReadOnly     bool // for the mounts below Source as well
	NoExec       bool // for the mounts below Source as well
	NonRecursive bool // leave out the mounts below Source
	Propagation  Propagation
}

// MountPoint returns Target.
func (b Bind) MountPoint() string { return b.Target }

// Flag returns "--mount", which can say every Bind; -v has no way to write a
// colon.
func (b Bind) Flag() string { return "--mount" }

// String is the value for --mount.
func (b Bind) String() string {
	fields := []string{"type=bind", "source=" + b.Source, "destination=" + b.Target}
	if b.ReadOnly {
		fields = append(fields, "readonly")
	}
	if b.NoExec {
		fields = append(fields, "noexec")
	}
	if b.NonRecursive {
		fields = append(fields, "bind-recursive=disabled")
	}
	if b.Propagation != Private {
		fields = append(fields, "bind-propagation="+b.Propagation.String())
	}
	return joinFields(fields)
}

// Order returns the mounts so that each comes after those that it lies below:
// in the other order the upper one would hide it. Mounts that do not depend on
// each other keep their order. Two with the same destination are an error.
//
// Destinations are compared as text; that two of them meet through a symbolic
// link of the root shows only when they are resolved.
func Order(mounts []Mount) ([]Mount, error) {
	seen := make(map[string]Mount, len(mounts))
	for _, m := range mounts {
		if first, ok := seen[m.MountPoint()]; ok {
			return nil, reject(m.Flag(), m.String(), "%s %s has the same destination", first.Flag(), printable(first.String()))
		}
		seen[m.MountPoint()] = m
	}
	ordered := slices.Clone(mounts)
	slices.SortStableFunc(ordered, func(a, b Mount) int {
		return strings.Count(a.MountPoint(), "/") - strings.Count(b.MountPoint(), "/")
	})
	return ordered, nil
}
