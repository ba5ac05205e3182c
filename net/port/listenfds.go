package port

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// FirstListenFD is the descriptor of the first socket that systemd passes,
// SD_LISTEN_FDS_START of sd_listen_fds(3).
const FirstListenFD = 3

// maxListenFDs bounds what is believed: systemd takes at most this many for one service
// (its default of FileDescriptorStoreMax and of sockets together stays far below).
const maxListenFDs = 1024

// ListenFDs are the sockets of systemd's socket activation, which --listen-fd passes on
// to the command: descriptors 3 to 3+Count-1.
//
// They belong to the host's net namespace and keep working in the container, whatever
// its network is: what the command accepts comes straight from the host, at full
// speed and with the client's address, and --net=none is enough.
//
// The protocol names the receiver by its pid (LISTEN_PID), so the command's environment has to
// have its own pid as it sees it. In a pid namespace of its own the command is the first
// process that init clones, and thus pid 2, or pid 1 without an init; clone3 with set_tid makes a
// promise of it (Linux 5.5). In a pid namespace that is shared the number is not known when the
// environment is written, so --listen-fd goes with --pid=private alone.
//
// The launcher keeps the descriptors where they are: it opens none of its own below
// 3+Count that a child would need, and exempts 3 to 3+Count-1 from the closing of
// descriptors before exec.
type ListenFDs struct {
	Count int
	// Names has Count names (FileDescriptorName=), or is empty.
	Names []string
}

// ParseListenFDs reads the three variables LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES,
// as they are in the environment of the process pid. That none were passed is an error,
// because they were asked for; so is a passing to another process, whose descriptors
// these are not. The error is an *[Error].
func ParseListenFDs(listenPID, listenFDs, names string, pid int) (ListenFDs, error) {
	reject := func(format string, args ...any) (ListenFDs, error) {
		return ListenFDs{}, &Error{Flag: "--listen-fd", Reason: fmt.Sprintf(format, args...)}
	}
	if listenPID == "" && listenFDs == "" {
		return reject("no sockets were passed, LISTEN_FDS is not set (expected a start by a systemd socket unit, or by systemd-socket-activate)")
	}
	to, err := strconv.Atoi(listenPID)
	switch {
	case err != nil || to <= 0:
		return reject("malformed LISTEN_PID %q (expected a process id)", listenPID)
	case to != pid:
		return reject("LISTEN_PID is %d and rl-run is process %d (expected the sockets to be passed to rl-run itself: a shell before it needs exec)", to, pid)
	}
	count, err := strconv.Atoi(listenFDs)
	if err != nil || count < 1 || count > maxListenFDs {
		return reject("malformed LISTEN_FDS %q (expected 1 to %d)", listenFDs, maxListenFDs)
	}
	l := ListenFDs{Count: count}
	if names == "" {
		return l, nil
	}
	// systemd allows no colon and no control character in a name, fdname_is_valid.
	l.Names = strings.Split(names, ":")
	if len(l.Names) != count {
		return reject("LISTEN_FDNAMES has %d names (expected %d, as LISTEN_FDS says)", len(l.Names), count)
	}
	for _, name := range l.Names {
		if len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
			return reject("malformed name %q in LISTEN_FDNAMES (expected at most 255 printable letters of ASCII)", name)
		}
	}
	return l, nil
}

// Env are the variables for the command, whose pid is the one that it sees itself.
func (l ListenFDs) Env(pid int) []string {
	env := []string{"LISTEN_FDS=" + strconv.Itoa(l.Count), "LISTEN_PID=" + strconv.Itoa(pid)}
	if len(l.Names) > 0 {
		env = append(env, "LISTEN_FDNAMES="+strings.Join(l.Names, ":"))
	}
	return env
}

// Check looks whether all descriptors are open sockets. A wrong count would pass on
// what the launcher opened for itself.
func (l ListenFDs) Check() error {
	for fd := FirstListenFD; fd < FirstListenFD+l.Count; fd++ {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return &os.PathError{Op: "check socket", Path: "fd " + strconv.Itoa(fd), Err: err}
		}
		if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
			return &os.PathError{Op: "check socket", Path: "fd " + strconv.Itoa(fd), Err: unix.ENOTSOCK}
		}
	}
	return nil
}
