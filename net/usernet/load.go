package usernet

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Directory and File are where the policy is. The program that obeys it knows no other
// place: one that a user could name would be a policy that he wrote.
const (
	Directory = "/etc/rl-run"
	File      = "usernet"
)

// ErrUntrusted is the error of a policy that someone else than root could have written.
var ErrUntrusted = errors.New("not root's alone to write")

// Load reads the policy of this host.
func Load() (Policy, error) { return LoadFrom(Directory) }

// LoadFrom reads the policy in a directory. Directory and file must be root's and
// writable by root alone, which is checked on the open descriptors; neither may be a
// symbolic link, and the file must be a regular one of at most MaxSize bytes. The errors
// are of *os.PathError, with ErrUntrusted or a *LineError in it, or an errno.
func LoadFrom(directory string) (Policy, error) {
	dir, err := unix.Open(directory, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return Policy{}, &os.PathError{Op: "open", Path: directory, Err: err}
	}
	defer unix.Close(dir)
	if err := trusted(dir, unix.S_IFDIR); err != nil {
		return Policy{}, &os.PathError{Op: "read policy in", Path: directory, Err: err}
	}

	path := directory + "/" + File
	// Not blocking: a FIFO would wait for its writer.
	fd, err := unix.Openat(dir, File, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Policy{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	p, err := read(f)
	if err != nil {
		return Policy{}, &os.PathError{Op: "read policy", Path: path, Err: err}
	}
	return p, nil
}

func read(f *os.File) (Policy, error) {
	if err := trusted(int(f.Fd()), unix.S_IFREG); err != nil {
		return Policy{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return Policy{}, err
	}
	if len(text) > MaxSize {
		return Policy{}, fmt.Errorf("more than %d bytes", MaxSize)
	}
	return Parse(string(text))
}

// trusted checks that what is open is of a kind, and root's alone to write. With an
// access control list the group's bits are its mask, acl(5), so they cover it.
func trusted(fd int, kind uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != kind || st.Uid != 0 || st.Mode&0o022 != 0 {
		return ErrUntrusted
	}
	return nil
}
