//go:build linux && (amd64 || arm64)

package static

import (
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCode(t *testing.T) {
	var text [Max]byte
	copy(text[7:], "here it ends")
	if got := Code(&text, "here it ends"); len(got) != 7 {
		t.Errorf("%d bytes, want 7", len(got))
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic without the mark")
		}
	}()
	Code(&text, "elsewhere")
}

func TestMemFD(t *testing.T) {
	image := Image([]byte{1, 2, 3})
	fd, err := MemFD("rl-test", image)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "rl-test")
	defer f.Close()
	if got, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || got&Seals != Seals {
		t.Errorf("seals %#x, %v", got, err)
	}
	if got, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || got != unix.FD_CLOEXEC {
		t.Errorf("descriptor flags %#x, %v", got, err)
	}
	got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	if err != nil || string(got) != string(image) {
		t.Errorf("content is not the image: %v", err)
	}
	if _, err := f.WriteAt([]byte{0}, 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("write: %v", err)
	}
	if err := f.Truncate(0); !errors.Is(err, unix.EPERM) {
		t.Errorf("truncate: %v", err)
	}
}
