//go:build linux && (amd64 || arm64)

package keeper

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestOutput(t *testing.T) {
	for _, tty := range []bool{false, true} {
		k := keep(t, setup{Cap: 1000, TTY: tty, Command: []string{"sh", "-c", "echo out; echo err >&2; printf '\\000\\377'; exit 3"}})
		if code, s := k.end(t); code != 0 || s.Code != 3 {
			t.Errorf("keeper %d, %+v", code, s)
		}
		if got := k.ring(t); got != "out\nerr\n\x00\xff" {
			t.Errorf("terminal %v: kept %q", tty, got)
		}
		info, err := os.Stat(filepath.Join(k.dir, Log))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v", info, err)
		}
	}
}

// A gigabyte goes through in bounded time, and the files never hold more than they may.
func TestGigabyte(t *testing.T) {
	const size, limit = 1 << 30, 1 << 20
	k := keep(t, setup{Cap: limit, Command: floodOf(size / 16)})
	began := time.Now()
	largest := watch(t, k)
	code, s := k.end(t)
	took := time.Since(began)
	t.Logf("%v, at most %d bytes in the files", took, largest())
	if code != 0 || s.Code != 7 || s.Dropped != 0 {
		t.Errorf("keeper %d, %+v", code, s)
	}
	if took > 25*time.Second {
		t.Errorf("took %v", took)
	}
	if got := largest(); got > limit || got < limit/2 {
		t.Errorf("the files held %d bytes", got)
	}
	checkTail(t, k, size/16, limit)
}

// watch returns a function that says what the files held at most, once the keeper has ended.
func watch(t *testing.T, k *kept) func() int64 {
	var largest int64
	over := make(chan struct{})
	dir, err := os.Open(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(over)
		defer dir.Close()
		for {
			// One after the other: both at the same moment cannot be seen, and each may hold half.
			for _, name := range []string{OldLog, Log} {
				var st unix.Stat_t
				if unix.Fstatat(int(dir.Fd()), name, &st, 0) == nil {
					largest = max(largest, 2*st.Size)
				}
			}
			select {
			case <-k.done:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() int64 { <-over; return largest }
}

// checkTail compares the ring with the end of a flood.
func checkTail(t *testing.T, k *kept, lines int64, limit int) {
	t.Helper()
	got := k.ring(t)
	if len(got) < limit/2 || len(got) > limit {
		t.Errorf("%d bytes are kept, want %d to %d", len(got), limit/2, limit)
	}
	first := lines - int64(len(got)/16) - 1
	var want strings.Builder
	for n := max(first, 0); n < lines; n++ {
		want.WriteString(line(n))
	}
	if !strings.HasSuffix(want.String(), got) {
		t.Errorf("what is kept is not the end of the output: %.100q", got)
	}
}

// Limits that no write of the command meets.
func TestRing(t *testing.T) {
	for _, limit := range []int64{2, 3, 30, 4096, 10007, 100003} {
		for _, tty := range []bool{false, true} {
			lines := min(limit, 10000) // more than fits, and not a rename for each byte of a megabyte
			k := keep(t, setup{Cap: limit, TTY: tty, Command: floodOf(lines)})
			if code, s := k.end(t); code != 0 || s.Code != 7 || s.Dropped != 0 {
				t.Errorf("cap %d: keeper %d, %+v", limit, code, s)
			}
			checkTail(t, k, lines, int(limit))
		}
	}
}

func TestNothingKept(t *testing.T) {
	for _, limit := range []int64{-1, 0, 1} {
		k := keep(t, setup{Cap: limit, Command: floodOf(1 << 20)})
		if code, s := k.end(t); code != 0 || s.Code != 7 || s.Dropped != 0 {
			t.Errorf("keeper %d, %+v", code, s)
		}
		entries, err := os.ReadDir(k.dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("%v, %v", entries, err)
		}
	}
}

// A full disk costs the output that does not fit, is told, and what comes after there is room again is kept.
func TestFullDisk(t *testing.T) {
	script := "read go; head -c 1000000 /dev/zero; echo over; read go; printf end; exit 9"
	k := keep(t, setup{Cap: 1 << 22, Space: 64 << 10, Command: []string{"sh", "-c", script}})
	pid := k.started(t)
	dir := fmt.Sprintf("/proc/%d/root%s", pid, k.dir)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 40<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	exitFile, err := os.Open(filepath.Join(dir, "exit")) // keeps the filesystem when its namespace is gone
	if err != nil {
		t.Fatal(err)
	}
	defer exitFile.Close()
	status := func() Status {
		b := make([]byte, lineSize)
		_, err := exitFile.ReadAt(b, 0)
		s, ok := ParseExit(b)
		if err != nil || !ok {
			t.Fatalf("exit file: %q, %v", b, err)
		}
		return s
	}

	k.tell(t, "go")
	eventually(t, "dropped and said so", func() bool { return status().Dropped > 900000 })
	log, err := os.Open(filepath.Join(dir, Log))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	size := func() uint64 {
		info, err := log.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return uint64(info.Size())
	}
	eventually(t, "all is read", func() bool { return size()+status().Dropped == 1000005 })
	dropped := status().Dropped
	if got := size(); got < 16<<10 || got > 24<<10 {
		t.Errorf("%d bytes are kept", got)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	k.tell(t, "go")
	eventually(t, "the end", func() bool { return status().Ended })
	if s := status(); s.Code != 9 || s.Dropped != dropped {
		t.Errorf("%+v, %d bytes were dropped", s, dropped)
	}
	b, err := io.ReadAll(log)
	if err != nil || !strings.HasSuffix(string(b), "end") {
		t.Errorf("the end is not kept: %v", err)
	}
}

// No file can be made any more.
func TestDirectoryRemoved(t *testing.T) {
	k := keep(t, setup{Cap: 1000, Command: []string{"sh", "-c", "read go; head -c 1000000 /dev/zero; exit 4"}})
	k.started(t)
	exitFile, err := os.Open(filepath.Join(k.dir, "exit"))
	if err != nil {
		t.Fatal(err)
	}
	defer exitFile.Close()
	if err := os.RemoveAll(k.dir); err != nil {
		t.Fatal(err)
	}
	k.tell(t, "go")
	<-k.done
	b, err := io.ReadAll(exitFile)
	if s, ok := ParseExit(b); !ok || s.Code != 4 || s.Dropped != 1000000 {
		t.Errorf("%q, %v", b, err)
	}
}

// What lies where the log should be is put aside, not followed.
func TestPlantedFile(t *testing.T) {
	dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("whole"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(dir, Log)); err != nil {
		t.Fatal(err)
	}
	k := keep(t, setup{Dir: dir, Cap: 1000, Command: []string{"echo", "out"}})
	k.end(t)
	if b, err := os.ReadFile(victim); string(b) != "whole" {
		t.Errorf("the victim is %q, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, Log)); string(b) != "out\n" {
		t.Errorf("the log is %q, %v", b, err)
	}
}

// A directory in the way can be neither replaced nor opened.
func TestRotationFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, OldLog, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	k := keep(t, setup{Dir: dir, Cap: 2000, Command: []string{"sh", "-c", "head -c 5000 /dev/zero"}})
	if code, s := k.end(t); code != 0 || s.Dropped != 4000 {
		t.Errorf("keeper %d, %+v", code, s)
	}
}

// All that was written before the end is kept, also what nobody had read yet.
func TestDrains(t *testing.T) {
	for range 20 {
		k := keep(t, setup{Cap: 1 << 20, Command: []string{"sh", "-c", "read go; head -c 65536 /dev/zero; kill -9 $$"}})
		pid := k.started(t)
		_ = unix.Kill(pid, unix.SIGSTOP)
		k.tell(t, "go")
		child := k.child(t)
		eventually(t, "init's end", func() bool { return strings.HasPrefix(procStatus(child, "State"), "Z") })
		_ = unix.Kill(pid, unix.SIGCONT)
		if code, s := k.end(t); code != 0 || s.Code != 137 {
			t.Errorf("keeper %d, %+v", code, s)
		}
		if got := len(k.ring(t)); got != 65536 {
			t.Errorf("%d bytes are kept", got)
		}
	}
}

// Somebody outside who goes on writing does not keep the keeper.
func TestWriterOutside(t *testing.T) {
	k := keep(t, setup{Cap: 1 << 20, Command: []string{"sleep", "0.2"}})
	over := make(chan struct{})
	go func() {
		defer close(over)
		for b := make([]byte, 4096); ; {
			if _, err := k.out.Write(b); err != nil {
				return
			}
		}
	}()
	select {
	case <-k.done:
	case <-time.After(10 * time.Second):
		t.Error("the keeper goes on")
	}
	_ = k.cmd.Process.Kill()
	<-over
}

// A container that closed its output costs nothing, on a pipe and on a terminal.
func TestClosedOutput(t *testing.T) {
	for _, tty := range []bool{false, true} {
		k := keep(t, setup{Cap: 1000, TTY: tty, Command: []string{"sh", "-c", "echo last; exec sleep 1000 <&- >&- 2>&-"}})
		k.out.Close()
		pid := k.started(t)
		child := k.child(t)
		eventually(t, "closed", func() bool { return k.ring(t) == "last\n" && len(fds(t, child)) == 0 })
		time.Sleep(20 * time.Millisecond)
		switches := procStatus(pid, "voluntary_ctxt_switches")
		time.Sleep(time.Second)
		if got := procStatus(pid, "voluntary_ctxt_switches"); got != switches {
			t.Errorf("terminal %v: %s switches, then %s", tty, switches, got)
		}
		_ = unix.Kill(child, unix.SIGTERM)
		if _, s := k.end(t); s.Code != 143 {
			t.Errorf("%+v", s)
		}
	}
}

// A terminal that hung up, and is opened again.
func TestHungUp(t *testing.T) {
	script := `tty=$(tty); echo first; read go < "$0"; exec >&- 2>&- <&-; sleep 0.1; echo second >"$tty"; exec sleep 1000`
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	k := keep(t, setup{Cap: 1000, TTY: true, NoPeer: true, Command: []string{"sh", "-c", script, fifo}})
	pid := k.started(t)
	eventually(t, "first", func() bool { return k.ring(t) == "first\n" })
	if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "second", func() bool { return k.ring(t) == "first\nsecond\n" })
	before, err := strconv.Atoi(procStatus(pid, "voluntary_ctxt_switches"))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	after, err := strconv.Atoi(procStatus(pid, "voluntary_ctxt_switches"))
	if err != nil || after-before > 10 {
		t.Errorf("%d switches in two seconds (%v)", after-before, err)
	}
	_ = unix.Kill(k.child(t), unix.SIGKILL)
	if _, s := k.end(t); s.Code != 137 {
		t.Errorf("%+v", s)
	}
}
