package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// child is a process whose parent is this one, as /proc/PID/stat tells it.
type child struct {
	pid  int
	dead bool // a zombie that waits to be reaped
}

// spared are children of this process that are no package's.
var spared []int

// children returns the processes whose parent this one is, except one and those that are spared.
func children(except int) []child {
	var found []child
	self := os.Getpid()
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		stat, err := os.ReadFile(name)
		if err != nil || pid == except || slices.Contains(spared, pid) {
			continue // it has ended since
		}
		// The second field is the name in parentheses, which may hold any byte, see proc(5).
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 {
			continue
		}
		if parent, _ := strconv.Atoi(string(fields[1])); parent == self {
			found = append(found, child{pid, string(fields[0]) == "Z"})
		}
	}
	return found
}

// describe names a process for a message.
func describe(pid int) string {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	name, _ := os.ReadFile(filepath.Join(dir, "comm"))
	args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	return fmt.Sprintf("%d %s: %s", pid, bytes.TrimSpace(name), bytes.ReplaceAll(bytes.TrimRight(args, "\x00"), []byte{0}, []byte{' '}))
}

// endOrphans waits until all children but one have ended. Those that have not
// after the grace time are killed, and so are the orphans that this makes; it
// returns a line about each. No other goroutine may wait for a child other
// than the one excepted.
func endOrphans(except int, grace time.Duration) []string {
	var left []string
	killed := map[int]bool{}
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		alive := 0
		for _, c := range children(except) {
			if c.dead {
				_, _ = unix.Wait4(c.pid, nil, unix.WNOHANG, nil)
				continue
			}
			alive++
			if time.Since(start) < grace || killed[c.pid] {
				continue
			}
			// The pid is still that child's: no one but us can reap it.
			left = append(left, describe(c.pid))
			if unix.Kill(c.pid, unix.SIGKILL) == nil {
				killed[c.pid] = true
			}
		}
		switch {
		case alive == 0:
			return left
		case time.Since(start) > grace+10*time.Second:
			return append(left, "some of them cannot be killed")
		}
	}
}
