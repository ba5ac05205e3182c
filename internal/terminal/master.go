package terminal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

var errNotMaster = errors.New("not the master of a pty")

// CheckMaster returns an error, an *os.PathError, unless fd is the master of a
// pty, open for reading and writing. It was opened in the container, where something
// else may lie at /dev/pts/ptmx: it has to be the character device 5:2, which the
// kernel's ptmx alone serves, and to answer as a master, for a slave knows no TIOCGPTN.
// The other majors that once belonged to masters, 128 to 135, cannot be opened
// (ptm_unix98_lookup).
func CheckMaster(fd int) error {
	if err := checkMaster(fd); err != nil {
		return &os.PathError{Op: "check", Path: "pty", Err: err}
	}
	return nil
}

func checkMaster(fd int) error {
	var st unix.Stat_t
	if err := sys.Retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || unix.Major(st.Rdev) != 5 || unix.Minor(st.Rdev) != 2 {
		return errNotMaster
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	if flags&unix.O_ACCMODE != unix.O_RDWR || flags&unix.O_PATH != 0 {
		return errNotMaster
	}
	if _, err := unix.IoctlGetInt(fd, unix.TIOCGPTN); err != nil {
		return errNotMaster
	}
	return nil
}
