// Package cgroup limits what a container may use of memory, processors, block
// devices and processes, by control groups of version 2 (cgroups(7), and
// Documentation/admin-guide/cgroup-v2.rst of the kernel).
//
// [Limits] is what was asked for, [Host] what [Probe] found on this machine.
// [Compile] decides without side effect where the container's group is made, which
// files are written, and what is refused: a limit that cannot be enforced is a
// [Refusal], or a note where that was asked for. [Placement.Apply] does it: it makes
// the group, writes every limit, reads it back, and moves the container's first
// process there before the command runs.
//
// There are two ways to a group that a user may write to:
//
//   - A transient scope of the user's systemd, which hands it over with
//     Delegate=yes. Two groups are made in it: "container", which has the limits, and
//     "keeper" for the process that waits for the container. With the limits in a
//     group below, systemd never writes to the same file; and with the waiting
//     process beside it, systemd does not remove the counters before they are read.
//     systemd removes all of it when the last process has left.
//   - A subtree that somebody delegated to the user, in which the launcher is already.
//
// Version 1 has no safe delegation (the kernel's documentation of version 2, "Issues
// with v1"), so that a controller that is bound to it is refused.
package cgroup
