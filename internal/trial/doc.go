// Package trial runs rl-run the way its users do, for tests: the real program, in
// real trees, with and without a terminal.
//
// A test package that uses it has
//
//	func TestMain(m *testing.M) { os.Exit(trial.Tests(m).Run()) }
//
// which puts the tests under the supervisor of package leak and gives them a runtime
// directory of their own: state of the user's real containers is neither seen nor
// touched. A test then reads
//
//	func TestHostname(t *testing.T) {
//		trial.NeedUser(t)
//		leak.Watch(t)
//		r := trial.Run(t, trial.Tree(t, "busybox"), "hostname")
//		…
//	}
//
// The environment decides what is tried: RLRUN_BIN is a directory with the programs,
// else they are built; RLRUN_TREES is a directory with trees made by
// scripts/mkrootfs; RLRUN_NO_SKIP, when set, turns every skip into a failure;
// RLRUN_TENTH, when set, has what goes by numbers done a tenth of the times (Mass);
// RLRUN_SLOW is how many times slower than a usual machine this one may be (leak.Slow).
package trial
