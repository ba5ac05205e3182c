package vm

import "strings"

// jobs are the tests that the guest is for: what depends on the kernel, on systemd or on
// control groups. What it lacks stands beside what is left out for it.
var jobs = []Job{
	{Name: "run", Package: "test/run"},
	{Name: "kill", Package: "test/kill"},
	{Name: "badinput", Package: "test/badinput"},
	{Name: "cgroup", Package: "cgroup"},
	{Name: "cgroup-io", Package: "cgroup", Delegate: "cpu cpuset io memory pids"},
	{Name: "cgroup-none", Package: "cgroup", Delegate: "no"},
}

// skip makes the argument that leaves tests out.
func skip(tests ...string) string {
	return "-test.skip=^(" + strings.Join(tests, "|") + ")$"
}
