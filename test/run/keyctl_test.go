package run

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// A filter that refuses keyctl(2), and leaves add_key(2) and request_key(2): the container keeps the caller's session keyring, and is
// started only where its own filter keeps that out of reach.
func TestRefusedKeyctl(t *testing.T) {
	begin(t)
	tree, bin := trial.Tree(t, "busybox"), filepath.Dir(trial.Bin(t, "rl-run"))
	under := func(calls, script string) trial.Result {
		t.Helper()
		profile := filepath.Join(t.TempDir(), "profile.json")
		write(t, profile, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [`+calls+`], "action": "SCMP_ACT_ERRNO", "errno": "EPERM"}]}`)
		return trial.Run(t, "--quiet", "--net=none", "--security-opt", "seccomp="+profile, "--security-opt", "unmask=ALL",
			"-v", bin+":/rl:ro", "-v", tree+":/inner:ro", tree, "sh", "-c", script)
	}
	const keyctl, all = `"keyctl"`, `"keyctl", "add_key", "request_key"`
	const why, start = "keyctl(2) is refused here: the container keeps the caller's session keyring, which filters keep out of reach", "/rl/rl-run --net=none --userns=single "
	for _, options := range []string{"", "--explain ", "--init=false "} {
		r := under(keyctl, start+options+"/inner echo started")
		if out := r.OK(t); options != "--explain " && out != "started" || strings.Count(r.Stderr, "rl-run: note: "+why) != 1 {
			t.Errorf("%q: %q, %q", options, out, r.Stderr)
		}
	}
	under(keyctl, start+"--strict /inner true").Fails(t, 125, "--strict: "+why)
	under(keyctl, start+"--security-opt seccomp=unconfined /inner true").
		Fails(t, 125, "--security-opt seccomp=unconfined: what runs this refuses keyctl(2)", "rl-run: hint: start with rl-run's own filter")
	want(t, "output", under(all, start+"--security-opt seccomp=unconfined /inner echo started").OK(t), "started")
	r := under(keyctl, `mkdir -m 700 /run1; export XDG_RUNTIME_DIR=/run1
		/rl/rl-run --quiet --net=none -d --name box /inner sleep 1000; /rl/rl-exec box echo joined; /rl/rl-inspect box; /rl/rl-rm -f box
		/rl/rl-doctor`)
	holds(t, "output", r.Stdout, "joined\n", `"`+why+`"`, "keyctl(2) is refused")
}
