package plan

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// next reads one record; ok is false at the end of the socket.
func (c *Child) next() (step int, ok bool, err error) { return c.nextFrom(c.theirs) }

func (c *Child) nextFrom(fd int) (step int, ok bool, err error) {
	var record [2]int32
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&record)), unsafe.Sizeof(record))
	var oob [64]byte
	n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob[:], unix.MSG_CMSG_CLOEXEC)
	for errors.Is(err, unix.EINTR) {
		n, oobn, _, _, err = unix.Recvmsg(fd, buf, oob[:], unix.MSG_CMSG_CLOEXEC)
	}
	switch {
	case errors.Is(err, unix.ECONNRESET): // ended with unread bytes
		return 0, false, nil
	case err != nil:
		return 0, false, os.NewSyscallError("recvmsg", err)
	case n == 0:
		return 0, false, nil
	case n != len(buf) || record[0] < 0 || int(record[0]) >= len(c.plan.Entries):
		return 0, false, fmt.Errorf("read control socket: bad record of %d bytes", n)
	}
	e := c.plan.Entries[record[0]]
	_, started := e.Step.(StartInit)
	if oobn > 0 {
		if err := c.take(e.Step, oob[:oobn]); err != nil {
			return 0, false, err
		}
	} else if record[1] == 0 && fd == c.theirs && !started {
		c.reached = int(record[0])
	}
	if record[1] == 0 {
		if started && c.PID == 0 && c.Keeper == 0 {
			err = c.adopt()
		}
		return int(record[0]), err == nil, err
	}
	c.told = true
	return 0, false, failedStep(c.plan, record)
}

// failedStep is the error that a child's record tells of.
func failedStep(pl Plan, record [2]int32) *StepError {
	errno := record[1]
	if errno < 0 { // as the kernel has it in an answer
		errno = -errno
	}
	e := pl.Entries[record[0]]
	failed := &StepError{Index: int(record[0]), Actor: e.Actor, Step: e.Step, Err: unix.Errno(errno)}
	if errno == errUnwanted {
		failed.Err = errShort
	}
	return failed
}

// errShort is the cause of a step that did less than it had to: a short write,
// or a launcher that is gone.
var errShort = errors.New("incomplete")

// take keeps the descriptor that came with a step's record.
func (c *Child) take(s Step, oob []byte) error {
	keep := &c.Terminal
	switch s.(type) {
	case SendNetNS:
		keep = &c.netns
	case SendUserNS:
		keep = &c.userns
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return os.NewSyscallError("recvmsg", err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			closeAll(keep)
			*keep = fd
		}
	}
	if keep != &c.Terminal && *keep >= 0 {
		*keep, err = Above(*keep)
	}
	return err
}
