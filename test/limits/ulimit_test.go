package limits

import "testing"

// Limits of single processes need no delegation.
func TestUlimit(t *testing.T) {
	begin(t)
	out := run(t, []string{"--ulimit", "nofile=100:200", "--ulimit", "core=0"}, "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c").OK(t)
	if out != "100\n200\n0" {
		t.Errorf("got %q", out)
	}
	run(t, []string{"--ulimit", "files=1"}, "true").Fails(t, 125, `--ulimit "files=1": expected NAME=SOFT[:HARD]`)
	run(t, []string{"--ulimit", "nofile=1048576000"}, "true").Fails(t, 125, "--ulimit nofile=1048576000: the caller's hard limit is ")
}
