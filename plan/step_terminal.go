package plan

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OpenTerminal opens a pty of the container's own devpts, sends its master to
// the launcher over the control socket, and keeps the slave for the command.
type OpenTerminal struct{ Rows, Cols uint16 }

// TakeTerminal makes the pty the controlling terminal of the command's session
// and its stdin, stdout and stderr.
type TakeTerminal struct{}

// Kind implements Step.
func (OpenTerminal) Kind() Kind { return KindOpenTerminal }

// Kind implements Step.
func (TakeTerminal) Kind() Kind { return KindTakeTerminal }

func (s OpenTerminal) String() string {
	return fmt.Sprintf("open a terminal of %d rows and %d columns", s.Rows, s.Cols)
}

func (TakeTerminal) String() string { return "take the terminal" }

// fdMessage is a message with one fd (unix(7), SCM_RIGHTS).
type fdMessage struct {
	msg     unix.Msghdr
	iov     unix.Iovec
	payload [2]int32
	control unix.Cmsghdr
	fd      uint64 // the result of a call, of which the kernel reads 4 bytes
}

// fdMessage makes the message of this step to the launcher; the fd is put in later.
func (p *program) fdMessage() *fdMessage {
	m := (*fdMessage)(p.a.alloc(int(unsafe.Sizeof(fdMessage{}))))
	m.payload = [2]int32{p.step, 0}
	m.iov.Base = (*byte)(unsafe.Pointer(&m.payload))
	m.iov.SetLen(int(unsafe.Sizeof(m.payload)))
	m.control.Level, m.control.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
	m.control.SetLen(unix.CmsgLen(4))
	m.msg.Iov, m.msg.Iovlen = &m.iov, 1
	m.msg.Control = (*byte)(unsafe.Pointer(&m.control))
	m.msg.SetControllen(unix.CmsgSpace(4))

	return m
}

func (s OpenTerminal) lower(p *program) {
	m := p.fdMessage()
	size := (*unix.Winsize)(p.a.alloc(int(unsafe.Sizeof(unix.Winsize{}))))
	size.Row, size.Col = s.Rows, s.Cols

	// No link leads elsewhere: in a container that runs already they may be of any kind.
	master := p.call(unix.SYS_OPENAT2, cwd, p.str("/dev/pts/ptmx"),
		p.openHow(unix.O_RDWR|unix.O_NOCTTY|unix.O_NOFOLLOW, 0, unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS),
		lit(unsafe.Sizeof(unix.OpenHow{}))).keepIn(address(&m.fd))
	p.call(unix.SYS_IOCTL, master, lit(unix.TIOCSPTLCK), lit(p.a.word()))
	p.call(unix.SYS_IOCTL, master, lit(unix.TIOCSWINSZ), lit(address(size)))
	p.call(unix.SYS_IOCTL, master, lit(unix.TIOCGPTPEER), lit(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)).keepIn(p.memory.pty)
	p.call(unix.SYS_SENDMSG, lit(p.control), lit(address(&m.msg)), lit(unix.MSG_NOSIGNAL))
	p.close(master)
}

func (TakeTerminal) lower(p *program) {
	pty := at(p.memory.pty)
	p.call(unix.SYS_IOCTL, pty, lit(unix.TIOCSCTTY), lit(0))
	for fd := range 3 {
		p.call(unix.SYS_DUP3, pty, lit(fd), lit(0))
	}
}
