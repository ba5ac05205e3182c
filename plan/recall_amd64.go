package plan

import "unsafe"

// A start by memo: what runs before Go's runtime does, called by package entry. Nothing here may need the runtime: no
// allocation, no growth of the stack (go:nosplit), no panic, no variable that Go initialises.

// recalled is what the entry of the process has seen, for who keeps a memo, and what it has started, for who takes over.
var recalled struct {
	args uintptr    // address of the first word, behind the launcher's name
	argc int        // words
	vars [2]uintptr // addresses of the values of known, 0 where there is none
	argv uintptr    // address of the first word's pointer

	program uint64    // by which name: programRun or programExec
	dir     [512]byte // of the memos
	slot    int       // the memo's number, of a start
	port    int       // the place on a bridge that a container has got
	begun   bool      // what it has started has failed once the command may have begun
	record  [2]int32  // and with which record of a child
	errno   int32     // and at which errno of the launcher's own
	miss    bool      // there was none, or its premises do not hold

	pid, pidfd, theirs, image int    // of a container that goes on; pid is 0 for none
	mask                      uint64 // signal mask of the caller, meanwhile all are blocked
}

// fileID tells a file, and whether it was changed: inode, size, ctime and device.
type fileID [5]uint64

// self is the launcher's own file.
var self fileID

// The launcher's names that start something.
const (
	programRun = 1 + iota
	programExec
)

// longestName is how long the name of a container may be at most, and some.
const longestName = 128

// slots is how many memos a user has at most.
const slots = 32

// interpret runs the launcher's program.
//
//go:noescape
func interpret(first, m uintptr)

// recallHook is what package entry calls, as it cannot import this one.
//
//go:linkname recallHook github.com/rl-run/rl-run/internal/entry.recall
var recallHook = recall

var (
	// The variables that a start depends on, but for those that -e names and for proxies, which are not kept: PATH, and this one.
	pathIs     = [...]byte{'P', 'A', 'T', 'H', '='}
	proxy      = [...]byte{'_', 'p', 'r', 'o', 'x', 'y'}
	xdg        = [...]byte{'X', 'D', 'G', '_', 'R', 'U', 'N', 'T', 'I', 'M', 'E', '_', 'D', 'I', 'R', '='}
	runUser    = [...]byte{'/', 'r', 'u', 'n', '/', 'u', 's', 'e', 'r', '/'}
	proc       = [...]byte{'/', 'p', 'r', 'o', 'c', '/'}
	stat       = [...]byte{'/', 's', 't', 'a', 't', 0}
	below      = [...]byte{'/', 'r', 'l', '-', 'r', 'u', 'n', '/', 's', 't', 'a', 'r', 't', 's', 0}
	containers = [...]byte{'/', 'r', 'l', '-', 'r', 'u', 'n', '/', 'c', '/'}
	ofExec     = [...]byte{'/', 'm', 'e', 'm', 'o', 0} // ExecMemo
	runName    = [...]byte{'r', 'l', '-', 'r', 'u', 'n'}
	execName   = [...]byte{'r', 'l', '-', 'e', 'x', 'e', 'c'}
	bootFile   = [...]byte{'/', 'p', 'r', 'o', 'c', '/', 's', 'y', 's', '/', 'k', 'e', 'r', 'n', 'e', 'l', '/', 'r', 'a', 'n', 'd', 'o', 'm', '/', 'b', 'o', 'o', 't', '_', 'i', 'd', 0}
	planName   = [...]byte{'r', 'l', '-', 'p', 'l', 'a', 'n', 0}
	executable = [...]byte{'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 'e', 'x', 'e', 0}

	answer [sizeofStatx / 8]uint64 // of statx(2) and fstat(2)
	name   [len(recalled.dir) + 4]byte
)

// recall runs the memo of how the process was called, if there is one, and does not return then. sp is where the kernel has
// put argc, argv and envp.
//
//go:nosplit
func recall(sp uintptr) {
	r := &recalled
	argc := int(word(sp))
	if argc < 3 || !calledBy(word(sp+8)) { // with a ROOTFS or NAME, and a command
		return
	}
	r.argc, r.argv = argc-1, sp+16
	r.args = word(r.argv)
	envp := sp + 8*uintptr(argc+2)
	for ; word(envp) != 0; envp += 8 {
		v := word(envp)
		if r.vars[0] == 0 && same(v, addr(&pathIs), uintptr(len(pathIs))) {
			r.vars[0] = v + uintptr(len(pathIs))
		}
		if r.vars[1] == 0 && same(v, addr(&xdg), uintptr(len(xdg))) {
			r.vars[1] = v + uintptr(len(xdg))
		}
		if isProxy(v) { // it is passed on to the container, and not written down
			return
		}
	}
	for envp += 8; word(envp) != 0; envp += 16 { // the auxiliary vector (getauxval(3))
		if word(envp) == atSecure && word(envp+8) != 0 {
			return
		}
	}
	runtimeDir := r.vars[1]
	uid := kernel(sysGeteuid, 0, 0, 0, 0, 0)
	to := addr(&r.dir)
	if runtimeDir != 0 && char(runtimeDir) == '/' {
		n := length(runtimeDir)
		if n > uintptr(len(r.dir)-len(below)-longestName) {
			return
		}
		to = put(to, runtimeDir, n)
	} else {
		to = put(to, addr(&runUser), uintptr(len(runUser)))
		to = decimal(to, uint64(uid))
	}
	top := to - addr(&r.dir)
	// Which words are options and which one is ROOTFS is not known yet: those up to the first that is no option choose the slot.
	hash := uint64(14695981039346656037) // FNV-1a
	w, first := r.args, uintptr(0)
	for i := range r.argc {
		if word(r.argv+8*uintptr(i)) != w {
			return
		}
		option := char(w) == '-'
		first = w
		for ; char(w) != 0; w++ {
			hash = (hash ^ uint64(char(w))) * 1099511628211
		}
		hash *= 1099511628211 // for the NUL
		w++
		if !option {
			break
		}
	}
	if r.program == programRun {
		put(to, addr(&below), uintptr(len(below)))
		r.slot = int((hash ^ hash>>32) % slots)
		to = put(addr(&name), addr(&r.dir), length(addr(&r.dir)))
		*(*byte)(unsafe.Add(nil, to)) = '/'
		to = decimal(to+1, uint64(r.slot))
		*(*byte)(unsafe.Add(nil, to)) = 0
	} else {
		// a container's lies with its state, and goes with it
		to = put(to, addr(&containers), uintptr(len(containers)))
		n := length(first)
		if n > longestName || !isName(first) {
			return
		}
		put(to, first, n+1)
		to = put(addr(&name), addr(&r.dir), length(addr(&r.dir)))
		put(to, addr(&ofExec), uintptr(len(ofExec)))
	}
	if !ownDirs(top, uid) {
		return
	}
	r.miss = true

	if kernel(sysStatx, ^uintptr(99), addr(&executable), 0, 0x7ff, addr(&answer)) != 0 {
		r.miss = false
		return
	}
	self = fileID{answer[4], answer[5], answer[12], answer[13] & 0xffffffff, answer[17]}
	m := load(uid)
	if m == nil {
		return
	}
	if m.calledSo() && m.sameBoot() && m.joinedLives() {
		switch {
		case !m.share():
			closeFD(m.joinedFD())
		case m.place():
			m.choosePort()
			m.run()
			return // without the memory
		default:
			m.closeJoined()
		}
	}
	kernel(sysMunmap, memoAt, arenaSize, 0, 0, 0)
}

// atSecure is AT_SECURE: the process has privileges that its caller has not.
const atSecure = 23

// calledSo reports whether the memo is of a call with the same words before the command and the same environment.
//
//go:nosplit
func (k *memo) calledSo() bool {
	r := &recalled
	count := int(k.wordsCount)
	return r.program == k.program && r.argc > count && word(r.argv+8*uintptr(count)) == r.args+uintptr(k.wordsLen) &&
		same(r.args, uintptr(k.words), uintptr(k.wordsLen)) &&
		k.sameVar(0) && k.sameVar(1)
}

// sameVar compares a variable of the environment.
//
//go:nosplit
func (k *memo) sameVar(i uintptr) bool {
	now := word(addr(&recalled.vars) + 8*i)
	v := (*[2]uint64)(unsafe.Add(nil, addr(&k.vars)+16*i))
	if now == 0 || v[0] == 0 {
		return now == 0 && v[0] == 0
	}
	return length(now) == uintptr(v[1]) && same(now, uintptr(v[0]), uintptr(v[1]))
}

// isProxy reports whether the name of a variable ends in _proxy, in either case.
//
//go:nosplit
func isProxy(v uintptr) bool {
	n := uintptr(0)
	for char(v+n) != 0 && char(v+n) != '=' {
		n++
	}
	for i := range uintptr(len(proxy)) {
		if n < uintptr(len(proxy)) || char(v+n-uintptr(len(proxy))+i)|0x20 != char(addr(&proxy)+i)|0x20 {
			return false
		}
	}
	return true
}

// run runs the launcher's program, and ends the process with the container. It returns where Go is needed: to start the
// container by itself, or to go on with the one that runs.
//
//go:nosplit
func (k *memo) run() {
	r := &recalled
	mine := (*machine)(unsafe.Add(nil, uintptr(k.machine)))
	if k.apart.address == 0 && quiet() {
		k.chooseProcessors()
	}
	interpret(uintptr(k.look), uintptr(k.machine))
	if k.nested != 0 && mine.errno == memoDone && mine.step == phaseStarted {
		k.pid = *(*int64)(unsafe.Add(nil, uintptr(k.nested)))
		in := k.said[0] == k.says[0] && k.said[1] == k.says[1] || k.said[0] == k.says[1] && k.said[1] == k.says[0]
		if !in || k.pid <= 0 {
			mine.errno = int32(unlike)
		}
	}
	if mine.errno == memoDone && mine.step == phaseStarted {
		k.tellPid()
		interpret(uintptr(k.goOn), uintptr(k.machine))
	}
	switch {
	case mine.errno == memoDone && mine.step == phaseRuns && k.ends():
		code := k.status >> 8 & 0xff
		if signal := k.status & 0x7f; signal != 0 {
			code = 128 + signal
		}
		kernel(sysExitGroup, uintptr(code), 0, 0, 0, 0)
	case mine.step == phasePremises:
		closeFD(k.asked)
		r.miss = true
	case mine.step == phaseFDs:
		for i := range uintptr(4) {
			closeFD(*(*int64)(unsafe.Add(nil, addr(&k.opened)+8*i)))
		}
		for i := range uintptr(2) {
			closeFD(int64(*(*int32)(unsafe.Add(nil, addr(&k.pairs)+8*i))))
			closeFD(int64(*(*int32)(unsafe.Add(nil, addr(&k.pairs)+8*i+4))))
		}
		r.miss = false
	case mine.step == phaseStarted:
		k.letGo()
		for i := range uintptr(2) {
			end(*(*int64)(unsafe.Add(nil, addr(&k.helpers)+8*i)))
		}
		if k.nested != 0 {
			k.pid = *(*int64)(unsafe.Add(nil, uintptr(k.nested)))
		}
		end(k.pid)
		if k.began != 0 && uint64(uint32(word(uintptr(k.record)))) != k.execs {
			r.begun, r.record, r.errno = true, *(*[2]int32)(unsafe.Add(nil, uintptr(k.record))), mine.errno
		}
		for fd := int64(memoImage); fd < memoFDs; fd++ {
			closeFD(fd)
		}
		if k.apart.address != 0 {
			closeFD(memoApart)
		}
		if k.nested == 0 {
			closeFD(int64(int32(k.pidfd))) // if it has another number
		}
		r.miss = false
	default: // it goes on
		r.miss = false
		r.pid, r.pidfd, r.theirs, r.image = int(k.pid), int(k.initFD), memoTheirs, memoImage
		r.mask = uint64(word(uintptr(k.sigmask)))
		return
	}
	k.closeJoined()
	if mine.step != phasePremises {
		kernel(sysSigprocmask, 2, uintptr(k.sigmask), 0, 8, 0) // SIG_SETMASK
	}
	kernel(sysMunmap, memoAt, arenaSize, 0, 0, 0)
}

// closeFD closes what was opened: where the caller has closed a standard descriptor, it has that number.
//
//go:nosplit
func closeFD(fd int64) {
	if fd >= 0 {
		kernel(sysClose, uintptr(fd), 0, 0, 0, 0)
	}
}

// end kills a child that has not been waited for, and waits for it.
//
//go:nosplit
func end(pid int64) {
	if pid <= 0 {
		return
	}
	kernel(sysKill, uintptr(pid), 9, 0, 0, 0)
	for kernel(sysWait4, uintptr(pid), 0, 0, 0, 0) == -eintr {
	}
}

// tellPid puts down init's pid where helpers and paths name it.
//
//go:nosplit
func (k *memo) tellPid() {
	for i := range uintptr(4) {
		n := addr(&k.numbers) + 24*i
		if word(n) == 0 {
			continue
		}
		to := decimal(word(n), uint64(k.pid))
		to = put(to, n+8, word(n+16))
		*(*byte)(unsafe.Add(nil, to)) = 0
	}
}
