package vm

// jobs are the tests that the guest is for: what depends on the kernel, on systemd or on
// control groups.
var jobs = []Job{
	{Name: "limits", Package: "test/limits"},
	{
		// Those that Debian's own delegation leaves refused.
		Name: "limits-all", Package: "test/limits", Delegate: "cpu cpuset io memory pids",
		Args: []string{"-test.run=^(TestCPUSet|TestDeviceRates|TestBlkioWeight)$"},
	},
	{
		// tmpfs takes user xattrs from Linux 6.6 on: a root whose writes vanish is made in another way.
		Name: "overlay", Package: "test/run",
		Args: []string{"-test.run=^(TestEphemeralOverlay|TestKeptLayer|TestReadOnly)$"},
	},
	{
		Name: "limits-none", Package: "test/limits", Delegate: None,
		Args: []string{"-test.run=^(TestCPUs|TestCPUWeight|TestCPUSet|TestMemory|TestPids|TestDeviceRates|TestBlkioWeight|TestBestEffort|TestUlimit)$"},
	},
}
