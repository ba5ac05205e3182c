package rtnl

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Socket is a conversation with the kernel about the net namespace in which it was
// opened. It is not for two goroutines at a time.
type Socket struct {
	fd       int
	sequence uint32
	buf      []byte
}

// Open opens a socket in the net namespace of the caller.
func Open() (*Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// The kernel fills at most 32 KiB a datagram, netlink(7).
	return &Socket{fd: fd, buf: make([]byte, 1<<16)}, nil
}

// Close closes the socket, which has nothing more to tell.
func (s *Socket) Close() { unix.Close(s.fd) }

// Do sends a request and waits for the kernel's verdict on it. A refusal is an
// *os.SyscallError of what, as in "make link: operation not permitted".
func (s *Socket) Do(what string, m *Message) error {
	_, _, err := s.exchange(m.acknowledged())
	return os.NewSyscallError(what, err)
}

// dump sends a request for a list and returns its entries, each behind its nlmsghdr.
// A list that was torn by a change is asked for again.
func (s *Socket) dump(request func() *Message) ([][]byte, error) {
	for range 16 {
		entries, torn, err := s.exchange(request())
		if err != nil {
			return nil, os.NewSyscallError("netlink dump", err)
		}
		if !torn {
			return entries, nil
		}
	}
	return nil, os.NewSyscallError("netlink dump", unix.EINTR)
}

// exchange sends a request and reads up to its acknowledgement or the end of its list.
func (s *Socket) exchange(m *Message) (entries [][]byte, torn bool, err error) {
	s.sequence++
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := unix.Sendto(s.fd, m.finish(s.sequence), 0, kernel); err != nil {
		return nil, false, err
	}
	for {
		n, from, err := unix.Recvfrom(s.fd, s.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		// Only the kernel's word counts: port 0 is its own.
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue
		}
		for rest := s.buf[:n]; len(rest) >= unix.NLMSG_HDRLEN; {
			size := int(binary.NativeEndian.Uint32(rest))
			if size < unix.NLMSG_HDRLEN || size > len(rest) {
				return nil, false, unix.EBADMSG
			}
			kind, flags := binary.NativeEndian.Uint16(rest[4:]), binary.NativeEndian.Uint16(rest[6:])
			sequence, body := binary.NativeEndian.Uint32(rest[8:]), rest[unix.NLMSG_HDRLEN:size]
			rest = rest[min(align4(size), len(rest)):]
			if sequence != s.sequence {
				continue
			}
			torn = torn || flags&unix.NLM_F_DUMP_INTR != 0
			switch kind {
			case unix.NLMSG_ERROR, unix.NLMSG_DONE:
				// A list that breaks off says why in place of a count.
				if len(body) < 4 {
					return nil, false, unix.EBADMSG
				}
				if code := int32(binary.NativeEndian.Uint32(body)); code < 0 {
					return nil, false, unix.Errno(-code)
				}
				return entries, torn, nil
			default:
				entries = append(entries, append([]byte(nil), body...))
			}
		}
	}
}
