package plan

import (
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MapNested has the launcher's mapper write init's id maps, where init's user
// namespace lies in that of the caller's network session: whoever writes them has to
// be there.
type MapNested struct{}

// WriteIDMaps writes the id maps of init: outside ids are those of the writer's own
// user namespace (user_namespaces(7)).
type WriteIDMaps struct{ UID, GID []Extent }

// MakePort has the launcher's linker make a link from the container to a bridge of
// the session, while init goes on. Where another was faster it tries the next place.
type MakePort struct{ Network string }

// SendLink asks the kernel for the link (rtnetlink(7)); Child.SendLink has the message.
type SendLink struct{}

// Kind implements Step.
func (MapNested) Kind() Kind { return KindMapIDs }

// Kind implements Step.
func (WriteIDMaps) Kind() Kind { return KindWriteMaps }

// Kind implements Step.
func (MakePort) Kind() Kind { return KindMakeVeth }

// Kind implements Step.
func (SendLink) Kind() Kind { return KindSendLink }

func (MapNested) String() string  { return "have the ids mapped" }
func (s MakePort) String() string { return "make a link to the network " + s.Network }
func (SendLink) String() string   { return "ask for a veth pair between its bridge and the container" }

func (s WriteIDMaps) String() string {
	return fmt.Sprintf("map ids: uids %v, gids %v", s.UID, s.GID)
}

// mapRequest is where the files of the maps are: known once there is an init.
type mapRequest struct{ paths [2][48]byte }

func (s WriteIDMaps) lower(p *program) {
	r := (*mapRequest)(p.a.alloc(int(unsafe.Sizeof(mapRequest{}))))
	*(*uint64)(p.a.at(p.memory.maps)) = address(r)
	for i, extents := range [...][]Extent{s.UID, s.GID} {
		var text strings.Builder
		for _, e := range extents {
			fmt.Fprintf(&text, "%d %d %d\n", e.Inside, e.Outside, e.Count)
		}
		fd := p.keep(p.call(unix.SYS_OPENAT, cwd, lit(address(&r.paths[i])), lit(unix.O_WRONLY|unix.O_CLOEXEC)))
		p.call(unix.SYS_WRITE, fd, p.str(text.String()), lit(text.Len())).wants(int64(text.Len()))
		p.close(fd)
	}
}

// MapNested writes init's id maps by the mapper. Errors are those of a step.
func (c *Child) MapNested() error {
	if err := c.awaitPID(); err != nil {
		return err
	}
	r := (*mapRequest)(c.arena.at(*(*uint64)(c.arena.at(c.words.maps))))
	for i, name := range [...]string{"uid_map", "gid_map"} {
		copy(r.paths[i][:len(r.paths[i])-1], fmt.Sprintf("/proc/%d/%s", c.PID, name))
	}
	return c.runHelper(Mapper)
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
