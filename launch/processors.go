package launch

import (
	"math/bits"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/entry"
)

// left are the processors that Go's runtime does not use yet, though its threads may run on them; 0 for none.
var left int

// spread gives all threads of the launcher the processors on which it was started, where package entry has kept it on one.
// Go's runtime goes on with a single P: to stop it and give it more takes as long as is gained.
func spread() {
	set := entry.Processors()
	if set == nil {
		return
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range threads {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			// One that has ended meanwhile needs none.
			_, _, _ = unix.RawSyscall(unix.SYS_SCHED_SETAFFINITY, uintptr(tid), uintptr(len(set)), uintptr(unsafe.Pointer(&set[0])))
		}
	}
	entry.Unpinned()
	for _, b := range set {
		left += bits.OnesCount8(b)
	}
}

// Unpin gives the launcher and Go's runtime in it all processors: before it starts programs that are not the container's,
// and once it has begun to wait.
func Unpin() {
	spread()
	if left > 0 {
		runtime.GOMAXPROCS(left)
		left = 0
	}
}

// alone reports whether the launcher can stay where it is until it starts a helper: it starts nothing before that but the
// container, its heir, and a driver that is a script and is asked for its options.
func (s *Spec) alone() bool {
	return s.Net != NetVeth && !s.Named() && !s.Detach && s.RootMode != RootCopy && s.Limits.IsZero() && len(s.Publish) == 0
}
