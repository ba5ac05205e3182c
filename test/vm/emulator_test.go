package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long the guest may take to begin, and beats how long it may send nothing from then on.
const (
	patience = 8 * time.Minute
	beats    = 36 * Beat
)

// consoleTail is how much of the guest's console a failure shows, in bytes.
const consoleTail = 8 << 10

// errStill is the error of a guest that sends nothing any more.
var errStill = errors.New("the guest stands still")

// guest is one that runs.
type guest struct {
	messages *json.Decoder
	silence  *time.Timer // ends the guest
	still    atomic.Bool // it did
	remains  string      // what was to be seen of it then
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
	g := &guest{messages: json.NewDecoder(port)}
	end := func() { _ = qemu.Process.Kill() }
	g.silence = time.AfterFunc(patience, func() {
		g.remains = remains(qemu.Process.Pid, log)
		g.still.Store(true)
		end()
	})
	// Before the test program's own time is up, so that its end is a report with the guest's console.
	if deadline, ok := t.Deadline(); ok {
		timer := time.AfterFunc(time.Until(deadline)-30*time.Second, end)
		t.Cleanup(func() { timer.Stop() })
	}
	t.Cleanup(func() {
		// It is about to end by itself when all went well, and else has nothing left to do.
		g.silence.Stop()
		end()
		_ = qemu.Wait()
	})
	return g
}

// follow reads the messages of a job up to its end.
func follow(t *testing.T, g *guest, job int) (results []*result, trouble string, err error) {
	t.Helper()
	r := newReader(t)
	var m Message
	for !m.Ended && err == nil {
		m = Message{}
		switch err = g.messages.Decode(&m); {
		case err != nil && g.still.Load():
			err = errStill
		case errors.Is(err, io.EOF):
			err = errors.New("the guest ended before the job")
		case err != nil:
			err = fmt.Errorf("read the guest's messages: %w", err)
		case m.Job != job:
			err = fmt.Errorf("the guest sends a message about job %d during job %d", m.Job, job)
		default:
			g.silence.Reset(beats)
			_, err = r.Write(m.Output)
		}
	}
	results, broken := r.end()
	return results, m.Error, errors.Join(err, broken)
}

// remains tells what is to be seen of an emulator whose guest stands still: what each of its threads does, what its monitor
// says of the processors, and what the guest says on its console when it gets an NMI.
func remains(pid int, log string) string {
	var b strings.Builder
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid)) // the pattern is not malformed
	for _, dir := range threads {
		fmt.Fprintf(&b, "%s:", filepath.Base(dir))
		for _, name := range []string{"comm", "stat", "wchan", "syscall"} {
			text, err := os.ReadFile(dir + "/" + name)
			if err != nil {
				text = []byte(err.Error())
			}
			fmt.Fprintf(&b, " %s", strings.TrimSpace(string(text)))
		}
		fmt.Fprintln(&b)
	}
	said, err := ask(log+".monitor", "info status", "info registers -a", "nmi")
	fmt.Fprintf(&b, "the monitor (%v):\n%s\n", err, said)
	text, err := os.ReadFile(log)
	fmt.Fprintf(&b, "the console (%v):\n%s", err, text[max(0, len(text)-consoleTail):])
	return b.String()
}

// ask has the emulator's monitor do something, and returns what it says within ten seconds.
func ask(monitor string, commands ...string) (string, error) {
	c, err := net.Dial("unix", monitor)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, strings.Join(commands, "\n")+"\n"); err != nil {
		return "", err
	}
	said, err := io.ReadAll(c) // the monitor does not hang up
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	var b strings.Builder
	for line := range strings.Lines(string(said)) {
		// It shows the commands as they are typed, and registers that tell of no place.
		if !strings.Contains(line, "\x1b") && !strings.HasPrefix(line, "FPR") && !strings.HasPrefix(line, "YMM") {
			b.WriteString(line)
		}
	}
	return b.String(), err
}
