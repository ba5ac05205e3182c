package forward

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// addMarkRoute adds, for one family, the route that makes every address local in the
// mark's table, and the rule that sends marked packets there. rtnetlink(7); five
// attributes do not weigh up a library.
func addMarkRoute(family uint8) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, lo); err != nil {
		return os.NewSyscallError("ioctl SIOCGIFINDEX", err)
	}
	// struct rtmsg and struct fib_rule_hdr have one layout. The number of the table does not
	// fit into its byte there.
	route := []byte{family, 0, 0, 0, unix.RT_TABLE_UNSPEC, unix.RTPROT_STATIC, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0}
	route = attribute(route, unix.RTA_TABLE, mark)
	route = attribute(route, unix.RTA_OIF, lo.Uint32())
	if err := request(fd, unix.RTM_NEWROUTE, route); err != nil {
		return os.NewSyscallError("add route of marked packets", err)
	}
	rule := []byte{family, 0, 0, 0, unix.RT_TABLE_UNSPEC, 0, 0, unix.FR_ACT_TO_TBL, 0, 0, 0, 0}
	rule = attribute(rule, unix.FRA_TABLE, mark)
	rule = attribute(rule, unix.FRA_PRIORITY, priority)
	rule = attribute(rule, unix.FRA_FWMARK, mark)
	return os.NewSyscallError("add rule of marked packets", request(fd, unix.RTM_NEWRULE, rule))
}

func attribute(b []byte, kind uint16, value uint32) []byte {
	b = binary.NativeEndian.AppendUint16(b, unix.SizeofRtAttr+4)
	b = binary.NativeEndian.AppendUint16(b, kind)
	return binary.NativeEndian.AppendUint32(b, value)
}

// request sends one message and waits for its answer. What is there already is as good
// as added: a forwarder that was started again finds its own.
func request(fd int, kind uint16, body []byte) error {
	message := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	message = binary.NativeEndian.AppendUint16(message, kind)
	message = binary.NativeEndian.AppendUint16(message, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	message = binary.NativeEndian.AppendUint32(message, 1)
	message = binary.NativeEndian.AppendUint32(message, 0)
	message = append(message, body...)
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.NLMSG_HDRLEN+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return unix.EBADMSG
	}
	errno := unix.Errno(-int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:])))
	if errno == 0 || errors.Is(errno, unix.EEXIST) {
		return nil
	}
	return errno
}
