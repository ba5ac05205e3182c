package usermode

import (
	"bytes"
	"context"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// newerOption came with pasta 2024_08_21. Releases of before 2024 stall on uploads; since this one the host's loopback
// can be closed without the loss of another address.
const newerOption = "map-host-loopback"

// oldOption is in each pasta that can be used at all.
const oldOption = "config-net"

// pastaIsNew looks for the option's name in the program itself, which takes some 50 µs where to ask it takes 2 ms. What
// does not hold even the older name is not pasta but something that starts it, and is asked.
func pastaIsNew(path string) bool {
	isNew, isOld := holds(path, newerOption, oldOption)
	if isNew || isOld {
		return isNew
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// It says so on the standard error, and exits with 1 for it in some releases.
	help, _ := exec.CommandContext(ctx, path, "--help").CombinedOutput()
	return bytes.Contains(help, []byte("--"+newerOption))
}

// maxProgram is as much of a program as is looked at, in bytes.
const maxProgram = 16 << 20

// holds says whether a file holds a and b. It looks no further than a.
func holds(path, a, b string) (hasA, hasB bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, false
	}
	defer unix.Close(fd)
	// Parts overlap by what the longer name may have begun. A map of the file would be faster, and die of SIGBUS when
	// the file is truncated meanwhile.
	overlap := max(len(a), len(b)) - 1
	part := make([]byte, 64<<10)
	kept := 0
	for total := 0; total < maxProgram; {
		n, err := unix.Read(fd, part[kept:])
		n = max(n, 0)
		total += n
		have := part[:kept+n]
		hasA = hasA || bytes.Contains(have, []byte(a))
		hasB = hasB || bytes.Contains(have, []byte(b))
		if hasA || err != nil || n == 0 {
			return hasA, hasB
		}
		kept = copy(part, have[max(0, len(have)-overlap):])
	}
	return hasA, hasB
}
