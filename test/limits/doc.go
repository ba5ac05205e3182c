// Package limits tries the limits of containers. Each test asks for a limit and tells
// one of two things: that the kernel enforces it, or, on a machine that delegates
// nothing to this user, that rl-run refuses it and says why. So nothing is skipped.
//
// RLRUN_DELEGATED lists the controllers that are delegated to the user for sure, as in
// "cpu cpuset io memory pids": a limit of one of them that is refused fails the test. The
// guest of the tests sets it. RLRUN_DISK is a directory of the user's on a disk of its
// own (not a tmpfs), for the limits of block devices.
package limits
