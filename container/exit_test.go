package container

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// writeExit says how the container ended, as the keeper of one that is detached does. The error is an *os.PathError.
func (e *Entry) writeExit(x Exit) error {
	fd, err := e.ExitFile()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.Pwrite(fd, x.line(), 0); err != nil {
		return &os.PathError{Op: "write", Path: e.path + "/" + exitFile, Err: err}
	}
	return nil
}

// line is the content of the file exit, as a keeper would write it.
func (e Exit) line() []byte {
	sec, nano := int64(0), 0
	if !e.At.IsZero() {
		sec, nano = e.At.Unix(), e.At.Nanosecond()
	}
	return fmt.Appendf(nil, "exit %03d %010d.%09d %020d\n", e.Code&0xff, max(0, sec), nano, e.Dropped)
}
