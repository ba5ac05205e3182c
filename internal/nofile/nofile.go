// Package nofile remembers the RLIMIT_NOFILE that the process was started with.
//
// Go's syscall package raises the soft limit to the hard one before main runs
// and puts it back only in children that it starts itself. The launcher starts
// its child by its own means, so it has to put the limit back too, and for that
// it must have seen it. This package imports but entry, which gives the limit back and imports nothing, and Go initialises a
// package that waits for no other in the order of import paths (Go
// specification, Program initialization, as of Go 1.21): it runs before syscall.
package nofile

import _ "github.com/rl-run/rl-run/internal/entry"

var atStart [2]uint64

func init() { getrlimit(&atStart) }

// AtStart returns the soft and the hard limit of open files at the time of
// exec, as getrlimit(2) gives them; 2^64-1 stands for no limit.
func AtStart() (soft, hard uint64) { return atStart[0], atStart[1] }

// getrlimit fills in both limits; prlimit64(2) on oneself cannot fail.
//
//go:noescape
func getrlimit(lim *[2]uint64)
