package leak

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// message is one netlink(7) message of a dump.
type message struct {
	kind uint16
	body []byte
}

// dump sends one request and returns all answers. header is the fixed part behind
// the nlmsghdr. A dump that the kernel marks as torn by a change is asked for
// again.
func dump(protocol int, kind uint16, header []byte) ([]message, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	for {
		answers, torn, err := dumpOnce(fd, kind, header)
		if err != nil || !torn {
			return answers, err
		}
	}
}

func dumpOnce(fd int, kind uint16, header []byte) (answers []message, torn bool, err error) {
	request := appendMessage(nil, kind, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, header)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, false, os.NewSyscallError("sendto", err)
	}
	// The kernel fills at most 32 KiB a datagram.
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, false, os.NewSyscallError("recvfrom", err)
		}
		for rest := buf[:n]; len(rest) >= unix.NLMSG_HDRLEN; {
			size := int(binary.NativeEndian.Uint32(rest))
			if size < unix.NLMSG_HDRLEN || size > len(rest) {
				return nil, false, os.NewSyscallError("recvfrom", unix.EBADMSG)
			}
			m := message{
				kind: binary.NativeEndian.Uint16(rest[4:]),
				body: append([]byte(nil), rest[unix.NLMSG_HDRLEN:size]...),
			}
			torn = torn || binary.NativeEndian.Uint16(rest[6:])&unix.NLM_F_DUMP_INTR != 0
			switch m.kind {
			case unix.NLMSG_DONE:
				// A dump that breaks off says why in place of a count.
				if len(m.body) >= 4 {
					if code := int32(binary.NativeEndian.Uint32(m.body)); code < 0 {
						return nil, false, os.NewSyscallError("netlink", unix.Errno(-code))
					}
				}
				return answers, torn, nil
			case unix.NLMSG_ERROR:
				if len(m.body) < 4 {
					return nil, false, os.NewSyscallError("recvfrom", unix.EBADMSG)
				}
				return nil, false, os.NewSyscallError("netlink", unix.Errno(-int32(binary.NativeEndian.Uint32(m.body))))
			}
			answers = append(answers, m)
			rest = rest[min(align4(size), len(rest)):]
		}
	}
}

// appendMessage appends a nlmsghdr and its body.
func appendMessage(b []byte, kind, flags uint16, body []byte) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // sequence and port: one request a socket, the kernel's choice
	b = append(b, body...)
	return append(b, make([]byte, align4(len(body))-len(body))...)
}

// attributes splits what follows a fixed header of the given size into its
// attributes by type; of one that is repeated the last counts.
func (m message) attributes(header int) map[uint16][]byte {
	found := map[uint16][]byte{}
	if len(m.body) < align4(header) {
		return found
	}
	for rest := m.body[align4(header):]; len(rest) >= unix.SizeofRtAttr; {
		size := int(binary.NativeEndian.Uint16(rest))
		if size < unix.SizeofRtAttr || size > len(rest) {
			return found
		}
		kind := binary.NativeEndian.Uint16(rest[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		found[kind] = rest[unix.SizeofRtAttr:size]
		rest = rest[min(align4(size), len(rest)):]
	}
	return found
}

func align4(n int) int { return (n + 3) &^ 3 }
