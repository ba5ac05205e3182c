//go:build linux && (amd64 || arm64)

// Package guard holds the guard of a helper of a container: a network driver or a port forwarder. Like the init (package
// pid1) it is a static program of some three hundred instructions of assembly, which needs three pages of memory.
//
// # What the guard does
//
// It is process 1 of a pid namespace of its own, and the helper its child. When the guard ends, by itself or by a SIGKILL,
// the kernel kills what is in the namespace: no helper outlives its guard. The guard blocks all signals, sets its name,
// disarms PR_SET_PDEATHSIG, calls setsid, changes to / and waits for three things, without waking in between:
//
//   - The end of the container's init, or of the owner: the guard ends with exit status 0.
//   - The end of the child: it is started again, at once when that is the first time, then after 100 ms, doubling up to
//     a second. A child that lived for ten seconds counts as good, and its end as the first again.
//   - The end of other processes of the namespace, which process 1 has to reap.
//
// With a file to follow it wakes every two seconds, and reads it: when it has another text than the child was started with,
// the child is killed, and started again.
//
// A guard that is started before there is what its child is to work on waits for it first: its socket is given a descriptor,
// which takes the socket's place. The first child is there already by then, waits for the same, and has only to execute.
//
// The child gets the guard's environment and descriptors but those of owner and container, an empty signal mask and the
// working directory /. One that cannot be executed ends with exit status 127.
//
// The guard exits with 125 when it cannot work: bad arguments, no signalfd, no /dev/null, a socket whose other end has gone
// before anything was given.
//
// # What it needs from its starter
//
// CLONE_NEWPID, without which nobody kills the child; all signals blocked; close-on-exec on every descriptor that the child
// must not have. Descriptors 0 to 2 are the child's: the guard neither reads nor writes, unless one of them is Given.
package guard

import (
	"strconv"

	"github.com/rl-run/rl-run/internal/static"
)

// Name is the guard's argv[0] and its name in /proc/PID/comm.
const Name = "rl-guard"

// Failure is the exit status of a guard that could not do its work.
const Failure = 125

// None stands for a descriptor that is not there.
const None = -1

// Options are what a guard watches. Descriptors are numbers in the process that executes it.
type Options struct {
	// Owner is a pipe's or a stream socket's end, whose other end only the owner has: its hang-up ends the guard. A pipe
	// may be the read or the write end. Bytes that arrive there mean nothing. Or None.
	Owner int
	// Container is a pidfd of the container's init, or anything else that becomes readable at its end, or None.
	Container int
	// Follow is the absolute path of a file that the child reads when it starts, and only then. Or "".
	Follow string
	// Given is a socket of messages, at which a descriptor comes twice, each time with one byte (unix(7), SCM_RIGHTS): for
	// the guard and for the first child. The descriptor takes the number. Or None.
	Given int
	// Once are descriptors that only the first child inherits, like that by which it tells that it is ready. The guard
	// puts /dev/null in their place: their other side sees the end of the first child, and what a later one writes there
	// goes nowhere.
	Once []int
}

// Argv returns the guard's arguments. child[0] is the path that is executed, from / and without a search.
func Argv(o Options, child []string) []string {
	argv := []string{Name, number(o.Owner), number(o.Container), "-", number(o.Given)}
	if o.Follow != "" {
		argv[3] = o.Follow
	}
	for _, fd := range o.Once {
		argv = append(argv, number(fd))
	}
	return append(append(argv, "--"), child...)
}

func number(fd int) string {
	if fd < 0 {
		return "-"
	}
	return strconv.Itoa(fd)
}

// endMark follows the last instruction of the program.
const endMark = "rl-guard is over"

// text returns the address of the program's first instruction. Written in assembly: the Go value of an assembly
// function is the address of an ABI wrapper.
func text() *[static.Max]byte

// Image returns the guard as a static ELF executable of this architecture. Each call returns a fresh slice.
func Image() []byte { return static.Image(static.Code(text(), endMark)) }

// MemFD returns a new close-on-exec descriptor of a sealed memfd that holds [Image], fit for execveat(2) with
// AT_EMPTY_PATH. It is the caller's to close. Errors are those of [static.MemFD].
func MemFD() (int, error) { return static.MemFD(Name, Image()) }
