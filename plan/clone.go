package plan

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cloneSize is the second argument of start: the size of its arguments, or 0 for clone(2).
func (w *wiring) cloneSize() uintptr {
	if w.oldClone {
		return 0
	}
	return unsafe.Sizeof(cloneArgs{})
}

// watchThread has the kernel clear the word shared.thread when the calling thread ends, before it sends the signals of
// PR_SET_PDEATHSIG (set_tid_address(2): mm_release comes before exit_notify). Of a launcher that is killed, that thread may end while another
// one still holds the control socket open.
func (c *Child) watchThread() {
	_, _, _ = unix.RawSyscall(unix.SYS_SET_TID_ADDRESS, uintptr(c.words.thread), 0, 0) // it cannot fail
}

func setSigmask(set, old *uint64) error {
	_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if e != 0 {
		return os.NewSyscallError("rt_sigprocmask", e)
	}
	return nil
}

// clones sets what a clone makes, and by which signal it tells its parent of its end. clone(2) takes that signal with
// the flags, and none of those above 32 bits.
func (w *wiring) clones(args *cloneArgs, flags uint64, exit unix.Signal) {
	args.flags, args.exitSignal = flags, uint64(exit)
	if w.oldClone {
		args.flags = flags&^unix.CLONE_CLEAR_SIGHAND | uint64(exit)
	}
}

// clone appends the call. In the new process the interpreter goes on at first with the machine m: both are arguments
// that the kernel does not look at, with clone(2) for want of flags that would have it do so.
func (p *program) clone(args *cloneArgs, first arg, m *machine) *op {
	nr, arguments := uint64(unix.SYS_CLONE3), []arg{lit(address(args)), lit(unsafe.Sizeof(*args))}
	if p.oldClone {
		nr, arguments = unix.SYS_CLONE, []arg{at(address(args)), lit(0)} // flags are the first word
	}
	o := p.call(nr, append(arguments, first, lit(address(m)))...)
	o.kind = kindClone
	return o
}

// clearHandlers does for a child of the launcher what CLONE_CLEAR_SIGHAND would: signals that Go handles have their
// default action, and those that are ignored stay so.
func (p *program) clearHandlers() {
	if !p.oldClone {
		return
	}
	type action struct{ handler, flags, restorer, mask uint64 } // of the kernel: all zero is the default
	none := address((*action)(p.a.alloc(int(unsafe.Sizeof(action{})))))
	for s := uint64(1); s <= 64; s++ {
		var now action
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), 0, uintptr(unsafe.Pointer(&now)), 8, 0, 0)
		const ignore = 1
		if errno == 0 && now.handler > ignore {
			p.call(unix.SYS_RT_SIGACTION, lit(s), lit(none), lit(0), lit(8))
		}
	}
}
