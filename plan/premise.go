package plan

import (
	"encoding/binary"
	"errors"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Premise is a question to the kernel that changes nothing, and its answer at the time of the question. A plan that is kept
// may be run again as long as the kernel gives the same answers to its premises.
type Premise struct {
	nr     uintptr
	args   []any // path, number, or room for what the kernel writes
	result int64 // or minus an errno
	wrote  []part
}

// room is as an argument the address of so many bytes.
type room int

// part are some bits of a word of the room that have to be the same.
type part struct {
	at         int // in bytes
	mask, bits uint64
}

// unlike is the step's errno when an answer is another.
const unlike = unix.ESTALE

// asking is the room for the arguments of a question: memory that does not move. One question is asked at a time.
var asking [4 * unix.PathMax]byte

// ask asks: args are numbers, paths, and at most one room. Which words of that count is in masks.
func ask(nr uintptr, masks []part, args ...any) Premise {
	q := Premise{nr: nr, args: args}
	var raw [5]uintptr
	used, wrote := 0, 0
	place := func(size int) uintptr {
		at := used
		used = (used + size + 7) &^ 7
		if used > len(asking) {
			return 0 // EFAULT
		}
		clear(asking[at:used])
		return uintptr(unsafe.Pointer(&asking[at]))
	}
	for i, a := range args {
		switch a := a.(type) {
		case int:
			raw[i] = uintptr(a)
		case string:
			at := used
			if raw[i] = place(len(a) + 1); raw[i] != 0 {
				copy(asking[at:], a)
			}
		case room:
			wrote = used
			raw[i] = place(int(a))
		}
	}
	n, _, errno := unix.RawSyscall6(nr, raw[0], raw[1], raw[2], raw[3], raw[4], 0)
	if q.result = int64(n); errno != 0 {
		q.result = -int64(errno)
		return q
	}
	for _, m := range masks {
		q.wrote = append(q.wrote, part{m.at, m.mask, binary.LittleEndian.Uint64(asking[wrote+m.at:]) & m.mask})
	}
	return q
}

// Answers asks for a call's result alone. Its arguments are numbers and paths.
func Answers(nr uintptr, args ...any) Premise { return ask(nr, nil, args...) }

// whole are all words of a room.
func whole(size int) []part {
	masks := make([]part, size/8)
	for i := range masks {
		masks[i] = part{at: 8 * i, mask: ^uint64(0)}
	}
	return masks
}

// The fields of struct statx (statx(2)).
var (
	identity = []part{
		{at: 16, mask: 0xffffffff << 32}, // uid
		{at: 24, mask: 0xffff_ffffffff},  // gid, mode
		{at: 32, mask: ^uint64(0)},       // inode
		{at: 136, mask: ^uint64(0)},      // device
	}
	content = []part{ // and those of identity: all are the linker's data, nothing is made at the start
		{at: 40, mask: ^uint64(0)},  // size
		{at: 96, mask: ^uint64(0)},  // ctime, s
		{at: 104, mask: 0xffffffff}, // ns
		{at: 112, mask: ^uint64(0)}, // mtime
		{at: 120, mask: 0xffffffff},
		{at: 16, mask: 0xffffffff << 32},
		{at: 24, mask: 0xffff_ffffffff},
		{at: 32, mask: ^uint64(0)},
		{at: 136, mask: ^uint64(0)},
	}
)

// sizeofStatx is that of the kernel's struct.
const sizeofStatx = 256

// SameFile asks which file is at a path, whose it is and with what mode, or why there is none.
func SameFile(path string, flags int) Premise { return statx(identity, path, flags) }

// SameContent asks the same, and when it was changed.
func SameContent(path string, flags int) Premise { return statx(content, path, flags) }

// SameKind asks whether there is a file at a path, and of what type.
func SameKind(path string, flags int) Premise {
	return statx([]part{{at: 24, mask: unix.S_IFMT << 32}}, path, flags)
}

func statx(fields []part, path string, flags int) Premise {
	return ask(unix.SYS_STATX, fields, unix.AT_FDCWD, path, flags, unix.STATX_BASIC_STATS, room(sizeofStatx))
}

// Capabilities asks for the caller's three sets (capget(2)).
func Capabilities() Premise {
	const size = 24 // of two struct __user_cap_data_struct
	var header [8]byte
	binary.NativeEndian.PutUint32(header[:], unix.LINUX_CAPABILITY_VERSION_3)
	return ask(unix.SYS_CAPGET, whole(size), string(header[:]), room(size))
}

// Groups asks how many supplementary groups the caller has, and for the first of them (getgroups(2)).
func Groups() Premise {
	const most = 16
	if n := Answers(unix.SYS_GETGROUPS, 0, 0); n.result < 1 {
		return n
	}
	return ask(unix.SYS_GETGROUPS, []part{{mask: 1<<32 - 1}}, most, room(4*most))
}

// Release asks for the kernel's release (uname(2)).
func Release() Premise {
	const field, fields = 65, 6                       // of so many bytes, so many
	masks := []part{{at: 128, mask: ^uint64(0xffff)}} // it begins at 130
	for at := masks[0].at + 8; at+8 <= 3*field; at += 8 {
		masks = append(masks, part{at: at, mask: ^uint64(0)})
	}
	return ask(unix.SYS_UNAME, masks, room((field*fields+7)&^7))
}

// Terminal asks whether a descriptor is a terminal.
func Terminal(fd int) Premise {
	const size = 64 // struct termios has 60 at most
	return ask(unix.SYS_IOCTL, nil, fd, unix.TCGETS, room(size))
}

// Limit is the question for a resource limit, and its answer before Go's runtime raises that of open files.
func Limit(resource int, soft, hard uint64) Premise {
	return Premise{
		nr: unix.SYS_PRLIMIT64, args: []any{0, resource, 0, room(16)},
		wrote: []part{{0, ^uint64(0), soft}, {8, ^uint64(0), hard}},
	}
}

// sysSource stands for the calls of Source.
const sysSource = ^uintptr(0)

// Source asks with which of this machine's addresses it would reach another, an IPv4 address; nothing is sent to that.
func Source(of [4]byte) Premise {
	q := Premise{nr: sysSource, args: []any{string(of[:])}}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return q
	}
	defer unix.Close(fd)
	if errno, _ := errors.AsType[unix.Errno](unix.Connect(fd, &unix.SockaddrInet4{Port: sourcePort, Addr: of})); errno != 0 {
		q.result = -int64(errno)
		return q
	}
	if sa, err := unix.Getsockname(fd); err == nil {
		if in, is := sa.(*unix.SockaddrInet4); is {
			q.wrote = []part{{0, 0xffffffff << 32, uint64(binary.LittleEndian.Uint32(in.Addr[:])) << 32}}
		}
	}
	return q
}

// sourcePort is that of discard, RFC 863.
const sourcePort = 9

// Answered reports whether the kernel gave a result, and no error.
func (q *Premise) Answered() bool { return q.result >= 0 && len(q.wrote) > 0 }

// lowerSource asks with a socket, whose descriptor it notes.
func (q *Premise) lowerSource(p *program, space, asked uint64) {
	to := p.a.room(unix.SizeofSockaddrInet4)
	binary.NativeEndian.PutUint16(to, unix.AF_INET)
	binary.BigEndian.PutUint16(to[2:], sourcePort)
	copy(to[4:], q.args[0].(string))
	size := p.a.word()
	*(*uint64)(p.a.at(size)) = unix.SizeofSockaddrInet4
	fd := p.call(unix.SYS_SOCKET, lit(unix.AF_INET), lit(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), lit(0)).keepIn(asked)
	o := p.call(unix.SYS_CONNECT, fd, lit(address(&to[0])), lit(len(to)))
	if !q.Answered() {
		o.skips(1, unix.Errno(-q.result))
		p.compare(lit(0), 0, 1, unlike)
		p.close(fd)
		return
	}
	p.call(unix.SYS_GETSOCKNAME, fd, lit(space), lit(size))
	p.compare(at(space), q.wrote[0].mask, q.wrote[0].bits, unlike)
	p.close(fd)
}

// ChangedAt is the latest change of a file that SameContent found, in seconds since 1970; 0 where there is none to know.
func (q *Premise) ChangedAt() int64 {
	for _, p := range q.wrote {
		if q.nr == unix.SYS_STATX && p.at == 96 {
			return int64(p.bits)
		}
	}
	return 0
}

// Answer reports whether another question has the same answer.
func (q *Premise) Answer(other *Premise) bool {
	return q.result == other.result && slices.Equal(q.wrote, other.wrote)
}

// Is reports whether both are the same question with the same answer.
func (q *Premise) Is(other *Premise) bool {
	return q.nr == other.nr && slices.Equal(q.args, other.args) && q.Answer(other)
}

// lower appends the question, and ends the program with another answer.
func (q *Premise) lower(p *program, space, asked uint64) {
	if q.nr == sysSource {
		q.lowerSource(p, space, asked)
		return
	}
	args := make([]arg, len(q.args))
	for i, a := range q.args {
		switch a := a.(type) {
		case int:
			args[i] = lit(a)
		case string:
			args[i] = p.str(a)
		case room:
			args[i] = lit(space)
		}
	}
	o := p.call(uint64(q.nr), args...)
	if q.result < 0 {
		o.skips(1, unix.Errno(-q.result))
		p.compare(lit(0), 0, 1, unlike)
		return
	}
	o.wants(q.result)
	for _, w := range q.wrote {
		p.compare(at(space+uint64(w.at)), w.mask, w.bits, unlike)
	}
}
