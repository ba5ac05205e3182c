package terminal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCheckMaster(t *testing.T) {
	p := openPTY(t)
	pathFD := func(path string, flags int) int {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd
	}
	regular := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(regular, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, _ := newPipe(t)
	if err := CheckMaster(p.master); err != nil {
		t.Errorf("a master: %v", err)
	}
	for what, fd := range map[string]int{
		"the slave":           p.slave,
		"/dev/null":           pathFD("/dev/null", unix.O_RDWR),
		"/dev/ptmx by O_PATH": pathFD("/dev/ptmx", unix.O_PATH),
		"/dev/ptmx read-only": pathFD("/dev/ptmx", unix.O_RDONLY),
		"a pipe":              fdOf(r),
		"a file":              pathFD(regular, unix.O_RDWR),
	} {
		if err := CheckMaster(fd); !errors.Is(err, errNotMaster) || err.Error() != "check pty: "+errNotMaster.Error() {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := CheckMaster(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: %v", err)
	}
}
