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
		// tmpfs takes user xattrs from Linux 6.6 on: a root whose writes vanish is made in another way.
		Name: "run", Package: "test/run",
		Args: []string{"-test.run=^(TestEphemeralOverlay|TestEphemeralSize|TestKeptLayer|TestKeptLayerAfterAKill|TestReadOnly|" +
			"TestNamespaces|TestIDMaps|TestExitCodes|TestManyInterrupts)$"},
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
	{Name: "exec-hostile", Package: "test/exec", Args: []string{"-test.run=^TestHostileContainer$"}},
	{
		// Of a launcher the heir takes longer here, with layers on disk to remove for each kill, than the test waits. Of one that
		// shares namespaces it was once left, one of 13; why is not known.
		Name: "kill", Package: "test/kill",
		Args: []string{
			"-test.run=^(TestKilledExecLeavesNothing|TestKilledMemberEndsContainer)$",
			"-test.skip=^TestKilledExecLeavesNothing$/^shared_namespaces$",
		},
	},
	{
		Name: "limits-none", Package: "test/limits", Delegate: None,
		Args: []string{"-test.run=^(TestCPUs|TestCPUWeight|TestCPUSet|TestMemory|TestPids|TestDeviceRates|TestBlkioWeight|TestBestEffort|TestUlimit)$"},
	},
}
