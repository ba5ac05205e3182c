package plan

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// memoPorts is among how many places on a bridge a memo chooses: a link's name is free again only some time after its end.
const memoPorts = 128

// The descriptor that MemoNetNS says is the lowest that was closed by then.
const (
	_ = uint(MemoNetNS - memoToCmd)
	_ = uint(memoToCmd - MemoNetNS)
)

// memoPort is a place: addresses of what is to be put down for it.
type memoPort struct{ number, message, size, text, names, aside uint64 }

// places are those of a memo, and where what is chosen is put.
type places struct {
	count, textSize                             uint64
	toMessage, toSize, toText, toNames, toAside uint64
	port                                        [memoPorts]memoPort
}

// recvFD is the room for a message with a descriptor.
type recvFD struct {
	msg     unix.Msghdr
	iov     unix.Iovec
	record  uint64
	control unix.Cmsghdr
	fd      uint64
}

// makePort has the linker make the link once the command has handed over its net namespace, tells the name server, and
// waits until init has come to where it needs the link.
func (c *Child) makePort(k *memo, p *program, m *Memo, shape shape) error {
	r := (*portRequest)(c.arena.at(*(*uint64)(c.arena.at(c.words.port))))
	l := (*linkRequest)(c.arena.at(*(*uint64)(c.arena.at(c.link))))
	to := &k.places
	to.toMessage, to.toSize, to.toText = address(&r.text[0]), address(&r.size), address(&l.text[0])
	to.toNames, to.toAside = c.arena.word(), c.arena.word()
	for i, port := range m.Ports[:min(len(m.Ports), memoPorts)] {
		if err := c.SetLink(port.Inner, port.Link); err != nil {
			return err
		}
		size := 0
		for _, part := range l.iov[:l.msg.Iovlen] {
			if part.Base != (*byte)(unsafe.Pointer(&l.ifr.index)) {
				size += int(part.Len)
			}
		}
		if i > 0 && uint64(size) != to.textSize || len(port.Message) > len(r.text) {
			return errNoMemo
		}
		message, text := c.arena.room(len(port.Message)), c.arena.room(size)
		copy(message, port.Message)
		copy(text, l.text[:size])
		to.textSize, to.count = uint64(size), uint64(i+1)
		to.port[i] = memoPort{
			uint64(port.Number), address(&message[0]), uint64(len(message)), address(&text[0]), c.arena.str(port.Names), c.arena.str(port.Aside),
		}
	}

	got := (*recvFD)(c.arena.alloc(int(unsafe.Sizeof(recvFD{}))))
	got.msg = unix.Msghdr{Iov: &got.iov, Iovlen: 1, Control: (*byte)(unsafe.Pointer(&got.control))}
	got.msg.SetControllen(int(unsafe.Sizeof(got.control)) + 8)
	got.iov.Base = (*byte)(unsafe.Pointer(&got.record))
	got.iov.SetLen(8)
	p.call(unix.SYS_RECVMSG, lit(memoTheirs), lit(address(&got.msg)), lit(unix.MSG_CMSG_CLOEXEC)).again().wants(8)
	p.compare(at(address(&got.record)), ^uint64(0), uint64(shape.sent), unlike)
	p.compare(at(address(&got.fd)), 0xffffffff, MemoNetNS, unlike)

	c.runs(k, p, Linker)
	fd := p.keep(p.call(unix.SYS_OPENAT, cwd, at(to.toAside), lit(unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC), lit(0o600)))
	p.call(unix.SYS_WRITE, fd, p.str(string(m.Names)), lit(len(m.Names))).wants(int64(len(m.Names)))
	p.close(fd)
	p.call(unix.SYS_RENAMEAT, cwd, at(to.toAside), cwd, at(to.toNames))
	p.close(lit(MemoNetNS))

	record := c.arena.word()
	p.call(unix.SYS_READ, lit(memoTheirs), lit(record), lit(8)).again().wants(8)
	p.compare(at(record), ^uint64(0), uint64(shape.await), unlike)
	return nil
}

// runs has a helper do its one thing, and waits for that.
func (c *Child) runs(k *memo, p *program, a Actor) {
	q := c.helper(a).program
	machine := q.newMachine()
	machine.control = noControl
	args := (*cloneArgs)(c.arena.alloc(int(unsafe.Sizeof(cloneArgs{}))))
	c.clones(args, unix.CLONE_VM|unix.CLONE_CLEAR_SIGHAND, unix.SIGCHLD)
	p.clone(args, lit(address(q.end())), machine).keepIn(address(&k.helpers[1]))
	p.waits(&k.helpers[1], lit(c.arena.word()), unix.SYS_PRCTL, lit(unix.PR_SET_DUMPABLE), lit(1), lit(0), lit(0), lit(0))
}

// choosePort puts down what makes the link to one of the places: which of them, the pid says, that moves on from start to start.
//
//go:nosplit
func (k *memo) choosePort() {
	to := &k.places
	if to.count == 0 {
		return
	}
	i := uintptr(kernel(sysGetpid, 0, 0, 0, 0, 0)) >> 2 % uintptr(to.count)
	port := (*memoPort)(unsafe.Add(nil, addr(&to.port)+i*unsafe.Sizeof(memoPort{})))
	recalled.port = int(port.number)
	put(uintptr(to.toMessage), uintptr(port.message), uintptr(port.size))
	put(uintptr(to.toText), uintptr(port.text), uintptr(to.textSize))
	for _, w := range [...][2]uint64{{to.toSize, port.size}, {to.toNames, port.names}, {to.toAside, port.aside}} {
		*(*uint64)(unsafe.Add(nil, uintptr(w[0]))) = w[1]
	}
}
