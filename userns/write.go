package userns

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/rl-run/rl-run/plan"
	"golang.org/x/sys/unix"
)

// MapError is why the maps of a process could not be written, or are not what was
// written.
type MapError struct {
	// Object is the helper or the file concerned; "" where Err names it.
	Object string
	// Err is an *os.PathError, an *os.SyscallError, an *ExitError of a helper, or
	// the difference that Verify found.
	Err error
}

// Error reads as "map ids: newuidmap: uid range [0-1) -> [0-1) not allowed".
func (e *MapError) Error() string {
	if e.Object == "" {
		return "map ids: " + e.Err.Error()
	}
	return "map ids: " + e.Object + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *MapError) Unwrap() error { return e.Err }

// WriteMaps gives the user namespace of the process pid its maps, in the way that
// Compile chose, then reads them back and compares. The process must be a child
// of the caller that has not been waited for, so that pid cannot come to mean
// another, be in a new user namespace without maps, and be dumpable: newuidmap
// looks at who owns /proc/PID.
//
// The helpers run side by side; either is killed after 10 seconds. Before they
// start, every descriptor above 2 of the calling process is marked close-on-exec.
// Should they fail the namespace may be left with one map, and cannot be used.
//
// It may be called on a locked thread. Errors are *MapError.
func WriteMaps(pid int, m Maps, how How) error {
	if err := m.Validate(); err != nil {
		return &MapError{Err: err}
	}
	var err error
	switch how.Way {
	case WaySelf:
		// What the process would write itself. The kernel takes it from the
		// parent too, whose effective uid owns the namespace.
		if err = writeProc(procPath(pid, "setgroups"), []byte("deny")); err == nil {
			err = writeBoth(pid, m)
		}
	case WayDirect:
		err = writeBoth(pid, m)
	case WayHelpers:
		err = runHelpers(pid, m, how)
	default:
		return &MapError{Err: fmt.Errorf("no way %q to write maps", how.Way)}
	}
	if err != nil {
		return asMapError(err)
	}
	return Verify(pid, m)
}

// Verify compares the maps of the process pid with m, each read once; their order
// does not matter. It must be called from the namespace that the host ids of m
// belong to, for the kernel shows outside ids as the reader sees them. Errors are
// *MapError.
func Verify(pid int, m Maps) error {
	got, err := readMaps(strconv.Itoa(pid))
	if err != nil {
		return &MapError{Err: err}
	}
	for _, side := range []struct {
		file      string
		got, want []plan.Extent
	}{{"uid_map", got.UID, m.UID}, {"gid_map", got.GID, m.GID}} {
		if !sameMap(side.got, side.want) {
			return &MapError{
				Object: procPath(pid, side.file),
				Err:    fmt.Errorf("holds %s, not %s", describe(side.got), describe(side.want)),
			}
		}
	}
	return nil
}

func asMapError(err error) error {
	if m, ok := errors.AsType[*MapError](err); ok {
		return m
	}
	return &MapError{Err: err}
}

func procPath(pid int, file string) string { return "/proc/" + strconv.Itoa(pid) + "/" + file }

func writeBoth(pid int, m Maps) error {
	if err := writeProc(procPath(pid, "uid_map"), Text(m.UID)); err != nil {
		return err
	}
	return writeProc(procPath(pid, "gid_map"), Text(m.GID))
}

// runHelpers writes both maps by the setuid helpers, at the same time: nearly all
// of their time is their own start. newgidmap writes "deny" to setgroups itself
// where the map holds no subordinate gid.
func runHelpers(pid int, m Maps, how How) error {
	u := program{path: how.NewUIDMap, args: helperArgs(pid, m.UID), output: stderr}
	g := program{path: how.NewGIDMap, args: helperArgs(pid, m.GID), output: stderr}
	if err := runAll(helperTimeout, &u, &g); err != nil {
		return err
	}
	if err := helperFailure(&u, unix.CAP_SETUID); err != nil {
		return err
	}
	return helperFailure(&g, unix.CAP_SETGID)
}

// helperFailure adds to the helper's own words what it does not know of itself:
// "write to uid_map failed: Operation not permitted" mostly means that it came
// without its privilege.
func helperFailure(p *program, capability int) error {
	err := p.failure()
	if err == nil {
		return nil
	}
	if h, ok := inspectHelper(p.path, capability); ok && h.Problem != "" {
		err = fmt.Errorf("%w; %s", err, h.Problem)
	}
	return &MapError{Object: filepath.Base(p.path), Err: err}
}

func helperArgs(pid int, extents []plan.Extent) []string {
	args := make([]string, 0, 1+3*len(extents))
	args = append(args, strconv.Itoa(pid))
	for _, e := range extents {
		args = append(args, formatID(e.Inside), formatID(e.Outside), formatID(e.Count))
	}
	return args
}
