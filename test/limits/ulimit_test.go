package limits

import (
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// Limits of single processes need no delegation.
func TestUlimit(t *testing.T) {
	begin(t)
	out := run(t, []string{"--ulimit", "nofile=100:200", "--ulimit", "core=0"}, "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c").OK(t)
	if out != "100\n200\n0" {
		t.Errorf("got %q", out)
	}
	r := start(t, "--ulimit", "nofile=100:200", "--ulimit", "core=0")
	until(t, "it is listed", trial.Timeout, func() bool { return rl(t, "rl-inspect", "victim").Code == 0 })
	if s := inspect(t, "victim", "Limits"); s != "map[Applied:map[ulimit:nofile=100:200 core=0] Asked:map[ulimit:nofile=100:200 core=0] Cgroup:]" {
		t.Errorf("Limits is %s", s)
	}
	lower := trial.Command{Path: "/bin/sh", Args: []string{"-c", `ulimit -n 150 && exec "$@"`, "sh", trial.Bin(t, "rl-exec"), "victim", "true"}}
	lower.Run(t).Fails(t, 125, "execute in victim: --ulimit nofile=100:200: the caller's hard limit is 150, and only root can raise it")
	r.Signal(15)
	r.Wait()
	run(t, []string{"--ulimit", "files=1"}, "true").Fails(t, 125, `--ulimit "files=1": expected NAME=SOFT[:HARD]`)
	run(t, []string{"--ulimit", "nofile=1048576000"}, "true").Fails(t, 125, "--ulimit nofile=1048576000: the caller's hard limit is ")
}
