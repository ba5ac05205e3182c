package life

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// startAll starts a detached container for each name, so many at a time, and returns what each start came to.
func startAll(t *testing.T, names []string, atOnce int) []trial.Result {
	t.Helper()
	tree := trial.Tree(t, "busybox")
	results := make([]trial.Result, len(names))
	var group sync.WaitGroup
	free := make(chan struct{}, atOnce)
	for i, name := range names {
		group.Go(func() {
			free <- struct{}{}
			results[i] = trial.Run(t, "-d", "--net=none", "--name", name, tree, "sleep", "100000")
			<-free
		})
	}
	group.Wait()
	return results
}

// Of many starts with one name at one time, one succeeds, and the others say who has it.
func TestOneName(t *testing.T) {
	leak.Watch(t)
	names := make([]string, trial.Mass(100))
	for i := range names {
		names[i] = "wanted"
	}
	started := 0
	for _, r := range startAll(t, names, len(names)) {
		if r.Code == 0 {
			started++
		} else {
			r.Fails(t, 125, `name "wanted" is in use by a `)
		}
	}
	if started != 1 {
		t.Errorf("%d of %d starts succeeded", started, len(names))
	}
	rl(t, "rl-rm", "-f", "wanted").OK(t)
}

// Of starts with names of their own all succeed; and beside its command each container costs the host little memory.
func TestManyNames(t *testing.T) {
	leak.Watch(t)
	names := make([]string, trial.Mass(500))
	for i := range names {
		names[i] = fmt.Sprintf("many-%d", i)
	}
	for i, r := range startAll(t, names, 50) {
		if r.Code != 0 {
			t.Errorf("%s: exit code %d: %s", names[i], r.Code, r.Stderr)
		}
	}
	if got := strings.Count(rl(t, "rl-ps").OK(t), " running "); got != len(names) {
		t.Errorf("%d containers run, want %d", got, len(names))
	}

	below, err := leak.Descendants(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	count, sum := 0, 0
	for _, p := range below {
		if p.Comm != "rl-keeper" && p.Comm != "rl-init" {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var kB int
			if _, err := fmt.Sscanf(line, "Pss: %d kB", &kB); err == nil {
				count, sum = count+1, sum+kB
			}
		}
	}
	t.Logf("%d keepers and inits: %d kB of PSS, %d a container", count, sum, sum/len(names))
	if count != 2*len(names) || sum/len(names) > 1536 {
		t.Errorf("%d keepers and inits take %d kB of PSS a container, want %d and 1536 at most", count, sum/len(names), 2*len(names))
	}
	rl(t, "rl-rm", append([]string{"-f"}, names...)...).OK(t)
}
