// Package entry is where the kernel enters rl-run and rl-exec, before Go's runtime does.
//
// The runtime sets itself up for a program that runs long on all processors. A launcher has done its part in a few
// milliseconds, one thing after the other, and a thread that is woken on another processor, sysmon looking after it
// fifty times, and reading which control group limits the processors cost it a fifth of its time. So Start, which the
// linker's flag -E makes the entry point,
//
//   - keeps the process on the processor on which it is, with the effect that the runtime has one P and few threads,
//     and the container's first processes start where their memory is cached;
//   - lets timers be late by a millisecond, for sysmon's sake;
//   - takes the soft limit of open files down to the three that are open, so that what the runtime would read of control
//     groups and huge pages cannot be opened (runtime.defaultGOMAXPROCSInit has no other switch in Go 1.26).
//
// Before all that it calls recall, the work of package plan, which may end the process: see plan/recall_amd64.go. (A variable of this
// package's name that plan defines, since an import would be the wrong way round.)
//
// The last two are undone when this package is initialised, for every thread that is made from then on; the processors are
// given back by Unpin, and to the container's processes by the plan. By other names than rl-run and rl-exec Start does
// nothing, and in a program that was linked without -E there is none.
//
// It imports nothing, so that Go initialises it before package syscall, which reads the limit of open files.
package entry

// setSize is the size of the masks of processors, in bytes: 1024 of them. On a larger machine Start pins nothing.
const setSize = 128

// What Start leaves, and restore takes. They are not initialised by Go, which would come after Start.
var (
	processors [setSize]byte // those on which the process may run
	own        [setSize]byte // the one on which it does
	current    uint64        // its number
	pinned     uint64        // 1 once it is kept there
	slack      uint64        // ns, of the timers; 0 where it is as it was
	files      [2]uint64     // soft and hard limit of open files
	few        [2]uint64     // the same meanwhile; 0 where they are as they were
	noG        [2]uint64     // thread-local storage before Go's
)

func init() { restore() }

// Only the assembly knows these.
var _, _, _, _, _, _ = &own, &current, &slack, &files, &few, &noG

// restore undoes what Start has done for the runtime alone.
func restore()

// Unpinned takes note that the processors have been given back to all threads.
func Unpinned() { pinned = 0 }

// Processors returns the mask of processors that Unpin gives back (sched_setaffinity(2)), nil where nothing is pinned.
func Processors() []byte {
	if pinned == 0 {
		return nil
	}
	return processors[:]
}
