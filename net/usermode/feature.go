package usermode

import (
	"bytes"
	"context"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// pastaIsNew tells a pasta of 2024_08_21 or later, by an option that came with it. Releases of before 2024 stall on uploads; since
// this one the host's loopback can be closed without the loss of another address. The other option each pasta has.
func pastaIsNew(path string) bool { return knows(path, "map-host-loopback", "config-net") }

// slirpIsOld tells a slirp4netns of before 0.4.0 (July 2019), with which came --netns-type, --enable-sandbox and
// --enable-seccomp (slirp4netns(1)): without them it neither joins a namespace by path nor confines itself. The other
// option has been there since its first release.
func slirpIsOld(path string) bool { return !knows(path, "enable-seccomp", "ready-fd") }

// knows looks for an option's name in the program itself, which takes some 50 µs where to ask it takes 2 ms. What does not hold
// even the older name is not the program but something that starts it, and is asked.
func knows(path, option, older string) bool {
	isNew, isOld := holds(path, option, older)
	if isNew || isOld {
		return isNew
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// It says so on the standard error, and exits with 1 for it in some releases.
	help, _ := exec.CommandContext(ctx, path, "--help").CombinedOutput()
	return bytes.Contains(help, []byte("--"+option))
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
