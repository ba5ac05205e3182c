// Package userns decides which ids a container's user namespace holds and puts
// them there: it finds the caller's subordinate ids, compiles an id map out of
// them, chooses who may write it, writes it, and reads it back.
//
// Probe and its parts ask the machine and only read. Compile is pure: it takes
// what Probe found, as data, and takes every decision. WriteMaps carries a
// decision out and Verify compares the result with what was decided.
//
// Ids are those of user_namespaces(7): 32 bits wide, 4294967295 is none. "Inside"
// means in the container, "host" or "outside" as the caller sees them, which is
// another namespace's inside when the caller runs in a container itself.
package userns
