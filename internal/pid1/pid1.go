//go:build linux && (amd64 || arm64)

// Package pid1 holds the init of a container: the program that is process 1 there, some two hundred instructions long.
//
// A fork of the launcher would do the same work, but it would show the launcher's memory, environment and binary at
// /proc/1 to container root; a re-exec of the launcher would cost a second start of the Go runtime. So the init is
// written in assembly, one position-independent routine per architecture (pid1_amd64.s, pid1_arm64.s) that touches
// nothing but registers and the stack the kernel gives it. [Image] wraps the routine's bytes, read from the running
// program's own text, in an ELF header; [MemFD] puts them into a sealed memfd; the child between clone and exec becomes
// the init with execveat(fd, "", argv, envp, AT_EMPTY_PATH), and the Go toolchain stays the only tool of the build.
//
// # What the init does
//
// It blocks all signals, sets its name, gives SIGCHLD its default disposition, calls setsid (a ^C typed at the
// launcher's terminal would otherwise arrive twice, once by the launcher), reads from the descriptor named in its first
// argument the pid of the command, which is already its child, and closes that descriptor and 0 to 2. It then waits for
// signals, and for nothing else:
//
//   - SIGCHLD: all dead children are reaped. When the command is among them the init ends with the command's exit
//     status, or 128+N when signal N killed it.
//   - SIGPIPE, SIGTTIN, SIGTTOU and SIGURG mean the process they were sent to, not the container: dropped.
//   - Any other signal is sent on to the command, real-time signals too. The kernel does not drop what container root
//     sends to its process 1, because a blocked signal counts as wanted (signal(7), pid_namespaces(7)).
//
// In a pid namespace of its own there is nothing to clean up: the kernel kills the rest when process 1 ends. Without
// one (see [TreeArgv]) the init is a child subreaper, and kills its descendants itself, generation by generation.
//
// It exits with 125 when it cannot work: no or bad arguments, nothing to read, the command is not its child.
//
// # What it needs from its starter
//
// All signals blocked before the clone, so that none is lost before the init's first instruction; a pid that is written
// before the exec; permission to signal the command (the same user ids, or CAP_KILL); close-on-exec on every
// descriptor above 2 but the one it is told of. PR_SET_PDEATHSIG outlives the exec and keeps its meaning.
package pid1

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Name is the init's argv[0] and its name in /proc/1/comm. The kernel would derive comm from the descriptor's number
// or the memfd's name, depending on its version; the init sets it itself.
const Name = "rl-init"

// SweepSignal, SIGRTMAX, is the parent death signal of an init that ends its descendants: see [TreeArgv].
const SweepSignal = unix.Signal(64)

// Failure is the exit status of an init that could not do its work. A command may exit with it too.
const Failure = 125

// Argv returns the arguments of an init that is process 1 of a pid namespace. fd is the number of an inherited
// descriptor, an eventfd (or a pipe) from which one read gives the command's pid as eight bytes in native byte order.
func Argv(fd int) []string {
	return []string{Name, strconv.Itoa(fd)}
}

// Parents of [TreeArgv] that are not pids.
const (
	// AnyParent is a parent whose pid the init cannot see, because it lives in an outer pid namespace.
	AnyParent = 0
	// Detached makes an init that outlives its parent.
	Detached = -1
)

// TreeArgv returns the arguments of an init that shares its pid namespace with others, so that its end kills nobody.
// Such an init, which must be a child subreaper before the command is cloned (prctl(PR_SET_CHILD_SUBREAPER), Linux
// 3.4), kills all its descendants when the command ends, and when its parent dies.
//
// parent is the parent's pid as the init sees it, [AnyParent] or [Detached]. Unless detached, the init arms
// PR_SET_PDEATHSIG with SIGRTMAX, in place of what its starter armed. A SIGRTMAX means the parent's death when
// getppid(2) no longer is parent, and is sent on otherwise; with AnyParent it always means that death. A parent that
// died before the init began is noticed by the same comparison; with AnyParent only if the starter armed SIGRTMAX too.
//
// The descendants are found through /proc/thread-self/children (CONFIG_PROC_CHILDREN), opened at the start. Each pid
// read there is asked of waitid(2) before it is killed, so a /proc that lies, or that belongs to another pid
// namespace, cannot aim the SIGKILL at a process that is not the init's child. Without a readable /proc the command is
// killed and nothing else. A descendant that may not be signalled stays.
func TreeArgv(fd, parent int) []string {
	argv := append(Argv(fd), "tree")
	switch parent {
	case AnyParent:
		return argv
	case Detached:
		return append(argv, "0")
	default:
		return append(argv, strconv.Itoa(parent))
	}
}

// LooseArgv is TreeArgv with AnyParent but for one thing: what outlives the command is left to process 1 of the pid
// namespace. The descendants are killed only when the parent dies. It is for a command that joins a container.
func LooseArgv(fd int) []string { return append(Argv(fd), "loose") }
