package userns

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// helperTimeout is when a program that does not end is killed. It is generous: an emulated machine that starts
	// fifty containers at once takes more than ten seconds.
	helperTimeout = time.Minute

	// killTimeout is how long the end of a killed program is awaited. Only one in
	// uninterruptible sleep takes longer; it is then left behind.
	killTimeout = 2 * time.Second

	// maxOutput bounds what is kept of a program's output; the rest is read and
	// dropped.
	maxOutput = 64 << 10
)

// Output descriptors of a program that are kept; the others go to /dev/null.
const (
	stdout = 1 << 1
	stderr = 1 << 2
)

// program is one short-lived child process: a helper that writes a map, or a
// lookup. It gets /dev/null as standard input, no environment, and no descriptor
// above 2.
type program struct {
	path   string
	args   []string // without the name
	output int      // stdout, stderr or both

	said    []byte // what it wrote to output
	status  unix.WaitStatus
	late    bool // killed at the time limit
	pid     int
	pidfd   int
	pipe    int // read end, -1 when closed
	running bool
}

// runAll runs the programs side by side and returns when all have ended. An error
// means that one could not be started or awaited; those that were started are then
// killed and reaped. How each ended is for failure to say.
//
// Each start keeps its thread until the exec is done (vfork), a quarter of a
// helper's time, so those behind the first have a goroutine each, for the start
// alone. They are started by syscall.ForkExec and awaited in one poll(2): package
// os tests the kernel's pidfds with a fork of its own before its first start, and
// os/exec has a goroutine for each output.
func runAll(timeout time.Duration, programs ...*program) error {
	if err := closeOnExec(); err != nil {
		return err
	}
	null, err := openFile("/dev/null", unix.O_RDWR)
	if err != nil {
		return err
	}
	defer unix.Close(null)
	for _, p := range programs {
		p.pipe, p.pidfd = -1, -1
		defer p.release()
	}
	started := make(chan error, len(programs))
	for _, p := range programs[1:] {
		go func() { started <- p.start(null) }()
	}
	err = programs[0].start(null)
	for range programs[1:] {
		if e := <-started; err == nil {
			err = e
		}
	}
	if err == nil {
		err = await(timeout, programs)
	}
	if err == nil {
		return nil
	}
	late := errors.Is(err, os.ErrDeadlineExceeded)
	for _, p := range programs {
		p.late = late && p.running
	}
	killAll(programs)
	end := await(killTimeout, programs)
	for _, p := range programs {
		if p.running {
			return &os.PathError{Op: "kill", Path: p.path, Err: end}
		}
	}
	if late {
		return end
	}
	return err
}

func (p *program) start(null int) error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	p.pipe = fds[0]
	defer unix.Close(fds[1])
	files := []uintptr{uintptr(null), uintptr(null), uintptr(null)}
	if p.output&stdout != 0 {
		files[1] = uintptr(fds[1])
	}
	if p.output&stderr != 0 {
		files[2] = uintptr(fds[1])
	}
	argv := append([]string{filepath.Base(p.path)}, p.args...)
	pid, err := syscall.ForkExec(p.path, argv, &syscall.ProcAttr{
		Files: files,
		Sys:   &syscall.SysProcAttr{PidFD: &p.pidfd},
	})
	if errors.Is(err, unix.EBADF) {
		// All of files are open, so it comes from a copy of one of them that the child makes
		// above RLIMIT_NOFILE: dup3(2) calls that EBADF, where fcntl(2) calls it EMFILE.
		err = unix.EMFILE
	}
	if err != nil {
		return &os.PathError{Op: "exec", Path: p.path, Err: err}
	}
	p.pid, p.running = pid, true
	if p.pidfd < 0 {
		// CLONE_PIDFD is of Linux 5.2, the clone3 that starts containers of 5.3.
		_ = unix.Kill(pid, unix.SIGKILL)
		_ = p.reap()
		return os.NewSyscallError("clone", unix.ENOSYS)
	}
	return nil
}

// await collects output until every program has ended, which a closed output does
// not tell: a program may close it and go on, or leave it to a child. It returns
// os.ErrDeadlineExceeded when the time is over.
func await(timeout time.Duration, programs []*program) error {
	deadline := time.Now().Add(timeout)
	fds := make([]unix.PollFd, 0, 4)
	for {
		fds = fds[:0]
		for _, p := range programs {
			if p.running {
				fds = append(fds, unix.PollFd{Fd: int32(p.pidfd), Events: unix.POLLIN})
				// A negative descriptor is passed over by poll.
				fds = append(fds, unix.PollFd{Fd: int32(p.pipe), Events: unix.POLLIN})
			}
		}
		if len(fds) == 0 {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		_, err := unix.Poll(fds, int(left/time.Millisecond)+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		if err != nil {
			continue
		}
		i := 0
		for _, p := range programs {
			if !p.running {
				continue
			}
			ended, readable := fds[i].Revents != 0, fds[i+1].Revents != 0
			i += 2
			if readable {
				p.read()
			}
			if ended {
				if err := p.reap(); err != nil {
					return err
				}
				p.drain()
			}
		}
	}
}

// read takes one piece of output, and closes the pipe at its end.
func (p *program) read() {
	var buf [4096]byte
	n, err := unix.Read(p.pipe, buf[:])
	if n <= 0 && !errors.Is(err, unix.EINTR) {
		unix.Close(p.pipe)
		p.pipe = -1
		return
	}
	if n > 0 {
		p.said = append(p.said, buf[:min(n, maxOutput-len(p.said))]...)
	}
}

// drain takes what an ended program left in the pipe and does not wait for other
// holders of its write end.
func (p *program) drain() {
	// No more than the pipe holds by default, lest such a holder keep us here.
	for range 16 {
		fd := []unix.PollFd{{Fd: int32(p.pipe), Events: unix.POLLIN}}
		if n, err := unix.Poll(fd, 0); err != nil || n == 0 {
			return
		}
		p.read()
	}
}

func (p *program) reap() error {
	for {
		_, err := unix.Wait4(p.pid, &p.status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		p.running = false
		return os.NewSyscallError("wait4", err)
	}
}

// killAll needs no pidfd: a child that was not waited for keeps its pid. The
// kernel lets the caller kill a setuid program that he started, for the real uid
// is still his (kill(2)).
func killAll(programs []*program) {
	for _, p := range programs {
		if p.running {
			// It may have ended meanwhile; then it only needs to be reaped.
			_ = unix.Kill(p.pid, unix.SIGKILL)
		}
	}
}

func (p *program) release() {
	for _, fd := range []*int{&p.pipe, &p.pidfd} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// closeOnExec marks every descriptor above 2 of this process close-on-exec. Those
// that Go opened are already; one that rl-run inherited (`rl-run … 9</etc/passwd`)
// is not, and a program that runs as root has no business with it.
func closeOnExec() error {
	err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	// CLOSE_RANGE_CLOEXEC is of Linux 5.11.
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if n, ok := parseCanonical([]byte(e.Name())); ok && n > 2 {
			unix.CloseOnExec(int(n))
		}
	}
	return nil
}
