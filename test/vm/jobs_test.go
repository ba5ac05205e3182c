package vm

// jobs are the tests that the guest is for: what depends on the kernel, on systemd or on
// control groups.
var jobs = []Job{
	{Name: "limits", Package: "test/limits"},
}
