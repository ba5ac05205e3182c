package recall

import (
	"os"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/trial"
)

// A link on the way to the state of containers may come within a container's reach, which is no premise.
func TestStateBehindALink(t *testing.T) {
	newHost(t)
	tree, top := trial.Tree(t, "busybox"), t.TempDir()
	must(t, os.Mkdir(top+"/run", 0o700))
	must(t, os.Mkdir(top+"/shown", 0o700))
	must(t, os.Symlink("run", top+"/link"))
	behind := host{t, top + "/link", "rl-run"}
	behind.prime("--net=none", tree, "true")
	behind.recalls("--net=none", tree, "true").OK(t)
	before := len(behind.memos())
	call := []string{"--net=none", "-v", top + "/shown:/mnt", tree, "true"}
	for range 3 {
		time.Sleep(1100 * time.Millisecond) // for files to settle
		behind.compiles(call...).OK(t)
	}
	if after := len(behind.memos()); after != before {
		t.Errorf("%d memos, and before %d", after, before)
	}
}
