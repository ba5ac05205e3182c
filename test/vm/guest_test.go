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

// limit is how long the guest may take for all its jobs.
const limit = 19 * time.Minute

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
	messages := start(t, disk, log)
	for i, j := range chosen {
		started := time.Now()
		ok := t.Run(j.Name, func(t *testing.T) {
			results, trouble, err := follow(t, messages, i)
			replay(t, results, trouble)
			if err != nil {
				t.Error(err)
			}
		})
		t.Logf("%s: ok %v, %.0f s", j.Name, ok, time.Since(started).Seconds())
	}
	if t.Failed() {
		text, _ := os.ReadFile(log)
		t.Logf("the guest's console:\n%s", text)
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
			j.Args = append([]string{"-test.v=test2json", "-test.paniconexit0", "-test.timeout=10m"}, j.Args...)
			chosen = append(chosen, j)
		}
	}
	if len(chosen) == 0 {
		t.Fatalf("RLRUN_VM=%s: no job has such a name", wanted)
	}
	return chosen
}

// start starts the guest, which ends with the test, and returns its messages.
func start(t *testing.T, disk, log string) *json.Decoder {
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
	timer := time.AfterFunc(limit, func() { _ = qemu.Process.Kill() })
	t.Cleanup(func() {
		timer.Stop()
		// It is about to end by itself when all went well, and else has nothing left to do.
		_ = qemu.Process.Kill()
		_ = qemu.Wait()
	})
	return json.NewDecoder(port)
}

// follow reads the messages of a job up to its end.
func follow(t *testing.T, messages *json.Decoder, job int) (results []*result, trouble string, err error) {
	t.Helper()
	r := newReader(t)
	var m Message
	for !m.Ended && err == nil {
		m = Message{}
		switch err = messages.Decode(&m); {
		case errors.Is(err, io.EOF):
			err = errors.New("the guest ended before the job")
		case err != nil:
			err = fmt.Errorf("read the guest's messages: %w", err)
		case m.Job != job:
			err = fmt.Errorf("the guest sends a message about job %d during job %d", m.Job, job)
		default:
			_, err = r.Write(m.Output)
		}
	}
	results, broken := r.end()
	return results, m.Error, errors.Join(err, broken)
}
