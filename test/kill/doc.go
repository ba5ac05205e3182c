// Package kill has no code but its tests: rl-run is killed at random moments of a
// container's start and life, and nothing of the container may remain.
//
// The harness can be trusted as far as it can see, so the same code kills another launcher
// that is known to leave containers behind at times, and must find them.
//
// A launcher is started and killed by a keeper, a process that does nothing else and that
// is a child subreaper: what the launcher leaves has no other parent to go to, so it
// cannot be missed, nor be charged to another kill. Several keepers work at a time.
package kill
