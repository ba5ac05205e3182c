package usermode

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// A new pasta, which the host may lack: what is tried with the host's own, and that auto takes it first.
func TestNewPasta(t *testing.T) {
	dir := os.Getenv("RLRUN_PASTA")
	path := filepath.Join(dir, "pasta")
	if _, err := os.Stat(path); dir == "" || err != nil {
		trial.Skip(t, "the test needs a new pasta in the directory that RLRUN_PASTA names (scripts/newpasta DIR)")
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	keep := kinds
	kinds = []string{"pasta"}
	t.Cleanup(func() { kinds = keep })

	plan := trial.Run(t, "--explain", trial.Tree(t, "busybox"), "true").OK(t)
	// One that it took for old would come after slirp4netns.
	if !strings.Contains(plan, ", of "+path+" --foreground ") {
		t.Errorf("auto does not take %s as a new one:\n%s", path, plan)
	}
	for name, test := range map[string]func(*testing.T){
		"reaches": TestReaches, "ping": TestPing, "there at once": TestThereAtOnce, "started again": TestStartedAgain,
		"other name servers": TestOtherNameServers, "works again": TestWorksAgain, "ends": TestEnds,
	} {
		t.Run(name, test)
	}
}
