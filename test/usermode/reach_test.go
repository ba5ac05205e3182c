package usermode

import (
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// A container that sees the host's processes may look into none of those that serve its network, which have the host's root.
func TestHelpersOutOfReach(t *testing.T) {
	begin(t)
	const look = `for p in /proc/[0-9]*; do
			read comm <$p/comm || continue
			case $comm in rl-guard | rl-netd | slirp4netns | pasta* | passt*) ;; *) continue ;; esac
			echo saw ${comm%.*}
			cat $p/environ >/dev/null && echo read $comm
			ls $p/root/ && echo root of $comm
		done 2>/dev/null
		cat /proc/self/environ >/dev/null && echo control`
	for _, kind := range kinds {
		r := run(t, "--net="+kind, "--pid=host", "--cap-add=SYS_ADMIN,NET_ADMIN,NET_RAW", "-p", "127.0.0.1::80", trial.Tree(t, "busybox"), "sh", "-c", look)
		driver := strings.Contains(r.Stdout, "saw "+kind) || kind == "pasta" && strings.Contains(r.Stdout, "saw passt")
		if !driver || !strings.Contains(r.Stdout, "saw rl-guard") || !strings.Contains(r.Stdout, "control") {
			t.Errorf("%s: exit %d, saw %q, %s", kind, r.Code, r.Stdout, r.Stderr)
		}
		if strings.Contains(r.Stdout, "read ") || strings.Contains(r.Stdout, "root of ") {
			t.Errorf("%s: reached: %q", kind, r.Stdout)
		}
	}
}
