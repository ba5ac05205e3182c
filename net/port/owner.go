package port

import (
	"fmt"
	"math/bits"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rl-run/rl-run/internal/guard"
)

// findOwner names who holds a port that p cannot have: by process where its
// descriptors may be read, which is so for the caller's own, else by user. The
// caller's may be about to give it up: a process that ends has no descriptors to be
// read, and what forwards ports for a container may not know yet of its end.
func findOwner(p Publish) (owner string, ending bool) {
	if p.HostPort == 0 {
		return "", false
	}
	for _, family := range []string{"", "6"} {
		text, err := os.ReadFile("/proc/self/net/" + p.Proto.String() + family)
		if err != nil {
			continue // no IPv6
		}
		for line := range strings.Lines(string(text)) {
			s, ok := parseSocketLine(line)
			if !ok || s.local.Port() != p.HostPort || p.Proto == TCP && s.state != stateListen {
				continue
			}
			held := s.local.Addr()
			// An unspecified IPv6 address may have been bound for both families; the table does not say.
			if covers(p.Host, held) || covers(held, p.Host) || held == netip.IPv6Unspecified() || !p.Host.IsValid() {
				return s.owner()
			}
		}
	}
	return "", true // given up meanwhile
}

// stateListen is TCP_LISTEN of the kernel's net/tcp_states.h.
const stateListen = 0x0a

// socketLine is what one line of /proc/net/tcp and its kin says, proc_pid_net(5).
type socketLine struct {
	local netip.AddrPort
	state uint64
	uid   string
	inode string
}

func parseSocketLine(line string) (s socketLine, ok bool) {
	// sl local remote st tx:rx tr:when retrnsmt uid timeout inode
	f := strings.Fields(line)
	if len(f) < 10 {
		return s, false
	}
	addr, port, ok := strings.Cut(f[1], ":")
	if !ok {
		return s, false
	}
	a, ok := parseHexAddr(addr)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return s, false
	}
	if s.state, err = strconv.ParseUint(f[3], 16, 8); err != nil {
		return s, false
	}
	s.local, s.uid, s.inode = netip.AddrPortFrom(a, uint16(n)), f[7], f[9]
	return s, true
}

// parseHexAddr reads an address as the kernel prints it: words of 32 bits, each as a
// number of this machine. Both architectures are little-endian.
func parseHexAddr(s string) (netip.Addr, bool) {
	var raw [16]byte
	if len(s) != 8 && len(s) != 32 {
		return netip.Addr{}, false
	}
	for i := 0; i < len(s); i += 8 {
		word, err := strconv.ParseUint(s[i:i+8], 16, 32)
		if err != nil {
			return netip.Addr{}, false
		}
		swapped := bits.ReverseBytes32(uint32(word))
		for j := range 4 {
			raw[i/2+j] = byte(swapped >> (24 - 8*j))
		}
	}
	if len(s) == 8 {
		return netip.AddrFrom4([4]byte(raw[:4])), true
	}
	return netip.AddrFrom16(raw).Unmap(), true
}

func (s socketLine) owner() (name string, ending bool) {
	if s.inode != "0" {
		if pid, ok := processWith("socket:[" + s.inode + "]"); ok {
			text, _ := os.ReadFile("/proc/" + pid + "/comm")
			name := strings.TrimSpace(string(text))
			if name == guard.Name || name == "rl-netd" { // they hold what is published
				return "a container of yours, see rl-ps", true
			}
			return fmt.Sprintf("%s (process %s)", name, pid), false
		}
	}
	ending = s.uid == strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(s.uid); err == nil {
		return "a process of user " + u.Username, ending
	}
	return "a process of uid " + s.uid, ending
}

// processWith finds a process that has a descriptor of the given kind and number.
func processWith(link string) (pid string, ok bool) {
	// A glob over all of /proc leaves out what may not be listed.
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == link {
			return strings.Split(fd, "/")[2], true
		}
	}
	return "", false
}
