// Package inject has no code but its tests: strace makes rl-run's system calls fail, or kills the process that makes
// them, one after the other.
package inject
