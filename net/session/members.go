package session

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Members finds the processes that live in user namespaces below the one with the
// inode number userns: those of containers that nest in a session, not the
// session's own. It looks at all processes that the caller may look at, some 5 µs
// each. What starts or ends meanwhile is seen or not.
func Members(userns uint64) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	below := map[uint64]bool{} // by inode number: looked at before
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if isZombie(pid) {
			continue // what it waits for is its parent
		}
		fd, err := unix.Open("/proc/"+e.Name()+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // it has ended, or is another user's
		}
		if isBelow(fd, userns, below) {
			out = append(out, pid)
		}
	}
	return out, nil
}

// isZombie reports whether a process has ended, by the letter behind its name
// (proc_pid_stat(5)).
func isZombie(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(text[bytes.LastIndexByte(text, ')')+1:]), " ")
	return strings.HasPrefix(rest, "Z")
}

// isBelow walks up, 32 levels at most (user_namespaces(7)), from a user namespace, which it closes, to the one with inode
// number top or to the caller's own, above which he may not look.
func isBelow(fd int, top uint64, known map[uint64]bool) bool {
	start, err := inode(fd)
	if err != nil {
		_ = unix.Close(fd)
		return false
	}
	yes, seen := known[start]
	for ino := start; !seen && ino != top; {
		parent, err := unix.IoctlRetInt(fd, unix.NS_GET_PARENT)
		if err != nil {
			break
		}
		_ = unix.Close(fd)
		fd = parent
		if ino, err = inode(fd); err != nil {
			break
		}
		yes = ino == top
	}
	_ = unix.Close(fd)
	known[start] = yes
	return yes
}
