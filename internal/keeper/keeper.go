//go:build linux && (amd64 || arm64)

// Package keeper holds the keeper of a detached container: the process on the host that is the parent of the container's
// init, takes the output and leaves the exit status behind. Like the init (package pid1) it is a static program of some
// three hundred instructions of assembly, so that a detached container costs the host three pages of memory beside its
// own.
//
// # What the keeper does
//
// It blocks all signals, sets its name, disarms PR_SET_PDEATHSIG, calls setsid, changes to / or the control group, reads init's pid from a
// descriptor and closes that and 0 to 2. What it holds then is the output's read end, the directory, the exit file, a
// pidfd, and the file [Log] once there is output. It waits for two things:
//
//   - Output is moved into the ring: at most Cap/2 bytes into Log, which then replaces [OldLog]. From a pipe splice(2)
//     moves it, at offsets, because splice to a file opened with O_APPEND fails; what is no pipe is read and written.
//     When a file cannot be made or takes no more (ENOSPC, EDQUOT, RLIMIT_FSIZE, a directory that was removed) what was
//     read is dropped and counted in the exit file; later output is tried again. So the container's writes neither
//     block for longer than the keeper needs to be scheduled, nor fail.
//   - Init's death. Nobody of its pid namespace is left then, so what the pipe holds then is read; who holds it outside
//     and goes on writing is heard for 64 kB more at most. The status goes in place into the exit file, then init is reaped,
//     so that no reader finds init's pid gone before its status is there, and the keeper ends with exit status 0.
//
// A control group has its counters only as long as it is there, and systemd removes it with the last process of the scope,
// which is the keeper: so the keeper copies what memory.events says when init is dead, before the status. A group in a
// subtree nobody else would remove.
//
// A pseudo-terminal's master hangs up when nobody has the other side open, and poll(2) would return at once ever after.
// The keeper therefore holds the other side (TIOCGPTPEER, Linux 4.13); where that is not possible it looks at the
// terminal once a second while it hangs.
//
// It exits with 125 when it cannot work: bad arguments, nothing to read, no pidfd, init is not its child.
//
// # What it needs from its starter
//
// Init is its child and armed PR_SET_PDEATHSIG with SIGKILL, so that neither outlives the other: the keeper has no other
// way to end it, and needs none. Init's pid is written before the exec. All signals are blocked, and all descriptors are
// close-on-exec but 0 to 2 and those that it is told of, all above 2. The exit file holds [EmptyExit], on a
// filesystem that writes in place.
package keeper

import (
	"strconv"

	"github.com/rl-run/rl-run/internal/static"
)

// Name is the keeper's argv[0] and its name in /proc/PID/comm.
const Name = "rl-keeper"

// Failure is the exit status of a keeper that could not do its work.
const Failure = 125

// The files of the ring, mode 0600. Log is made with the first output; both together hold the last Cap/2 bytes or more.
const (
	Log    = "log"
	OldLog = "log.1"
)

// Options are what a keeper works on. Descriptors are numbers above 2 in the process that executes it.
type Options struct {
	// PID is the descriptor from which one read gives init's pid as eight bytes in native byte order: an eventfd or a pipe.
	PID int
	// Output is where the container's output is read: a pipe's read end, a pseudo-terminal's master, or a socket. Nobody
	// else may read there.
	Output int
	// Dir is the directory of the ring. O_PATH is enough.
	Dir int
	// Exit is the exit file, open for writing and without O_APPEND.
	Exit int
	// Group is the directory of init's control group, empty for none: at the end its memory.events is copied behind the
	// line of the exit file, and it is removed.
	Group string
	// Cap is how many bytes the ring may hold. Below 2 nothing is kept, nor counted as dropped.
	Cap int64
}

// Argv returns the keeper's arguments.
func Argv(o Options) []string {
	argv := []string{Name}
	for _, fd := range []int{o.PID, o.Output, o.Dir, o.Exit} {
		argv = append(argv, strconv.Itoa(fd))
	}
	argv = append(argv, strconv.FormatInt(max(o.Cap, 0)/2, 10))
	if o.Group != "" {
		argv = append(argv, o.Group)
	}
	return argv
}

// endMark follows the last instruction of the program.
const endMark = "rl-keeper ended."

// text returns the address of the program's first instruction. Written in assembly: the Go value of an assembly
// function is the address of an ABI wrapper.
func text() *[static.Max]byte

// Image returns the keeper as a static ELF executable of this architecture. Each call returns a fresh slice.
func Image() []byte { return static.Image(static.Code(text(), endMark)) }

// MemFD returns a new close-on-exec descriptor of a sealed memfd that holds [Image], fit for execveat(2) with
// AT_EMPTY_PATH. It is the caller's to close. Errors are those of [static.MemFD].
func MemFD() (int, error) { return static.MemFD(Name, Image()) }
