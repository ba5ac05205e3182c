package terminal

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
)

var (
	errNotMaster = errors.New("not the master of a pty")
	errNotOne    = errors.New("not exactly one descriptor")
)

// ReceiveMaster receives the master of a pty over a Unix socket, as one
// descriptor with one or more bytes of data (SCM_RIGHTS, unix(7)). It waits for
// the message, also on a socket that is non-blocking; the descriptor is
// close-on-exec.
//
// The sender opened it in the container, where something else may lie at
// /dev/pts/ptmx. So it is taken only if it is open for reading and writing, is
// the character device 5:2, which the kernel's ptmx alone serves, and answers
// as a master: a slave knows no TIOCGPTN. Else it is closed. The error is an
// *os.PathError; around io.ErrUnexpectedEOF the sender is gone.
func ReceiveMaster(sock int) (fd int, err error) {
	fds, err := receiveFDs(sock)
	if err == nil && len(fds) != 1 {
		err = errNotOne
	}
	if err == nil {
		err = checkMaster(fds[0])
	}
	if err != nil {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return -1, &os.PathError{Op: "receive", Path: "pty", Err: err}
	}
	return fds[0], nil
}

// receiveFDs returns the descriptors of one message. With an error it may
// return some as well.
func receiveFDs(sock int) (fds []int, err error) {
	var data [64]byte
	// Room for one descriptor too many, so that it is seen. The kernel closes
	// those that find no room, and says so.
	control := make([]byte, unix.CmsgSpace(2*4))
	var n, oobn, flags int
	for {
		err = sys.Retry(func() (err error) {
			n, oobn, flags, _, err = unix.Recvmsg(sock, data[:], control, unix.MSG_CMSG_CLOEXEC)
			return
		})
		if !errors.Is(err, unix.EAGAIN) {
			break
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(sock), Events: unix.POLLIN}}, -1)
	}
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:oobn])
	if err != nil {
		return nil, err
	}
	for i := range messages {
		// EINVAL is a message of another kind, credentials for instance.
		if more, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, more...)
		}
	}
	switch {
	case flags&unix.MSG_CTRUNC != 0:
		return fds, errNotOne
	case n == 0 && len(fds) == 0:
		return nil, io.ErrUnexpectedEOF
	}
	return fds, nil
}

// CheckMaster returns an error, an *os.PathError, unless fd is the master of a
// pty, open for reading and writing. The other majors that once belonged to
// masters, 128 to 135, cannot be opened (ptm_unix98_lookup).
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
