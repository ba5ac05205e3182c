//go:build linux && (amd64 || arm64)

package keeper

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestExitStatus(t *testing.T) {
	scripts := make(map[string]int)
	for code := range 256 {
		scripts["exit "+strconv.Itoa(code)] = code
	}
	for _, sig := range []int{1, 2, 6, 9, 11, 15, 33, 64} {
		scripts[fmt.Sprintf("ulimit -c 0; kill -%d $$", sig)] = 128 + sig
	}
	var some sync.WaitGroup
	slots := make(chan struct{}, 4)
	for script, want := range scripts {
		slots <- struct{}{}
		some.Go(func() {
			checkExit(t, setup{Command: []string{"sh", "-c", script}}, want)
			<-slots
		})
	}
	some.Wait()
}

func checkExit(t *testing.T, o setup, want int) {
	t.Helper()
	before := time.Now()
	code, s := keep(t, o).end(t)
	if code != 0 || !s.Ended || s.Code != want || s.Dropped != 0 {
		t.Errorf("%q: keeper %d, %+v, want %d", o.Command, code, s, want)
	}
	if s.At.Before(before.Add(-time.Second)) || s.At.After(time.Now().Add(time.Second)) {
		t.Errorf("%q: ended %v, and it is %v", o.Command, s.At, time.Now())
	}
}

func TestBadStart(t *testing.T) {
	for name, o := range map[string]setup{
		"end of file instead of a pid": {NoPID: true},
		"not a child":                  {Wrong: 1},
		"no process":                   {Wrong: 1 << 30},
		"all processes":                {Wrong: 1<<64 - 2},
		"a pid of more than 31 bits":   {Wrong: 1<<32 + 2},
		"no descriptor left":           {NoFD: true},
	} {
		o.Command = []string{"sh", "-c", "exit 0"}
		if o.NoFD {
			o.Command = []string{"sleep", "1000"}
		}
		k := keep(t, o)
		if o.Wrong == 1 {
			_ = k.cmd.Process.Kill() // it watches a process that does not end
			continue
		}
		if code, s := k.end(t); code != Failure || s.Ended {
			t.Errorf("%s: exit status %d, %+v, want %d", name, code, s, Failure)
		}
	}
	fd, err := MemFD()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, argv := range [][]string{{Name}, {Name, "x"}, {Name, "99"}, {Name, "99", "99", "99", "99"}, {Name, "99", "99", "99", "99", "-1"}} {
		c := exec.Command(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd))
		c.Args = argv
		_ = c.Run()
		if got := c.ProcessState.ExitCode(); got != Failure {
			t.Errorf("%q: exit status %d, want %d", argv, got, Failure)
		}
	}
}

func TestSignalsDoNotEnd(t *testing.T) {
	k := keep(t, setup{Cap: 1000, Command: []string{"sh", "-c", "read line; echo $line; exit 5"}})
	pid := k.started(t)
	for sig := 1; sig <= 64; sig++ {
		if s := unix.Signal(sig); s != unix.SIGKILL && s != unix.SIGSTOP {
			if err := unix.Kill(pid, s); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 20 {
		_ = unix.Kill(pid, unix.SIGSTOP)
		_ = unix.Kill(pid, unix.SIGCONT)
	}
	k.tell(t, "still here")
	if code, s := k.end(t); code != 0 || s.Code != 5 {
		t.Errorf("keeper %d, %+v", code, s)
	}
	if got := k.ring(t); got != "still here\n" {
		t.Errorf("kept %q", got)
	}
}

// The death of a keeper is init's.
func TestKilled(t *testing.T) {
	for range 20 {
		k := keep(t, setup{Cap: 1000, Command: []string{"sleep", "1000"}})
		k.started(t)
		child := k.child(t)
		pidfd, err := unix.PidfdOpen(child, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = k.cmd.Process.Kill()
		poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		eventually(t, "init's end", func() bool {
			n, _ := unix.Poll(poll, 100)
			return n == 1
		})
		unix.Close(pidfd)
		if _, s := k.end(t); s.Ended {
			t.Errorf("a killed keeper wrote %+v", s)
		}
	}
}

// What the keeper costs and holds.
func TestProcess(t *testing.T) {
	k := keep(t, setup{Cap: 1 << 20, Command: []string{"sh", "-c", "echo ready; exec sleep 1000"}})
	pid := k.started(t)
	eventually(t, "output", func() bool { return k.ring(t) == "ready\n" })

	var kinds []string
	for _, target := range fds(t, pid) {
		kind, _, _ := strings.Cut(target, ":")
		kinds = append(kinds, strings.TrimPrefix(kind, k.dir))
	}
	slices.Sort(kinds)
	if got := strings.Join(kinds, " "); got != " /exit /log anon_inode pipe" {
		t.Errorf("open descriptors %q", got)
	}
	if got, err := unix.Getsid(pid); got != pid {
		t.Errorf("session %d (%v), want %d", got, err, pid)
	}
	if got, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); got != "/" {
		t.Errorf("directory %s (%v)", got, err)
	}
	maps := read(t, pid, "maps")
	for l := range strings.Lines(maps) {
		if mode := strings.Fields(l)[1]; strings.Contains(mode, "w") && strings.Contains(mode, "x") {
			t.Errorf("writable and executable: %s", l)
		}
	}
	if got := resident(t, pid); got == 0 || got > 16 {
		t.Errorf("%d kB resident, want at most 16", got)
	}

	cpu, switches := read(t, pid, "schedstat"), procStatus(pid, "voluntary_ctxt_switches")
	time.Sleep(500 * time.Millisecond)
	if read(t, pid, "schedstat") != cpu || procStatus(pid, "voluntary_ctxt_switches") != switches {
		t.Error("it was busy while nothing happened")
	}
}

// resident returns the resident kilobytes of a process, exactly: /proc/PID/status is not exact.
func resident(t *testing.T, pid int) int {
	t.Helper()
	var rss, pss int
	for l := range strings.Lines(read(t, pid, "smaps_rollup")) {
		_, _ = fmt.Sscanf(l, "Rss: %d kB", &rss)
		_, _ = fmt.Sscanf(l, "Pss: %d kB", &pss)
	}
	t.Logf("%d kB resident, PSS %d kB", rss, pss)
	return rss
}

func read(t *testing.T, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestMemFD(t *testing.T) {
	fd, err := MemFD()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	got := make([]byte, 8192)
	if n, err := unix.Pread(fd, got, 0); err != nil || string(got[:n]) != string(Image()) {
		t.Errorf("content is not the image: %v", err)
	}
}

// groups are directories that stand for control groups: a real one has its files without
// any entry that rmdir(2) would mind.
func groups(t *testing.T) (full, empty string) {
	t.Helper()
	full, empty = t.TempDir(), t.TempDir()+"/empty"
	if err := os.WriteFile(full+"/memory.events", []byte("max 3\noom_kill 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	return full, empty
}

func checkGroups(t *testing.T, o setup) {
	t.Helper()
	full, empty := groups(t)
	for group, want := range map[string]string{full: "max 3\noom_kill 2\n", empty: "", "/no/such": "", "": ""} {
		o.Group, o.Command = group, []string{"sh", "-c", "kill -9 $$"}
		if code, s := keep(t, o).end(t); code != 0 || !s.Ended || s.Code != 137 || s.Events != want {
			t.Errorf("group %q: keeper %d, %+v, want events %q", group, code, s, want)
		}
	}
	if _, err := os.Stat(empty); !os.IsNotExist(err) {
		t.Errorf("the group is left: %v", err)
	}
}

func TestGroup(t *testing.T) {
	checkGroups(t, setup{})
	_, group := groups(t)
	k := keep(t, setup{Group: group, Command: []string{"sleep", "1000"}})
	if got, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", k.started(t))); got != group {
		t.Errorf("directory %s (%v), want the group", got, err)
	}
}
