package plan

import (
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AwaitJoiner has the launcher wait for the end of the joiner, which has mapped init's ids then.
type AwaitJoiner struct{}

// WriteIDMaps has the joiner write the id maps of the init that it has started: outside ids are those of the writer's own user
// namespace (user_namespaces(7)), and nobody has to call newuidmap and newgidmap there.
type WriteIDMaps struct{ UID, GID []Extent }

// MakePort has the launcher's linker make a link from the container to a bridge of
// the session, while init goes on, and tell the network's name server Names. Where
// another was faster it tries the next place, unless Address says which it has to be.
type MakePort struct {
	Network string
	Address string // IPv4; empty for one that is free
	Names   []string
}

// SendLink asks the kernel for the link (rtnetlink(7)); Child.SendLink has the message.
type SendLink struct{}

// Kind implements Step.
func (AwaitJoiner) Kind() Kind { return KindMapIDs }

// Kind implements Step.
func (WriteIDMaps) Kind() Kind { return KindWriteMaps }

// Kind implements Step.
func (MakePort) Kind() Kind { return KindMakeVeth }

// Kind implements Step.
func (SendLink) Kind() Kind { return KindSendLink }

func (AwaitJoiner) String() string { return "wait until the ids are mapped" }
func (SendLink) String() string    { return "ask for a veth pair between its bridge and the container" }

func (s MakePort) String() string {
	text := "make a link to the network " + s.Network
	if s.Address != "" {
		text += ", at " + s.Address
	}
	if len(s.Names) > 0 {
		text += ", known as " + strings.Join(s.Names, ", ")
	}
	return text
}

func (s WriteIDMaps) String() string {
	return fmt.Sprintf("map ids: uids %v, gids %v", s.UID, s.GID)
}

func (s WriteIDMaps) lower(p *program) {
	for i, extents := range [...][]Extent{s.UID, s.GID} {
		var text strings.Builder
		for _, e := range extents {
			fmt.Fprintf(&text, "%d %d %d\n", e.Inside, e.Outside, e.Count)
		}
		// Slashes more than one are as good as one, and where the number leaves room.
		const number = "//////////"
		const before = "/proc/" + number
		file := p.a.str(before + [...]string{"/uid_map", "/gid_map"}[i])
		p.decimal(at(p.memory.init), file+uint64(len(before)))
		fd := p.keep(p.call(unix.SYS_OPENAT, cwd, lit(file), lit(unix.O_WRONLY|unix.O_CLOEXEC)))
		p.call(unix.SYS_WRITE, fd, p.str(text.String()), lit(text.Len())).wants(int64(text.Len()))
		p.close(fd)
	}
}

// AwaitJoiner waits for the joiner. Errors are those of a step of its, or ErrGone.
func (c *Child) AwaitJoiner() error {
	if err := c.awaitPID(); err != nil {
		return err
	}
	if c.reap() {
		return nil
	}
	if failed := c.Failed(); failed != nil {
		return failed
	}
	return ErrGone
}

// portRequest is a message to the kernel and its answer.
type portRequest struct {
	size   uint64
	text   [1024]byte
	answer [2048]byte
}

func (SendLink) lower(p *program) {
	r := (*portRequest)(p.a.alloc(int(unsafe.Sizeof(portRequest{}))))
	*(*uint64)(p.a.at(p.memory.port)) = address(r)
	fd := p.keep(p.call(unix.SYS_SOCKET, lit(unix.AF_NETLINK), lit(unix.SOCK_RAW|unix.SOCK_CLOEXEC), lit(unix.NETLINK_ROUTE)))
	p.call(unix.SYS_SENDTO, fd, lit(address(&r.text)), at(address(&r.size)), lit(0), lit(0), lit(0))
	p.call(unix.SYS_RECVFROM, fd, lit(address(&r.answer)), lit(len(r.answer)), lit(0), lit(0), lit(0))
	p.close(fd)
	p.judge(&r.answer[unix.SizeofNlMsghdr])
}

// SendLink sends the message by the linker, and returns the kernel's answer. The net
// namespace that it names is the one that NetNS returns.
func (c *Child) SendLink(message []byte) error {
	r := (*portRequest)(c.arena.at(*(*uint64)(c.arena.at(c.words.port))))
	if len(message) > len(r.text) {
		return unix.EMSGSIZE
	}
	r.size = uint64(copy(r.text[:], message))
	return c.runHelper(Linker)
}
