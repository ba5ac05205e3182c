package usermode

import (
	"bytes"
	"context"
	"os/exec"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// lookAtPasta tells a pasta of 2024_08_21 or later by an option that came with it. Releases of before 2024 stall on uploads; since
// this one the host's loopback can be closed without the loss of another address. One without the second option does not quit when
// its namespace goes, nor has to be kept from it.
func (h *Host) lookAtPasta() {
	has := features(h.Pasta, "map-host-loopback", "no-netns-quit", "config-net")
	h.PastaIsNew, h.PastaStays = has[0], !has[1]
}

// lookAtSlirp tells a slirp4netns of before 0.4.0 (July 2019), with which came --netns-type, --enable-sandbox and
// --enable-seccomp (slirp4netns(1)): without them it neither joins a namespace by path nor confines itself.
func (h *Host) lookAtSlirp() {
	has := features(h.Slirp4netns, "enable-seccomp", "disable-dns", "ready-fd")
	h.SlirpIsOld, h.SlirpHasNames = !has[0], !has[1]
}

// features looks for names of options in the program itself, which takes some 50 µs where to ask it takes 2 ms. The last one each
// release has: what does not hold that is not the program but something that starts it, and is asked.
func features(path string, options ...string) []bool {
	has := holds(path, options)
	if has[len(has)-1] {
		return has
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// It says so on the standard error, and exits with 1 for it in some releases.
	help, _ := exec.CommandContext(ctx, path, "--help").CombinedOutput()
	for i, o := range options {
		has[i] = has[i] || bytes.Contains(help, []byte("--"+o))
	}
	return has
}

// maxProgram is as much of a program as is looked at, in bytes.
const maxProgram = 16 << 20

// partSize is how much of a program is looked at at once, in bytes: a further page of memory costs more than a further read.
const partSize = 16 << 10

// holds says which names a file holds. It looks no further than all of them.
func holds(path string, names []string) []bool {
	has := make([]bool, len(names))
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return has
	}
	defer unix.Close(fd)
	// Parts overlap by what the longest name may have begun. A map of the file would be faster, and die of SIGBUS when
	// the file is truncated meanwhile.
	overlap := 0
	for _, name := range names {
		overlap = max(overlap, len(name)-1)
	}
	part := make([]byte, partSize)
	kept := 0
	for total := 0; total < maxProgram; {
		n, err := unix.Read(fd, part[kept:])
		n = max(n, 0)
		total += n
		have := part[:kept+n]
		for i, name := range names {
			has[i] = has[i] || bytes.Contains(have, []byte(name))
		}
		if !slices.Contains(has, false) || err != nil || n == 0 {
			break
		}
		kept = copy(part, have[max(0, len(have)-overlap):])
	}
	return has
}
