package vm

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(trial.Tests(m).Run()) }

func TestGuest(t *testing.T) {
	if testing.Short() {
		trial.Skip(t, "the tests in the guest take minutes")
	}
	if os.Getenv("RLRUN_BIN") == "" {
		trial.Skip(t, "the guest gets the programs in RLRUN_BIN (make vm)")
	}
	trial.NeedUser(t)
	trial.NeedTool(t, "qemu-system-x86_64")
	chosen := choose(t)
	disk := makeDisk(t, chosen)
	if out, err := exec.CommandContext(t.Context(), root+"/scripts/vm-image").CombinedOutput(); err != nil {
		t.Fatalf("scripts/vm-image: %v\n%s", err, out)
	}
	log := filepath.Join(t.TempDir(), "log")
	put(t, log, nil)
	g, first, again := start(t, disk, log), 0, false // first is the job that g began with
	for i, j := range chosen {
		started := time.Now()
		results, trouble, err := follow(t, g, i-first)
		if errors.Is(err, errStill) && !again {
			again = true
			t.Attr("show", "guest begun anew") // see scripts/runtests
			t.Logf("%s: %v\n%s\nIt begins anew in a fresh guest.", j.Name, err, g.remains)
			disk, first = makeDisk(t, chosen[i:]), i
			g = start(t, disk, log) // not in a sub-test, with whose thread it would end
			results, trouble, err = follow(t, g, 0)
		}
		ok := t.Run(j.Name, func(t *testing.T) {
			replay(t, results, trouble)
			if err != nil {
				t.Error(err)
			}
		})
		t.Logf("%s: ok %v, %.0f s", j.Name, ok, time.Since(started).Seconds())
	}
	if t.Failed() {
		text, _ := os.ReadFile(log)
		t.Logf("the guest's console, its end:\n%s", text[max(0, len(text)-consoleTail):])
	}
}

// choose returns the jobs that RLRUN_VM names, all where it is not set.
func choose(t *testing.T) []Job {
	t.Helper()
	wanted, err := regexp.Compile(os.Getenv("RLRUN_VM"))
	if err != nil {
		t.Fatalf("RLRUN_VM: %v", err)
	}
	var chosen []Job
	for _, j := range jobs {
		if wanted.MatchString(j.Name) {
			j.Args = append([]string{"-test.v=test2json", "-test.paniconexit0"}, j.Args...)
			chosen = append(chosen, j)
		}
	}
	if len(chosen) == 0 {
		t.Fatalf("RLRUN_VM=%s: no job has such a name", wanted)
	}
	return chosen
}
