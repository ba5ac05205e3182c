package plan

import "unsafe"

// How a memo gets from its file into memory.

// ownDirs reports whether the directories of the memo's name, from the runtime directory's parent on, whose path has so many bytes,
// are the user's alone, as package runtimedir wants them. One that is not there is none that others could have filled.
//
//go:nosplit
func ownDirs(top uintptr, uid int) bool {
	const (
		noFollow, missing = 0x100, -2
		kind, directory   = 0o170000, 0o040000
	)
	flags := uintptr(0)
	for at := addr(&name) + top; char(at) != 0; at++ {
		if char(at) != '/' {
			continue
		}
		*(*byte)(unsafe.Add(nil, at)) = 0
		n := kernel(sysStatx, ^uintptr(99), addr(&name), flags, 0x7ff, addr(&answer))
		*(*byte)(unsafe.Add(nil, at)) = '/'
		if n == missing {
			return true
		}
		mode := answer[3] >> 32 & 0xffff
		if n != 0 || answer[2]>>32 != uint64(uid) || mode&kind != directory || mode&0o022 != 0 {
			return false
		}
		flags = noFollow // of what is below
	}
	return true
}

// load reads the memo to its address. It is not mapped: a file that is cut off while it is in use would end the launcher with SIGBUS,
// as would one in a full tmpfs.
//
//go:nosplit
func load(uid int) *memo {
	fd := kernel(sysOpenat, ^uintptr(99), addr(&name), 0o400000|0o2000000|0o4000, 0, 0) // O_NOFOLLOW|O_CLOEXEC|O_NONBLOCK
	if fd < 0 {
		return nil
	}
	ok := kernel(sysFstat, uintptr(fd), addr(&answer), 0, 0, 0) == 0 &&
		uint32(answer[3]) == 0o100600 && answer[3]>>32 == uint64(uid) && // st_mode, st_uid
		answer[2] == 1 && answer[6] == arenaSize // st_nlink, st_size
	mapped := 0
	if ok {
		// PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE|MAP_FIXED_NOREPLACE
		mapped = kernel(sysMmap, memoAt, arenaSize, 3, 0x2|0x20|0x4000|0x100000, ^uintptr(0))
	}
	m := (*memo)(unsafe.Add(nil, memoAt))
	ok = mapped == memoAt && m.read(uintptr(fd))
	kernel(sysClose, uintptr(fd), 0, 0, 0, 0)
	switch {
	case ok:
		return m
	case mapped == memoAt:
		kernel(sysMunmap, memoAt, arenaSize, 0, 0, 0)
	}
	return nil
}

// read reads the pieces of the file.
//
//go:nosplit
func (k *memo) read(fd uintptr) bool {
	const size = unsafe.Sizeof(memo{})
	if kernel(sysPread, fd, memoAt, size, 0, 0) != int(size) || k.magic != memoMagic || k.size != arenaSize || k.launcher != self {
		return false
	}
	for i := range uintptr(memoPieces) {
		p := (*[2]uint64)(unsafe.Add(nil, addr(&k.pieces)+16*i))
		at, n := uintptr(p[0]), uintptr(p[1])
		if at > arenaSize || n > arenaSize-at || kernel(sysPread, fd, memoAt+at, n, at, 0) != int(n) {
			return false
		}
	}
	return true
}
