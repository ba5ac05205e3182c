package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// wake is an eventfd that gets a goroutine out of poll(2). What happened is in
// the session; the eventfd only says that something did.
type wake int

func newWake() (wake, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	return wake(fd), os.NewSyscallError("eventfd", err)
}

func (w wake) signal() {
	// Any number but 0 and 2^64-1 does, in either byte order.
	count := [8]byte{1}
	_, _ = unix.Write(int(w), count[:])
}

// clear is called by the goroutine that was woken, before it looks around.
func (w wake) clear() {
	var count [8]byte
	_, _ = unix.Read(int(w), count[:])
}

func (w wake) close() { _ = unix.Close(int(w)) }

// wait polls the wake and up to one more descriptor for its events, and returns
// what happened to that one. timeout is in milliseconds, -1 for none.
func (w wake) wait(fd int, events int16, timeout int) int16 {
	fds := [2]unix.PollFd{{Fd: int32(w), Events: unix.POLLIN}, {Fd: int32(fd), Events: events}}
	// EINTR is as good as a wake: every caller looks around and waits again.
	_, _ = unix.Poll(fds[:], timeout)
	if fds[0].Revents != 0 {
		w.clear()
	}
	return fds[1].Revents
}
