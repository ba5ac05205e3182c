package session

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
)

// MTU of the bridges and of the links on them, in bytes: the largest that is a
// multiple of 8 and that an IPv4 packet can have. No wire is in between, and
// user-mode networking is an order of magnitude faster with large packets.
const MTU = 65520

// State is what the session writes down about itself, in the file session.
type State struct {
	// Pid is that of the session's process, as the caller's pid namespace has it.
	Pid int
	// StartTime is field 22 of /proc/PID/stat: clock ticks since the boot.
	StartTime uint64
	// BootID is /proc/sys/kernel/random/boot_id.
	BootID string
	// UserNS and NetNS are the inode numbers of the namespaces.
	UserNS uint64
	NetNS  uint64
	// Outside is the inode number of the net namespace in which the way out begins: that of
	// whoever started the session. 0 is one of an earlier version, which does not tell.
	Outside uint64
	// UIDMap and GIDMap are the maps of the user namespace; outside ids are those
	// that the caller sees.
	UIDMap []plan.Extent
	GIDMap []plan.Extent
	// Keep: the session stays when its last network is removed.
	Keep bool
	// Upstream is the way out, as "pasta" or "slirp4netns"; "" when there is none,
	// and Problem then says why.
	Upstream string
	Problem  string
	// Networks are those that are up, each with a Bridge.
	Networks []Network
	Created  time.Time
}

// Network finds a network of the session by its name.
func (s *State) Network(name string) (Network, bool) {
	for _, n := range s.Networks {
		if n.Name == name {
			return n, true
		}
	}
	return Network{}, false
}

// Dir is the directory of a caller's session, net in the runtime directory:
//
//	session             State, while a session runs
//	networks/NAME.json  Network, one for each, whether a session runs or not
//	names/NAME/NUMBER   the names of the container at a port of the network
//	control             the socket on which rl-net speaks with rl-netd
//	lock                held while a session is started
//	log                 what rl-netd has to say
type Dir string

// DirIn is the session's directory in a runtime directory.
func DirIn(runtime string) Dir { return Dir(filepath.Join(runtime, "net")) }

// Make makes the directory and those in it, for the caller alone. Errors are
// *os.PathError.
func (d Dir) Make() error {
	for _, dir := range []string{string(d), d.path("networks"), d.path("names")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (d Dir) path(name ...string) string {
	return string(d) + "/" + strings.Join(name, "/")
}

// Control is the path of the session's socket, Log that of its log.
func (d Dir) Control() string { return d.path("control") }

// Log is the path of the file that rl-netd writes its messages to.
func (d Dir) Log() string { return d.path("log") }

// PidFile is the path of a file with the pid alone, for systemd.
func (d Dir) PidFile() string { return d.path("pid") }

// Lock takes the lock under which a session is started; waiting for it takes as
// long as another's start. Closing the file gives it back.
func (d Dir) Lock() (*os.File, error) {
	for {
		f, err := os.OpenFile(d.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		for {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if err != nil {
			_ = f.Close()
			return nil, &os.PathError{Op: "lock", Path: d.path("lock"), Err: err}
		}
		// Tidy removes the file while it holds the lock: then another one counts.
		var locked, named unix.Stat_t
		if unix.Fstat(int(f.Fd()), &locked) == nil && unix.Stat(d.path("lock"), &named) == nil && locked.Ino == named.Ino {
			return f, nil
		}
		_ = f.Close()
	}
}

// WriteState replaces the file in one step. Errors are *os.PathError.
func (d Dir) WriteState(s State) error {
	if err := writeFile(d.path(stateFile), s.text()); err != nil {
		return err
	}
	return writeFile(d.PidFile(), []byte(strconv.Itoa(s.Pid)+"\n"))
}

// RemoveState removes what says that there is a session: its networks stay.
func (d Dir) RemoveState() {
	for _, name := range []string{stateFile, "pid", "control"} {
		_ = os.Remove(d.path(name))
	}
}

// Pid is what is written down of the session's process, whether it lives or not;
// ok is false where nothing is.
func (d Dir) Pid() (pid int, ok bool) {
	s, err := d.readState()
	return s.Pid, err == nil
}

const stateFile = "session"

func (d Dir) readState() (State, error) {
	text, err := os.ReadFile(d.path(stateFile))
	if err != nil {
		return State{}, err
	}
	s, err := parseState(text)
	if err != nil {
		err = &os.PathError{Op: "decode", Path: d.path(stateFile), Err: err}
	}
	return s, err
}

// writeJSON writes to a temporary name beside path and renames: a reader sees the
// old text or the new one. No fsync: after a crash of the machine all of it is void.
func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return &os.PathError{Op: "encode", Path: path, Err: err}
	}
	return writeFile(path, append(text, '\n'))
}

func writeFile(path string, text []byte) error {
	temporary := filepath.Dir(path) + "/." + filepath.Base(path) + "." + strconv.Itoa(unix.Gettid())
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	if err := unix.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return &os.PathError{Op: "rename", Path: path, Err: err}
	}
	return nil
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return &os.PathError{Op: "decode", Path: path, Err: err}
	}
	return nil
}

// Tidy removes what sessions leave, and the directory, when no network is written
// down and no session runs.
func (d Dir) Tidy() {
	if all, err := d.Networks(); err != nil || len(all) > 0 {
		return
	}
	lock, err := d.Lock()
	if err != nil {
		return
	}
	defer func() { _ = lock.Close() }()
	if s, err := Open(d); err == nil {
		s.Close()
		return
	}
	d.RemoveState()
	_ = os.RemoveAll(d.path("names"))
	_ = os.Remove(d.path("networks"))
	_ = os.Remove(d.path("log"))
	_ = os.Remove(d.path("lock"))
	if os.Remove(string(d)) == nil {
		_ = os.Remove(filepath.Dir(string(d))) // where it is empty
	}
}
