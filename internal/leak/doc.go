// Package leak is the oracle that integration tests are wrapped in: after a
// test, the machine is as it was before.
//
// A test package that uses it runs its tests under a supervisor,
//
//	func TestMain(m *testing.M) { os.Exit(leak.Tests(m).Run()) }
//
// and a test begins with
//
//	leak.Watch(t)
//
// Processes, namespaces, mounts, network links and addresses, tc and nftables rules, control
// groups, files of the state directory and file descriptors that are there at
// the end of the test and were not at its beginning are reported by name, once
// they have had two seconds to go away.
//
// # Whose leaks
//
// Test programs of one user run side by side, so a user id does not say whose
// a process is. Descent does: the supervisor is the parent of the test program
// and a child subreaper (PR_SET_CHILD_SUBREAPER, prctl(2)), so that every
// process the tests have started, however often it forked and lost its parent,
// stays below the supervisor. The supervisor also reaps, as the init of a
// machine would: a zombie that is seen is one that the test program itself
// forgot to wait for.
//
// Within one test program there is no such border: tests that are watched must
// not run in parallel with each other.
//
// What the kernel does not show to the caller cannot be reported: nftables rules need
// CAP_NET_ADMIN, and a namespace that is held by a socket alone has no name.
package leak
