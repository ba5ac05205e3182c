package plan

import "unsafe"

// What a memo needs whose children join namespaces, or have no part in the launcher's memory.

// place puts down the command.
//
//go:nosplit
func (k *memo) place() bool {
	first := recalled.argv + 8*uintptr(k.wordsCount)
	command := word(first)
	n := length(command)
	slash := false
	for i := range n {
		slash = slash || char(command+i) == '/'
	}
	if !slash && (n == 0 || n > memoName || char(command) == '.') {
		return false
	}
	if k.apart.address != 0 {
		if first = k.keepWords(); first == 0 {
			return false
		}
		command = word(first)
	}
	*(*uintptr)(unsafe.Add(nil, uintptr(k.argv))) = first
	for i := range uintptr(memoPaths) {
		place := (*[3]uint64)(unsafe.Add(nil, addr(&k.command)+24*i))
		if place[0] == 0 {
			break
		}
		path := command
		if !slash {
			path = uintptr(place[1])
			put(uintptr(place[2]), command, n+1)
		}
		*(*uintptr)(unsafe.Add(nil, uintptr(place[0]))) = path
	}
	return true
}

// keepWords puts the words of the command where children without the launcher's stack see them, and returns the address
// of the first one's pointer; 0 where they are too long.
//
//go:nosplit
func (k *memo) keepWords() uintptr {
	const room = memoArgsAt + memoArgs
	first := recalled.argv + 8*uintptr(k.wordsCount)
	n := uintptr(recalled.argc) - uintptr(k.wordsCount)
	if n >= memoArgs/16 {
		return 0
	}
	to := memoArgsAt + 8*(n+1)
	for i := range n {
		w := word(first + 8*i)
		size := length(w) + 1
		if size > room-to {
			return 0
		}
		*(*uintptr)(unsafe.Add(nil, memoArgsAt+8*i)) = to
		to = put(to, w, size)
	}
	return memoArgsAt
}

// share puts the memo into a file without a name that children map again, where they need one.
//
//go:nosplit
func (k *memo) share() bool {
	if k.apart.address == 0 {
		return true
	}
	fd := kernel(sysMemfdCreate, addr(&planName), 1|8, 0, 0, 0) // MFD_CLOEXEC|MFD_NOEXEC_SEAL
	if fd == -einval {                                          // before Linux 6.3
		fd = kernel(sysMemfdCreate, addr(&planName), 1, 0, 0, 0)
	}
	if fd < 0 {
		return false
	}
	high := kernel(sysFcntl, uintptr(fd), fDupFDCloexec, memoArena, 0, 0)
	kernel(sysClose, uintptr(fd), 0, 0, 0, 0)
	ok := high == memoArena && kernel(sysFtruncate, memoArena, arenaSize, 0, 0, 0) == 0
	for i := range uintptr(memoPieces) {
		p := (*[2]uint64)(unsafe.Add(nil, addr(&k.pieces)+16*i))
		ok = ok && kernel(sysPwrite, memoArena, uintptr(memoAt+p[0]), uintptr(p[1]), uintptr(p[0]), 0) == int(p[1])
	}
	// PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED
	if ok && kernel(sysMmap, memoAt, arenaSize, 3, 0x1|0x10, memoArena) == memoAt {
		return true
	}
	closeFD(int64(high))
	return false
}

// joinedFD is the pidfd of whom a joiner enters, -1 for nobody.
//
//go:nosplit
func (k *memo) joinedFD() int64 {
	if k.joined.PID == 0 {
		return -1
	}
	return memoJoined
}

// letGo is LetGo of Child, for a memo.
//
//go:nosplit
func (k *memo) letGo() {
	if k.joined.PID == 0 {
		return
	}
	if told := (*[2]int32)(unsafe.Add(nil, uintptr(k.record)))[1] != 0; told && hungUp() {
		return
	}
	kernel(sysShutdown, memoTheirs, 1, 0, 0, 0) // SHUT_WR
	hungUp()
}

// hungUp waits until all other ends of the control socket are closed, for lettingGo.
//
//go:nosplit
func hungUp() bool {
	waiting[0] = memoTheirs
	left := [2]uint64{lettingGo / 1000, lettingGo % 1000 * 1e6}
	n := -eintr
	for n == -eintr {
		n = kernel(sysPpoll, addr(&waiting), 1, addr(&left), 0, 8)
	}
	return n > 0
}

// closeJoined gives back what joinedLives and share have opened.
//
//go:nosplit
func (k *memo) closeJoined() {
	closeFD(k.joinedFD())
	if k.apart.address != 0 {
		kernel(sysClose, memoArena, 0, 0, 0, 0)
	}
}

// joinedLives opens the pidfd of whom a joiner enters, at the number that the plan has for it, and then compares when its process has
// started: it was that process which was looked at.
//
//go:nosplit
func (k *memo) joinedLives() bool {
	if k.joined.PID == 0 {
		return true
	}
	fd := kernel(sysPidfdOpen, uintptr(k.joined.PID), 0, 0, 0, 0)
	if fd < 0 {
		return false
	}
	high := kernel(sysFcntl, uintptr(fd), fDupFDCloexec, memoJoined, 0, 0)
	kernel(sysClose, uintptr(fd), 0, 0, 0, 0)
	if high != memoJoined || !k.joinedStarted() {
		closeFD(int64(high))
		return false
	}
	return true
}

// joinedStarted looks for the 20th field behind the name, which may contain anything.
//
//go:nosplit
func (k *memo) joinedStarted() bool {
	to := put(addr(&name), addr(&proc), uintptr(len(proc)))
	to = decimal(to, uint64(k.joined.PID))
	put(to, addr(&stat), uintptr(len(stat)))
	fd := kernel(sysOpenat, ^uintptr(99), addr(&name), 0o2000000, 0, 0)
	if fd < 0 {
		return false
	}
	n := kernel(sysRead, uintptr(fd), addr(&name), uintptr(len(name)), 0, 0)
	kernel(sysClose, uintptr(fd), 0, 0, 0, 0)
	at := addr(&name)
	for i := range n {
		if char(addr(&name)+uintptr(i)) == ')' {
			at = addr(&name) + uintptr(i)
		}
	}
	field, end := 0, addr(&name)+uintptr(max(n, 0))
	for ; at < end && field < 20; at++ {
		if char(at) == ' ' {
			field++
		}
	}
	start := uint64(0)
	for ; at < end && char(at) >= '0' && char(at) <= '9'; at++ {
		start = 10*start + uint64(char(at)-'0')
	}
	return start == k.joined.Start
}

// sameBoot reports whether the machine has not been booted since: a start time counts from then, and of a file that was written
// just before a machine went down some pages may be missing.
//
//go:nosplit
func (k *memo) sameBoot() bool {
	fd := kernel(sysOpenat, ^uintptr(99), addr(&bootFile), 0o2000000, 0, 0)
	if fd < 0 {
		return false
	}
	n := kernel(sysRead, uintptr(fd), addr(&answer), uintptr(len(k.boot)), 0, 0)
	kernel(sysClose, uintptr(fd), 0, 0, 0, 0)
	return n > 1 && same(addr(&answer), addr(&k.boot), uintptr(n-1)) // but for the end of the line
}

// isName reports whether a word is no path.
//
//go:nosplit
func isName(w uintptr) bool {
	if char(w) == '.' || char(w) == '-' || char(w) == 0 {
		return false
	}
	for ; char(w) != 0; w++ {
		if char(w) == '/' {
			return false
		}
	}
	return true
}

// calledBy finds out which of the launcher's names it has been called by: the last part of a path.
//
//go:nosplit
func calledBy(w uintptr) bool {
	base := w
	for ; char(w) != 0; w++ {
		if char(w) == '/' {
			base = w + 1
		}
	}
	switch {
	case w-base == uintptr(len(runName)) && same(base, addr(&runName), uintptr(len(runName))):
		recalled.program = programRun
	case w-base == uintptr(len(execName)) && same(base, addr(&execName), uintptr(len(execName))):
		recalled.program = programExec
	default:
		return false
	}
	return true
}
