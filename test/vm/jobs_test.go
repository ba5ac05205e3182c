package vm

// jobs are the tests that the guest is for: what depends on the kernel, on systemd or on
// control groups, and the life of containers. What goes by numbers runs with a tenth of them (trial.Mass). An
// emulated processor is ten times slower, so of packages in which much is of the same kind it is one of each.
var jobs = []Job{
	{Name: "limits", Package: "test/limits"},
	{
		// Those that Debian's own delegation leaves refused.
		Name: "limits-all", Package: "test/limits", Delegate: "cpu cpuset io memory pids",
		Args: []string{"-test.run=^(TestCPUSet|TestDeviceRates|TestBlkioWeight)$"},
	},
	{
		// What rl-doctor says of faults that only root can make, and the lines that mend them.
		Name: "doctor", Package: "test/doctor", Delegate: "cpu io memory pids", Root: true,
		Args: []string{"-test.run=^(TestMachine|TestDelegation)$"},
	},
	{
		// tmpfs takes user xattrs from Linux 6.6 on: a root whose writes vanish is made in another way.
		Name: "run", Package: "test/run",
		Args: []string{"-test.run=^(TestEphemeralOverlay|TestEphemeralSize|TestKeptLayer|TestKeptLayerAfterAKill|TestReadOnly|" +
			"TestNamespaces|TestIDMaps|TestExitCodes|TestManyInterrupts|TestManyOpenFilesAllowed)$"},
		Env: []string{"RLRUN_OPEN_FILES=1000000"},
	},
	{
		Name: "life", Package: "test/life",
		Args: []string{"-test.run=^(TestFromStartToRemoval|TestForeground|TestForegroundLauncherIsKilled|TestKeeperIsKilled|TestDamagedState|" +
			"TestRuntimeDirectoryVanishes|TestMountPoints|TestOneName|TestManyNames)$"},
	},
	{Name: "share", Package: "test/share"},
	{
		Name: "exec", Package: "test/exec",
		Args: []string{"-test.run=^(TestNamespaces|TestPrivileges|TestExitCodes|TestDetach)$"},
	},
	{Name: "exec-hostile", Package: "test/exec", Args: []string{"-test.run=^(TestHostileContainer|TestKilledWhileJoining)$"}},
	{
		// Without a network driver there is nobody to publish ports, and no network session; and only starts are kept that leave no layer
		// on a disk.
		Name: "kill", Package: "test/kill",
		Args: []string{
			"-test.run=^(TestKilledLauncherLeavesNothing|TestKilledExecLeavesNothing|TestKilledMemberEndsContainer|TestKilledMemoLeavesNothing)$",
			"-test.skip=^TestKilledLauncherLeavesNothing$/^published_port$|" +
				"^TestKilledMemoLeavesNothing$/^(subordinate_ids|in_a_session|link_to_a_session)$",
		},
	},
	// Of the matrix those cells that a machine with both versions of cgroup has not.
	{Name: "matrix-undelegated", Package: "test/matrix", Env: []string{"RLRUN_MATRIX=undelegated"}},
	{Name: "matrix-delegated", Package: "test/matrix", Env: []string{"RLRUN_MATRIX=delegated"}, Scope: true},
	{
		Name: "limits-none", Package: "test/limits", Delegate: None,
		Args: []string{"-test.run=^(TestCPUs|TestCPUWeight|TestCPUSet|TestMemory|TestPids|TestDeviceRates|TestBlkioWeight|TestBestEffort|TestUlimit)$"},
	},
}
