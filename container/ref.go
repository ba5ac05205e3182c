package container

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

// Ref names a process for good: its id alone is given to another one some day.
type Ref struct {
	PID   int
	Start uint64 // when it started, in clock ticks since the boot (field 22 of proc_pid_stat(5))
	Boot  string // which boot: proc_sys_kernel(5), random/boot_id
	PIDNS uint64 // inode of the pid namespace in which the id counts
}

// here is where the caller is: what the processes that it sees have in common.
var here = sync.OnceValues(func() (Ref, error) {
	boot, err := sys.BootID()
	if err != nil {
		return Ref{}, err
	}
	var ns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &ns); err != nil {
		return Ref{}, &os.PathError{Op: "stat", Path: "/proc/self/ns/pid", Err: err}
	}
	return Ref{Boot: boot, PIDNS: ns.Ino}, nil
})

// RefOf returns the reference of a process that runs, or is a zombie. The error is an *os.PathError of its directory
// in /proc.
func RefOf(pid int) (Ref, error) {
	ref, err := here()
	if err != nil {
		return Ref{}, err
	}
	ref.PID = pid
	ref.Start, err = startTime(pid)
	return ref, err
}

// startTime reads /proc/PID/stat. The name of the program, in parentheses, may have any bytes in it.
func startTime(pid int) (uint64, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	stat, err := readFile(unix.AT_FDCWD, path)
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const start = 22 - 3 // the first field after the name is the third
	if len(fields) <= start {
		return 0, fmt.Errorf("parse %s: it has %d fields after the name", path, len(fields))
	}
	n, err := strconv.ParseUint(string(fields[start]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse %s: %w", path, err)
	}
	return n, nil
}

// life is whether the process of a reference runs.
type life int

const (
	gone      life = iota
	alive          // and there is a pidfd
	elsewhere      // its pid namespace is another one, from which nothing can be seen here
)

// open finds the process. pidfd is -1 unless it is alive.
func (r Ref) open() (pidfd int, is life, err error) {
	if r.PID <= 0 {
		return -1, gone, nil
	}
	now, err := here()
	if err != nil {
		return -1, gone, err
	}
	if r.Boot != now.Boot {
		return -1, gone, nil
	}
	if r.PIDNS != now.PIDNS {
		return -1, elsewhere, nil
	}
	pidfd, err = unix.PidfdOpen(r.PID, 0)
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EINVAL):
		return -1, gone, nil // EINVAL: the id is that of a thread now
	case err != nil:
		return -1, gone, os.NewSyscallError("pidfd_open", err)
	}
	start, err := startTime(r.PID)
	switch {
	case err == nil && start == r.Start && !ended(pidfd):
		// Alive after the look at its start time: that was the pidfd's process.
		return pidfd, alive, nil
	case err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESRCH):
		_ = unix.Close(pidfd)
		return -1, gone, err
	}
	_ = unix.Close(pidfd)
	return -1, gone, nil
}

// look is open for those who want to know no more.
func (r Ref) look() (life, error) {
	fd, is, err := r.open()
	if fd >= 0 {
		_ = unix.Close(fd)
	}
	return is, err
}

// ended reports whether a process is a zombie or gone.
func ended(pidfd int) bool {
	ready, err := sys.Readable(pidfd, 0)
	return err != nil || ready
}
