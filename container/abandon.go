package container

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/keeper"
	"github.com/rl-run/rl-run/internal/sys"
)

// Abandon kills whoever holds an entry that is to be removed although its container cannot be asked to end: the
// launcher of one that is being started, or, where the state is damaged, the keeper that has its files open. Container and
// launcher or keeper end together. The error is of the kill.
func (e *Entry) Abandon() error {
	if e.Status == Created {
		fd, is, err := e.State.Owner.open()
		if err != nil || is != alive {
			return err
		}
		return killProcess(fd)
	}
	if e.dir < 0 {
		return nil
	}
	for _, pid := range e.writers() {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		if !e.writes(pid) { // the id is that of another process by now
			_ = unix.Close(fd)
			continue
		}
		if err := killProcess(fd); err != nil {
			return err
		}
	}
	return nil
}

// Unlock gives the caller the directory of an entry back that may not be opened for its mode. What was wrong with the entry
// shows when it is opened anew: done tells that this may help.
func (e *Entry) Unlock() (done bool, err error) {
	if e.dir >= 0 || !errors.Is(e.Damage, unix.EACCES) {
		return false, nil
	}
	c, path, err := e.store.lock()
	if err != nil {
		return false, err
	}
	defer unix.Close(c)
	var st unix.Stat_t
	err = unix.Fstatat(c, e.Name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Mode&0o700 != 0o700 {
		if err = unix.Fchmodat(c, e.Name, 0o700, 0); err == nil {
			return true, nil
		}
	}
	if err != nil {
		err = &os.PathError{Op: "chmod", Path: path + "/" + e.Name, Err: err}
	}
	return false, err
}

// killProcess kills the process of a pidfd, waits for its end and closes the pidfd.
func killProcess(fd int) error {
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	_, err := sys.Readable(fd, int(2*time.Second/time.Millisecond))
	return err
}

// writers lists the processes of the caller that can write a file of the entry.
func (e *Entry) writers() (pids []int) {
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err == nil && pid != os.Getpid() && e.writes(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// writes reports whether a process has a file of the entry open for writing, as only the keeper does.
func (e *Entry) writes(pid int) bool {
	proc := "/proc/" + strconv.Itoa(pid)
	fds, err := os.ReadDir(proc + "/fd")
	if err != nil {
		return false // another user's
	}
	files := e.files()
	for _, fd := range fds {
		var st unix.Stat_t
		if unix.Stat(proc+"/fd/"+fd.Name(), &st) != nil {
			continue
		}
		for _, f := range files {
			if f.Dev == st.Dev && f.Ino == st.Ino && forWriting(proc+"/fdinfo/"+fd.Name()) {
				return true
			}
		}
	}
	return false
}

// files are what a keeper writes to.
func (e *Entry) files() (found []unix.Stat_t) {
	for _, name := range [...]string{exitFile, keeper.Log, keeper.OldLog} {
		var st unix.Stat_t
		if unix.Fstatat(e.dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			found = append(found, st)
		}
	}
	return found
}

// forWriting reads the flags of an open file (proc_pid_fdinfo(5)), which are in octal.
func forWriting(fdinfo string) bool {
	text, err := readFile(unix.AT_FDCWD, fdinfo)
	if err != nil {
		return false
	}
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte("flags:")); ok {
			flags, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 8, 64)
			return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
		}
	}
	return false
}
