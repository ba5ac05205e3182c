package exec

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// strike kills a process that joins, and looks at it while it ends: the kernel takes its memory first, and who has none counts as
// dumpable (do_exit, ptrace_may_access), so that for this moment nothing but what it has open keeps a secret.
func strike(pid int) (seen []sighting) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(pidfd)
	if unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) != nil {
		return nil
	}
	proc := "/proc/" + strconv.Itoa(pid)
	for n, gone := 0, false; n < 20000 && !gone; n++ {
		fd, err := unix.PidfdGetfd(pidfd, n%16, 0)
		switch err { //nolint:errorlint // an errno
		case nil:
			link := "/proc/self/fd/" + strconv.Itoa(fd)
			to, _ := os.Readlink(link)
			if _, err := os.Stat(link + "/" + marker); err == nil {
				to = "a directory of the host"
			}
			kind, _, _ := strings.Cut(to, "[")
			if strings.HasSuffix(kind, "/children") {
				kind = "what a static init reads"
			}
			seen = append(seen, sighting{"a dying process's descriptors", fmt.Sprintf("%d: %s", n%16, kind)})
			_ = unix.Close(fd)
		case unix.ESRCH:
			gone = true
		}
		if n%4 == 0 {
			for _, dir := range []string{"cwd", "root"} {
				if _, err := os.Lstat(proc + "/" + dir + "/" + marker); err == nil {
					seen = append(seen, sighting{"a dying process's " + dir, "a directory of the host"})
				}
				if _, err := os.Lstat(proc + "/" + dir + "/etc/shadow"); err == nil {
					seen = append(seen, sighting{"a dying process's " + dir, "the host's root directory"})
				}
			}
		}
	}
	return seen
}
