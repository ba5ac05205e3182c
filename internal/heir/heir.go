//go:build linux && (amd64 || arm64)

// Package heir has what a launcher leaves to do done when it is killed.
//
// SIGKILL gives nobody the time to tidy up, and what ends with a process by itself (namespaces, mounts, locks) does not
// include files. So a launcher that is about to write down a container starts an heir before: a process of its own
// session that waits until the launcher is gone, and only then becomes a program that does the rest. Like the init
// (package pid1) it is a static program of some forty instructions, two pages of memory while it waits.
//
// # What the heir does
//
// It blocks all signals, sets its name, closes all descriptors above [program] and waits for the hang-up of the pipe that is
// its standard input. Its other end, the [Heir.Will], is open in the launcher, which may hand it on to the keeper of a
// container. When the last who holds it has gone, however that came about, the heir unblocks all signals and executes
// the program, with its own arguments and environment. A launcher that has tidied up kills its heir instead ([Heir.Release]).
//
// It exits with 125 when it cannot work, and with 127 when the program cannot be executed.
package heir

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/static"
)

// Name is the heir's name in /proc/PID/comm while it waits.
const Name = "rl-heir"

// program is the descriptor that is executed at the end.
const program = 3

// Heir is the heir of this process. The methods of nil do nothing.
type Heir struct {
	PID  int // a child of this process, which nobody else may wait for
	Will int // keeps the heir waiting as long as any process has it open; close-on-exec
}

// Start starts an heir that will execute this process's own program with the arguments argv. Errors are
// *os.PathError and *os.SyscallError.
func Start(argv []string) (*Heir, error) {
	image, err := static.MemFD(Name, Image())
	if err != nil {
		return nil, err
	}
	defer func() { unix.Close(image) }()
	if image <= program { // a number that the heir has for something else
		low := image
		image, err = unix.FcntlInt(uintptr(low), unix.F_DUPFD_CLOEXEC, program+1)
		_ = unix.Close(low)
		if err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
	}
	const self = "/proc/self/exe"
	exe, err := unix.Open(self, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: self, Err: err}
	}
	defer unix.Close(exe)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	defer unix.Close(pipe[0])
	none := ^uintptr(0)
	pid, err := syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", image), argv, &syscall.ProcAttr{
		Dir:   "/",
		Env:   os.Environ(),
		Files: []uintptr{uintptr(pipe[0]), none, none, uintptr(exe)},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		_ = unix.Close(pipe[1])
		return nil, os.NewSyscallError("execve", err)
	}
	return &Heir{pid, pipe[1]}, nil
}

// Release ends the heir: nothing is left to do.
func (h *Heir) Release() {
	if h == nil || h.PID == 0 {
		return
	}
	_ = unix.Kill(h.PID, unix.SIGKILL)
	for {
		if _, err := unix.Wait4(h.PID, nil, 0, nil); err != unix.EINTR { //nolint:errorlint // a bare errno
			break
		}
	}
	h.Leave()
}

// Leave lets go of the heir: it waits for others who hold the will.
func (h *Heir) Leave() {
	if h == nil || h.PID == 0 {
		return
	}
	_ = unix.Close(h.Will)
	h.PID, h.Will = 0, -1
}

// endMark follows the last instruction of the program.
const endMark = "rl-heir is over."

// text returns the address of the program's first instruction. Written in assembly: the Go value of an assembly
// function is the address of an ABI wrapper.
func text() *[static.Max]byte

// Image returns the heir as a static ELF executable of this architecture. Each call returns a fresh slice.
func Image() []byte { return static.Image(static.Code(text(), endMark)) }
