package runtimedir

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/passwd"
)

// OwnerError says that somebody else has the runtime directory's name.
type OwnerError struct {
	Path string
	UID  uint32 // whose it is
	Link bool   // it is a symbolic link

	parent bool
}

func (e *OwnerError) Error() string {
	what := "it"
	if e.Link {
		what = "the symbolic link"
	}
	return fmt.Sprintf("use %s for state: %s belongs to %s", e.Path, what, user(e.UID))
}

// user names a user as far as the host's passwd file knows it.
func user(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	fd, err := unix.Open("/etc/passwd", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "user " + id
	}
	defer unix.Close(fd)
	text, err := passwd.Read(fd, "/etc/passwd")
	if err != nil {
		return "user " + id
	}
	if entry, ok := passwd.ByUID(text, uid); ok {
		return "user " + entry.Name + " (" + id + ")"
	}
	return "user " + id
}

// ModeError says that others could have written in the runtime directory, so that nothing in it can be believed.
type ModeError struct {
	Path string
	Mode uint32 // the permission bits
}

func (e *ModeError) Error() string {
	return fmt.Sprintf("use %s for state: others may write there (mode %#o)", e.Path, e.Mode)
}

// Hint is the line that mends it.
func (e *ModeError) Hint() string { return "rm -rf " + e.Path }
