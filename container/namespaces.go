package container

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Kinds are the types of namespaces by their names in /proc/PID/ns, in the order of the alphabet.
var Kinds = [...]string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"}

// Namespaces are the inodes of a process's namespaces, in the order of Kinds: the numbers in brackets where
// /proc/PID/ns is listed. One that the kernel does not have is 0.
type Namespaces [len(Kinds)]uint64

// Namespaces reads them. The error is an *os.PathError; of ESRCH when the process has ended.
func (p *Process) Namespaces() (Namespaces, error) {
	path := "/proc/" + strconv.Itoa(p.PID) + "/ns/"
	n, err := namespaces(path)
	if err == nil && p.Ended() {
		err = &os.PathError{Op: "read", Path: path, Err: unix.ESRCH}
	}
	return n, err
}

// OwnNamespaces reads those of the caller.
func OwnNamespaces() (Namespaces, error) { return namespaces("/proc/self/ns/") }

func namespaces(path string) (n Namespaces, err error) {
	for i, kind := range Kinds {
		var st unix.Stat_t
		err := unix.Stat(path+kind, &st)
		if i > 0 && errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return n, &os.PathError{Op: "stat", Path: path + kind, Err: err}
		}
		n[i] = st.Ino
	}
	return n, nil
}
