package container

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrNoExit says that a container has ended without an exit code: its keeper was killed, or its launcher alone knows.
var ErrNoExit = errors.New("its exit code is not known")

// Wait waits until the container has ended, and returns how. It may be called before the start is through. The error
// is ErrNoExit, or of the machine.
func (e *Entry) Wait() (Exit, error) {
	e.readExit() // opens the file: a foreground container's vanishes with the end
	var init *Process
	defer func() {
		if init != nil {
			init.Close()
		}
	}()
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if init == nil {
			p, err := e.Open()
			if _, not := errors.AsType[*NotRunningError](err); err != nil && !not {
				return Exit{}, err
			}
			init = p
		}
		if init != nil {
			if _, err := init.Wait(-1); err != nil {
				return Exit{}, err
			}
		}
		// Now the keeper writes how, or a launcher that the container runs.
		last := e.Status == Created && e.ended
		if e.readExit() {
			return e.Exit, nil
		}
		if code, ok := init.code(); ok {
			return Exit{Code: code, At: time.Now()}, nil
		}
		if err := e.Refresh(); err != nil {
			return Exit{}, err
		}
		switch {
		case e.Status == Exited:
			return e.Exit, nil
		case e.Status == Dead, e.Status == Damaged, last:
			code, ok := init.code()
			switch {
			case e.readExit():
				return e.Exit, nil
			case ok:
				return Exit{Code: code, At: time.Now()}, nil
			case e.Damage != nil && !e.vanished() && !errors.Is(e.Damage, unix.ENOENT): // which is on its way there
				return Exit{}, e.Damage
			}
			return Exit{}, ErrNoExit
		}
		time.Sleep(pause)
	}
}

// code asks the kernel how the process ended: since Linux 6.15 a pidfd remembers, once its process was reaped. It is
// not ok for nil, too.
func (p *Process) code() (code int, ok bool) {
	if p == nil {
		return 0, false
	}
	// struct pidfd_info of linux/pidfd.h, as it was first
	const exitKnown = 1 << 3
	info := struct {
		mask, cgroup uint64
		ids          [11]uint32
		exit         int32
	}{mask: exitKnown}
	const get = 3<<30 | unsafe.Sizeof(info)<<16 | 0xff<<8 | 11 // PIDFD_GET_INFO
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(p.PIDFD), get, uintptr(unsafe.Pointer(&info)))
	if errno != 0 || info.mask&exitKnown == 0 {
		return 0, false
	}
	ws := unix.WaitStatus(info.exit)
	if ws.Signaled() {
		return 128 + int(ws.Signal()), true
	}
	return ws.ExitStatus(), true
}
