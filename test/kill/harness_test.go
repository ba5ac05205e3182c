package kill

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
)

// A launcher is a command that starts a container, and the moments at which it is killed.
type launcher struct {
	path string
	args func(mark string) []string // mark becomes an argument of the command in the container

	// kills are drawn from a window of time, which begins so long after the launcher's exec
	after, window time.Duration
	// adapt moves the end of the window so that two kills in three come before the exec of
	// the command. Every tenth kill then comes long after it.
	adapt bool

	lasting []string // namespaces that are not the launcher's
}

// outcome is what a series of kills came to.
type outcome struct {
	kills, early int           // early: before the step that executes the command
	slowest      time.Duration // from a kill until nothing of that launcher was left
	slowestStep  step
	steps        histogram
	left         []remains
}

// remains is a kill that left something behind.
type remains struct {
	delay time.Duration
	steps string // the last that were seen
	what  []string
}

// concurrent is how many launchers run at a time; how many keepers wait for things to
// settle is another matter, and costs no more than to start them: so they are few for few kills.
const (
	concurrent             = 2
	fewKeepers, allKeepers = 4, 16
)

// patience is how long what a launcher has started may live on, where a start takes so long. What an heir does takes about as long as a
// start, and an emulated machine is as fast as what else runs on the real one lets it be.
func patience(took time.Duration) time.Duration {
	if leak.Slow(1) == 1 {
		return leak.Patience
	}
	return max(leak.Patience, 10*took)
}

// run kills n launchers, and, with adapt, goes on until n/2 kills were early.
func (l launcher) run(t *testing.T, n int, settle time.Duration) outcome {
	t.Helper()
	o := outcome{steps: histogram{}}
	window := l.window
	started, marks := 0, []string{}
	var mu sync.Mutex // guards all of the above
	active := make(chan struct{}, concurrent)
	var group sync.WaitGroup
	for range min(max(fewKeepers, n/4), allKeepers) {
		k, err := startKeeper(t)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			for {
				active <- struct{}{}
				mu.Lock()
				enough := started >= n && (!l.adapt || 2*o.early >= n || started >= 3*n)
				started++
				mark := fmt.Sprintf("killed-%d-%d", os.Getpid(), started)
				long := l.adapt && started%10 == 0
				delay := l.after + time.Duration(rand.Int64N(int64(window)))
				if long {
					delay += 3 * window
				}
				if !enough {
					marks = append(marks, mark)
				}
				mu.Unlock()
				if enough {
					<-active
					return
				}

				d, err := k.do(job{Path: l.path, Args: l.args(mark), Delay: delay, Settle: settle, Lasting: l.lasting})
				<-active
				if err != nil {
					t.Errorf("keeper: %v", err)
					return
				}
				if d.Exit != "" {
					t.Errorf("the launcher ended by itself: %s, stderr %q", d.Exit, d.Stderr)
					return
				}
				last, executed := lastStep(d.Stderr, mark)
				tail := lastSteps(d.Stderr)
				mu.Lock()
				o.kills++
				o.steps[last]++
				if !executed {
					o.early++
				}
				if l.adapt && !long {
					const aim, pace = 0.7, 0.05
					if executed {
						window -= time.Duration(aim * pace * float64(window))
					} else {
						window += time.Duration((1 - aim) * pace * float64(window))
					}
				}
				mu.Unlock()

				if d, err = k.next(); err != nil {
					t.Errorf("keeper: %v", err)
					return
				}
				mu.Lock()
				if len(d.Left) > 0 {
					o.left = append(o.left, remains{delay, tail, d.Left})
				} else {
					if d.Settled > o.slowest {
						o.slowest, o.slowestStep = d.Settled, last
					}
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	o.left = append(o.left, marked(t, marks)...)
	return o
}

// marked finds processes of the kills by the argument that only they have, wherever
// they may have gone. Each keeper is done by now.
func marked(t *testing.T, marks []string) []remains {
	t.Helper()
	all, err := leak.Processes()
	if err != nil {
		t.Fatal(err)
	}
	var found []remains
	for _, p := range all {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID), "cmdline"))
		if err != nil {
			continue
		}
		if slices.ContainsFunc(strings.Split(string(text), "\x00"), func(arg string) bool { return slices.Contains(marks, arg) }) {
			found = append(found, remains{steps: "unknown, found by its argument", what: []string{p.String()}})
		}
	}
	return found
}

// report logs the outcome, and each thing that was left.
func (o outcome) report(t *testing.T) {
	t.Helper()
	t.Logf("%d kills, %d before the exec of the command, %d left something behind; the slowest was gone after %v (last step %s)\nlast step seen\n%s",
		o.kills, o.early, len(o.left), o.slowest.Round(time.Millisecond), o.slowestStep, o.steps)
	for _, r := range o.left {
		t.Logf("left by a kill after %v, last steps %s:\n\t%s", r.delay.Round(time.Microsecond), r.steps, strings.Join(r.what, "\n\t"))
	}
}

// keeper is the test's end of a keeper process.
type keeper struct {
	orders *json.Encoder
	deaths *json.Decoder
}

func startKeeper(t *testing.T) (*keeper, error) {
	c := exec.Command("/proc/self/exe")
	c.Args = []string{keeperName}
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("keeper: %v", err)
		}
	})
	return &keeper{json.NewEncoder(in), json.NewDecoder(out)}, nil
}

// do has a launcher killed, and returns when it is dead.
func (k *keeper) do(j job) (death, error) {
	if err := k.orders.Encode(j); err != nil {
		return death{}, err
	}
	return k.next()
}

// next returns the keeper's next message.
func (k *keeper) next() (death, error) {
	var d death
	err := k.deaths.Decode(&d)
	if err == nil && d.Error != "" {
		err = fmt.Errorf("%s", d.Error)
	}
	return d, err
}

// A step is a line that rl-run --verbose writes; the zero value stands for none.
type step struct {
	number int
	text   string
}

func (s step) String() string {
	if s.number == 0 {
		return "none"
	}
	return fmt.Sprintf("%d %s", s.number, s.text)
}

var stepLine = regexp.MustCompile(`(?m)^rl-run: step (\d+) (\w+: .*)$`)

// lastStep reads what the launcher wrote: each line comes before its step is taken, so a
// kill without the line of the command's exec came before it.
func lastStep(stderr, mark string) (last step, executed bool) {
	for _, m := range stepLine.FindAllStringSubmatch(stderr, -1) {
		number, err := strconv.Atoi(m[1])
		if err != nil {
			continue
		}
		last = step{number, strings.ReplaceAll(m[2], mark, "MARK")}
		executed = executed || strings.HasPrefix(last.text, "command: exec ")
	}
	return last, executed
}

// lastSteps is the last step of each actor, in the order in which they were begun.
func lastSteps(stderr string) string {
	var steps []string
	seen := map[string]bool{}
	for _, m := range slices.Backward(stepLine.FindAllStringSubmatch(stderr, -1)) {
		actor, _, _ := strings.Cut(m[2], ":")
		if !seen[actor] {
			seen[actor] = true
			steps = append([]string{m[1] + " " + m[2]}, steps...)
		}
	}
	return strings.Join(steps, "; ")
}

// histogram counts kills by the last step that was seen.
type histogram map[step]int

func (h histogram) String() string {
	var steps []step
	for s := range h {
		steps = append(steps, s)
	}
	slices.SortFunc(steps, func(a, b step) int {
		return a.number - b.number
	})
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&b, "%5d  %s\n", h[s], s)
	}
	return b.String()
}
