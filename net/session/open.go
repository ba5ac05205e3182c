package session

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

// ErrNone is the error of Open when no session runs: none was started, its
// process has ended, or the machine was booted since.
var ErrNone = errors.New("no session runs")

// Session is one that runs: its process was verified, and Pidfd refers to it and
// to no other that its pid may come to mean.
type Session struct {
	State
	// Pidfd is close-on-exec. setns(Pidfd, CLONE_NEWUSER) joins the user
	// namespace; with CLONE_NEWNET the net namespace too, since Linux 5.8.
	Pidfd int
	// Elsewhere: the caller is in another net namespace than that in which the session's way
	// out begins, so that by it he would reach what he himself does not.
	Elsewhere bool
}

// Open finds the caller's session. It costs a dozen system calls.
//
// What is written down is checked: the boot, that the process started when it
// says, that it is alive, that its user namespace is the one named, is owned by
// the caller's effective uid and is a child of his own user namespace.
//
// The error is ErrNone where no session runs; any other is that of a file or
// system call, or says what is wrong with the process.
func Open(d Dir) (*Session, error) {
	state, err := d.readState()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, ErrNone
	case err != nil:
		// cut short, or of another version: as good as none
		return nil, fmt.Errorf("%w (%w)", ErrNone, err)
	}
	boot, err := sys.BootID()
	if err != nil {
		return nil, err
	}
	if state.BootID != boot || state.Pid <= 0 {
		return nil, ErrNone
	}
	pidfd, err := unix.PidfdOpen(state.Pid, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return nil, ErrNone
	case err != nil:
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	if err := state.verify(pidfd); err != nil {
		// One that is just ending may not be looked at any more.
		denied := errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
		if denied && ends(pidfd, time.Second) {
			err = ErrNone
		}
		_ = unix.Close(pidfd)
		return nil, err
	}
	var own unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &own); err != nil {
		_ = unix.Close(pidfd)
		return nil, &os.PathError{Op: "stat", Path: "/proc/self/ns/net", Err: err}
	}
	return &Session{State: state, Pidfd: pidfd, Elsewhere: state.Outside != 0 && state.Outside != own.Ino}, nil
}

// Close gives the pidfd back.
func (s *Session) Close() { _ = unix.Close(s.Pidfd) }

// verify compares the process with what is written of it. The pidfd is open
// already: when all is right and the process is still alive at the end, then it
// was this process that was looked at.
func (s *State) verify(pidfd int) error {
	proc := "/proc/" + strconv.Itoa(s.Pid)
	start, err := StartTime(s.Pid)
	if err != nil || start != s.StartTime {
		return ErrNone
	}
	user, err := openNamespace(proc + "/ns/user")
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(user) }()
	if ino, err := inode(user); err != nil || ino != s.UserNS {
		return fmt.Errorf("session process %d: its user namespace is not the session's", s.Pid)
	}
	// NS_GET_OWNER_UID gives the uid as the caller's user namespace has it.
	owner, err := unix.IoctlGetUint32(user, unix.NS_GET_OWNER_UID)
	if err != nil {
		return os.NewSyscallError("ioctl NS_GET_OWNER_UID", err)
	}
	if int(owner) != os.Geteuid() {
		return fmt.Errorf("session process %d: its user namespace belongs to uid %d", s.Pid, owner)
	}
	parent, err := unix.IoctlRetInt(user, unix.NS_GET_PARENT)
	if err != nil {
		return os.NewSyscallError("ioctl NS_GET_PARENT", err)
	}
	defer func() { _ = unix.Close(parent) }()
	var own unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &own); err != nil {
		return &os.PathError{Op: "stat", Path: "/proc/self/ns/user", Err: err}
	}
	if ino, err := inode(parent); err != nil || ino != own.Ino {
		return fmt.Errorf("session process %d: its user namespace is not a child of the caller's", s.Pid)
	}
	// A signal of 0 would reach one that has ended and was not waited for.
	if ends(pidfd, 0) {
		return ErrNone
	}
	return nil
}

// ends reports whether the process of a pidfd has ended, or does so within a time.
func ends(pidfd int, within time.Duration) bool {
	ended, err := sys.Readable(pidfd, int(within.Milliseconds()))
	return err != nil || ended
}

// openNamespace opens a file of nsfs. Two processes cannot be mixed up by it: the
// inode number is compared.
func openNamespace(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return -1, ErrNone
	case err != nil:
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

func inode(fd int) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	return st.Ino, nil
}

// StartTime is when a process started, in clock ticks since the boot: field 22 of
// /proc/PID/stat (proc_pid_stat(5)). The name, field 2, may hold blanks and
// parentheses, so fields are counted behind the last parenthesis.
func StartTime(pid int) (uint64, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return 0, &os.PathError{Op: "parse", Path: path, Err: errors.New("too few fields")}
	}
	v, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return 0, &os.PathError{Op: "parse", Path: path, Err: err}
	}
	return v, nil
}
