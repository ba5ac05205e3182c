package plan

import "golang.org/x/sys/unix"

// Kinds of an op. All but compare and decimal make the system call nr.
const (
	kindCall    = 0 // any result that is no errno will do
	kindWant    = 1 // the result must be op.want, else errUnwanted
	kindCompare = 2 // no call: arg0 & arg1 must be arg2, else errno arg3
	kindClone   = 3 // in the new process go on at arg2, with the machine arg3
	kindDecimal = 4 // no call: arg0 is written in decimal, its last digit before the address arg1
)

// errUnwanted is what a kindWant reports whose result is another. The kernel
// has no such errno, so it cannot be mistaken for one of its own.
const errUnwanted = 4095

// op is one system call of a child, ready to be made. Its layout is known to
// the interpreter (go_asm.h).
type op struct {
	nr    uint64
	arg   [6]uint64 // literals, or addresses in the arena
	deref uint32    // bit i: argument i is the word at address arg[i]; not for the sixth
	kind  uint32
	out   uint64 // where to put the result; 0 for nowhere
	want  int64
	mask1 uint64 // errnos (bit set, below 64) that are followed by jump1
	mask2 uint64 // the same for jump2
	jump1 int32  // in bytes, from this op
	jump2 int32
	step  int32 // entry of the plan, from 0
	_     int32
}

// machine is where a child reports: record {step, errno} goes to the control
// socket. Each child has its own, since they share memory.
type machine struct {
	control uint64
	step    int32
	errno   int32

	// Of an init whose command is not in a pid namespace of its own: it hangs up first, and waits until the command has
	// nothing open any more, by its execution or its end.
	command unix.PollFd // init's end of their socket; -1 for none
	other   int64       // the command's end, while that has not been started; -1 for none
	linger  [2]uint64   // s, ns: the longest wait
}

// cloneArgs is struct clone_args of clone3(2), as far as Linux 5.5 knows it.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize uint64
}

// start clones a child which runs the program at first; the launcher gets its
// pid, or a negative errno. The child shares the memory of the launcher
// (CLONE_VM) but uses no stack, so that the launcher need not wait for it
// (CLONE_VFORK: a thread in a raw system call stops a garbage collection).
//
// A size of 0 has it use clone(2), which takes the flags with the signal of the exit in their lowest byte, and the
// address of the pidfd.
//
// All signals must be blocked, and args, first and m lie outside Go's heap.
//
//go:noescape
func start(args *cloneArgs, size uintptr, first *op, m *machine) (pid int64)
