// Package caps decides which capabilities a container holds: it knows the
// names and numbers of capabilities(7), reads --cap-add and --cap-drop in the
// way podman does, and says what each of the five sets of a process has to be
// for root and for another user.
//
// It decides and does nothing: dropping from the bounding set and capset(2) are
// steps of a plan. The system call filter is in caps/seccomp.
package caps
