package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
	g := start(t, disk, log)
	for i, j := range chosen {
		started := time.Now()
		ok := t.Run(j.Name, func(t *testing.T) {
			results, trouble, err := follow(t, g, i)
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

// patience is how long the guest may say nothing: its agent ends what hangs, and says so, unless
// the guest does not get that far.
const patience = Silence + 3*time.Minute

// consoleTail is how much of the guest's console a failure shows, in bytes.
const consoleTail = 8 << 10

// guest is one that runs.
type guest struct {
	messages *json.Decoder
	silence  *time.Timer // ends the guest
}

// start starts the guest, which ends with the test.
func start(t *testing.T, disk, log string) *guest {
	t.Helper()
	// The parent that PR_SET_PDEATHSIG means is this thread.
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	qemu := exec.Command(root+"/scripts/vm", "run", disk, log)
	qemu.Stderr = t.Output()
	qemu.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	port, err := qemu.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := qemu.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() { _ = qemu.Process.Kill() }
	silence := time.AfterFunc(patience, end)
	// Before the test program's own time is up, so that its end is a report with the guest's console.
	if deadline, ok := t.Deadline(); ok {
		timer := time.AfterFunc(time.Until(deadline)-30*time.Second, end)
		t.Cleanup(func() { timer.Stop() })
	}
	t.Cleanup(func() {
		// It is about to end by itself when all went well, and else has nothing left to do.
		silence.Stop()
		end()
		_ = qemu.Wait()
	})
	return &guest{json.NewDecoder(port), silence}
}

// follow reads the messages of a job up to its end.
func follow(t *testing.T, g *guest, job int) (results []*result, trouble string, err error) {
	t.Helper()
	r := newReader(t)
	var m Message
	for !m.Ended && err == nil {
		m = Message{}
		switch err = g.messages.Decode(&m); {
		case errors.Is(err, io.EOF):
			err = errors.New("the guest ended before the job")
		case err != nil:
			err = fmt.Errorf("read the guest's messages: %w", err)
		case m.Job != job:
			err = fmt.Errorf("the guest sends a message about job %d during job %d", m.Job, job)
		default:
			g.silence.Reset(patience)
			_, err = r.Write(m.Output)
		}
	}
	results, broken := r.end()
	return results, m.Error, errors.Join(err, broken)
}
