package plan

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// StartJoiner has the parent, or the keeper, clone the joiner: the process that
// enters namespaces of another container, which only a process of one thread can.
// A pid namespace it enters only for its children, so it starts init there, as
// its sibling, and ends.
type StartJoiner struct{}

// OwnMemory has the joiner, and with it init and command, leave the memory of
// the launcher: it executes the interpreter from a sealed memfd, with the rest of
// the plan in a memory of its own. Processes of a container that watch their new
// neighbours see neither the command line of the launcher; nor does a command that
// is a link to /proc/self/exe, or a script whose interpreter is, lead to its binary.
// All descriptors are closed but those that the plan needs.
type OwnMemory struct{}

// Join enters namespaces, CLONE_NEW* flags, of the process that Options.Pidfds has
// under the name Of (setns(2), Linux 5.8). PID is that process's for who prints the
// plan.
type Join struct {
	Flags uint64
	Of    string
	PID   int
}

// JoinCgroup has the parent move the joiner into the control group of a container that
// runs, by its path below the mount.
type JoinCgroup struct{ Path string }

// OutliveParent lets the process go on when its parent ends (PR_SET_PDEATHSIG 0).
type OutliveParent struct{}

// Leave ends init where the command needs none: in a container that has one.
type Leave struct{}

// Kind implements Step.
func (StartJoiner) Kind() Kind { return KindStartJoiner }

// Kind implements Step.
func (OwnMemory) Kind() Kind { return KindOwnMemory }

// Kind implements Step.
func (Join) Kind() Kind { return KindJoin }

// Kind implements Step.
func (JoinCgroup) Kind() Kind { return KindJoinCgroup }

// Kind implements Step.
func (OutliveParent) Kind() Kind { return KindOutlive }

// Kind implements Step.
func (Leave) Kind() Kind { return KindLeave }

func (StartJoiner) String() string { return "start the joiner" }
func (OwnMemory) String() string   { return "leave the launcher's memory" }
func (s Join) String() string {
	return fmt.Sprintf("join %s of %s", strings.Join(Namespaces(s.Flags), ", "), s.Of)
}
func (s JoinCgroup) String() string  { return "enter the control group " + s.Path }
func (OutliveParent) String() string { return "outlive the parent" }
func (Leave) String() string         { return "leave the command alone" }

// lower of the keeper's start of the joiner. Once that has ended there is an init.
func (StartJoiner) lower(p *program) {
	pid := p.keep(p.spawn(p.joiner))
	status := p.a.word()
	p.call(unix.SYS_WAIT4, pid, lit(status), lit(0), lit(0))
	p.compare(at(status), 1<<32-1, 0, unix.ECHILD)
	p.handOver()
}

func (OwnMemory) lower(p *program) {
	p.call(unix.SYS_CLOSE_RANGE, lit(3), lit(allFDs), lit(unix.CLOSE_RANGE_CLOEXEC))
	needed := []int{p.a.fd, p.control, p.image, p.pidEvent, p.toCmd, p.toInit, p.detach.logW}
	for _, fd := range p.pidfds {
		needed = append(needed, fd)
	}
	for _, fd := range needed {
		if fd > 2 {
			p.call(unix.SYS_FCNTL, lit(fd), lit(unix.F_SETFD), lit(0))
		}
	}
	argv := []string{apartName, strconv.Itoa(p.a.fd)}
	p.call(unix.SYS_EXECVEAT, lit(p.apart), p.str(""), lit(p.a.strs(argv)), lit(p.a.strs(nil)), lit(unix.AT_EMPTY_PATH))
	// From here on it is the interpreter's second life.
	p.a.goOn(p)
	p.call(unix.SYS_PRCTL, lit(unix.PR_SET_NAME), p.str(apartName))
}

func (s Join) lower(p *program) {
	fd, known := p.pidfds[s.Of]
	if !known {
		fd = -1
	}
	p.call(unix.SYS_SETNS, lit(fd), lit(s.Flags))
}

func (OutliveParent) lower(p *program) {
	p.call(unix.SYS_PRCTL, lit(unix.PR_SET_PDEATHSIG), lit(0))
}

func (Leave) lower(p *program) { p.exit() }

// exit ends the process with 0, and nothing open. The kernel lets go of a process's memory before its files, and who has no memory is
// not undumpable any more (do_exit, ptrace_may_access): for that moment the root of a container that was joined could look at them.
func (p *program) exit() {
	p.closeAllBut(0)
	p.call(unix.SYS_EXIT_GROUP, lit(0))
}

// reap waits for the joiner, which ends when it has started init, and reports whether it did not fail.
func (c *Child) reap() bool {
	var ws unix.WaitStatus
	for c.Joiner != 0 {
		if _, err := unix.Wait4(c.Joiner, &ws, 0, nil); !errors.Is(err, unix.EINTR) {
			c.Joiner = 0
		}
	}
	return ws == 0
}
