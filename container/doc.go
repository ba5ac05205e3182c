// Package container keeps what is known of containers on disk, where the commands that look after them find it.
//
// There is no daemon and no database. A container is a directory c/NAME in the runtime directory (package
// internal/runtimedir), with these files:
//
//	state.json   who reserved the name, which processes the container has: [State]
//	config.json  what it was started with: [Config]
//	filter       its seccomp filter, as the kernel took it
//	cleanup.json what its launcher has to remove at the end, if there is anything
//	exit         how it ended: written in place by its keeper, which needs no space for that
//	log, log.1   what a container that runs detached has written
//
// # Names
//
// A directory is filled under another name and then gets its own by rename(2), which fails where a directory of that
// name has anything in it: of all who want a name at once one gets it, without a lock, and no name is ever seen
// without the process that has reserved it. Files are replaced by rename as well, so a reader sees an old or a new
// one, and a full disk leaves the old one. A name whose owner is gone is taken over under a flock(2) on the directory
// c: the kernel drops the lock with the process that has it. It is held for two renames, never over a start.
//
// # Trust
//
// State is a hint. A process id counts only together with the time at which the process started, the boot in which
// it did, and the pid namespace it was seen from. [Entry.Open] looks at the process through a pidfd, and takes it for
// a container only when its user namespace is below the caller's own and was made by the caller's user. Whatever cannot be
// read, as after a full disk or a hand that meant well, makes a container [Damaged]: it is listed, and can be removed.
//
// The package stands behind launch in the order of imports and is loaded with rl-run, but a foreground container
// without a name does not need it before it runs.
package container
