package container

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

// Process is a container's process 1 that was verified: signals, waits and joins go through its pidfd, so they reach
// that process or none.
type Process struct {
	PID   int // for messages and /proc; it may be another process's by now
	PIDFD int // close-on-exec
}

// NotRunningError says that a container's processes are not there.
type NotRunningError struct {
	Name   string
	Status Status
}

func (e *NotRunningError) Error() string {
	switch e.Status {
	case Created:
		return "it is still being started"
	case Damaged:
		return "its state is damaged"
	case Running, Exited, Dead:
	}
	return "it is not running"
}

// Open finds the container's process 1. The error is a *NotRunningError, a *ForeignError, or of the machine.
func (e *Entry) Open() (*Process, error) {
	if e.Status == Damaged || e.State.Init.PID == 0 {
		return nil, &NotRunningError{e.Name, e.Status}
	}
	if p := e.init; p != nil && !p.Ended() {
		e.init = nil
		return p, nil
	}
	p, is, err := e.State.Init.process()
	switch {
	case err != nil:
		return nil, err
	case is == elsewhere:
		return nil, &ForeignError{e.State.Init.PID, "it was started in another pid namespace"}
	case is == gone:
		return nil, &NotRunningError{e.Name, Dead}
	}
	return p, nil
}

// process opens and verifies the process of a reference; nil unless it is alive and within sight.
func (r Ref) process() (*Process, life, error) {
	fd, is, err := r.open()
	if err != nil || is != alive {
		return nil, is, err
	}
	p := &Process{r.PID, fd}
	err = p.verify()
	if err == nil {
		return p, alive, nil
	}
	is = alive
	if p.Ended() {
		is, err = gone, nil
	}
	p.Close()
	return nil, is, err
}

// Namespace opens a namespace of the process, by its name in /proc/PID/ns.
func (p *Process) Namespace(kind string) (int, error) { return p.open("ns/"+kind, unix.O_RDONLY) }

// open opens a file of its directory in /proc.
func (p *Process) open(name string, flags int) (int, error) {
	path := "/proc/" + strconv.Itoa(p.PID) + "/" + name
	fd, err := sys.OpenAt(unix.AT_FDCWD, path, flags, 0)
	if err != nil {
		return -1, err
	}
	// Alive after the open: what was opened was the pidfd's process's.
	if p.Ended() {
		_ = unix.Close(fd)
		return -1, &os.PathError{Op: "open", Path: path, Err: unix.ESRCH}
	}
	return fd, nil
}

// Root opens the root directory of the process, O_PATH and close-on-exec. What is below it is the container's.
func (p *Process) Root() (int, error) { return p.open("root", unix.O_PATH|unix.O_DIRECTORY) }

// GroupsStay reports whether setgroups(2) is denied in its user namespace.
func (p *Process) GroupsStay() (bool, error) {
	fd, err := p.open("setgroups", unix.O_RDONLY)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	var word [16]byte
	n, err := unix.Read(fd, word[:])
	return bytes.HasPrefix(word[:max(n, 0)], []byte("deny")), os.NewSyscallError("read", err)
}

// maxDepth is how deep user namespaces nest (user_namespaces(7)).
const maxDepth = 33

// verify looks whether the process is in a user namespace below the caller's own that the caller's user has made. The
// error is a *ForeignError, or of the machine.
func (p *Process) verify() error {
	ns, err := p.Namespace("user")
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return &ForeignError{p.PID, "its namespaces may not be looked at"}
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(ns) }()
	owner, err := unix.IoctlGetUint32(ns, unix.NS_GET_OWNER_UID)
	if err != nil {
		return os.NewSyscallError("ioctl NS_GET_OWNER_UID", err)
	}
	if int(owner) != unix.Geteuid() {
		return &ForeignError{p.PID, "its user namespace belongs to user " + strconv.FormatUint(uint64(owner), 10)}
	}
	var own unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &own); err != nil {
		return &os.PathError{Op: "stat", Path: "/proc/self/ns/user", Err: err}
	}
	for range maxDepth {
		parent, err := unix.IoctlRetInt(ns, unix.NS_GET_PARENT)
		if errors.Is(err, unix.EPERM) {
			break // one above the caller's, or beside it
		}
		if err != nil {
			return os.NewSyscallError("ioctl NS_GET_PARENT", err)
		}
		_ = unix.Close(ns)
		ns = parent
		var st unix.Stat_t
		if err := unix.Fstat(ns, &st); err != nil {
			return os.NewSyscallError("fstat", err)
		}
		if st.Dev == own.Dev && st.Ino == own.Ino {
			return nil
		}
	}
	return &ForeignError{p.PID, "its user namespace is not below yours"}
}

// Signal sends a signal to process 1, which passes it on to the command, but for SIGKILL and SIGSTOP. The error is an
// *os.SyscallError; of ESRCH when it has ended.
func (p *Process) Signal(s unix.Signal) error {
	return os.NewSyscallError("pidfd_send_signal", unix.PidfdSendSignal(p.PIDFD, s, nil, 0))
}

// Ended reports whether the process has ended, reaped or not.
func (p *Process) Ended() bool { return ended(p.PIDFD) }

// Wait waits for the end, for at most that long, or for ever when it is negative.
func (p *Process) Wait(most time.Duration) (ended bool, err error) {
	end := time.Now().Add(most)
	for {
		ms := -1
		if most >= 0 {
			ms = int(max(0, (time.Until(end)+time.Millisecond-1)/time.Millisecond))
		}
		if ended, err = sys.Readable(p.PIDFD, min(ms, 1<<30)); ended || err != nil || ms == 0 {
			return ended, err
		}
	}
}

// Close gives the pidfd back.
func (p *Process) Close() {
	if p.PIDFD >= 0 {
		_ = unix.Close(p.PIDFD)
	}
	p.PIDFD = -1
}

func isForeign(err error, to **ForeignError) bool { return errors.As(err, to) }
