package caps

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lastFile is where proc_sys_kernel(5) has the number of the last capability,
// since 3.2.
const lastFile = "/proc/sys/kernel/cap_last_cap"

// Last is the highest number of a capability that the running kernel knows,
// 40 since 5.9.
//
// It asks prctl(PR_CAPBSET_READ), which is EINVAL above the last one: two calls
// where kernel and program are of one age, and no need for a /proc. Where a
// filter refuses that call it reads /proc/sys/kernel/cap_last_cap. The error is
// an *os.PathError of that file, or an *os.SyscallError.
func Last() (int, error) {
	return last(readBounding, lastFile)
}

// readBounding reports whether the kernel knows capability n.
func readBounding(n int) (bool, error) {
	err := unix.Prctl(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
	if errors.Is(err, unix.EINVAL) {
		return false, nil
	}
	return err == nil, os.NewSyscallError("prctl PR_CAPBSET_READ", err)
}

// last begins at the last one that has a name and walks up or down from there.
func last(knows func(int) (bool, error), file string) (int, error) {
	n := len(names) - 1
	ok, err := knows(n)
	if ok {
		for n < 63 {
			if ok, err = knows(n + 1); !ok {
				break
			}
			n++
		}
	} else {
		for err == nil && !ok && n > 0 {
			n--
			ok, err = knows(n)
		}
	}
	if err != nil {
		return readLast(file)
	}
	return n, nil
}

// readLast reads the number in file, of which it wants no more than a number's
// length.
func readLast(file string) (int, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 16))
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || n < 0 || n > 63 {
		return 0, &os.PathError{Op: "parse", Path: file, Err: errors.New("not a number from 0 to 63")}
	}
	return n, nil
}
