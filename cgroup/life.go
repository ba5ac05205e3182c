package cgroup

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Join moves a process into the container's group: one of the caller's, that still
// has its uid and is in its pid namespace.
func (g *Group) Join(pid int) error {
	switch g.Way {
	case Scope:
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if err := g.attach(ctx, pid); err != nil {
			return err
		}
		switch dir, err := ownGroup(g.Mount, pid); {
		case err != nil:
			return err
		case dir != g.Dir:
			return &os.PathError{Op: "enter " + g.Unit, Path: dir, Err: errors.New("systemd has put the process elsewhere")}
		}
		return nil
	case Delegee:
		return moveTo(g.Dir, pid)
	default:
		return nil
	}
}

// Events counts what hit a group's limits (cgroup-v2.rst, memory.events and
// pids.events).
type Events struct {
	OOMKills  uint64 `json:"oomKills"`            // processes that were killed for lack of memory
	MemoryMax uint64 `json:"memoryMax,omitempty"` // times that memory.max was about to be passed
	PidsMax   uint64 `json:"pidsMax,omitempty"`   // forks that failed for pids.max
}

// Events reads the counters. After init's end they are there until Remove, or until
// the parent that Apply was given ends.
func (g *Group) Events() (e Events, err error) {
	if g.Way == "" {
		return e, nil
	}
	for _, file := range [...]string{"memory.events", "pids.events"} {
		b, readErr := os.ReadFile(filepath.Join(g.Dir, file))
		if errors.Is(readErr, fs.ErrNotExist) && exists(g.Dir) {
			continue // the controller is not enabled
		}
		if readErr != nil {
			err = readErr
			continue
		}
		e.add(file, string(b))
	}
	return e, err
}

// ParseEvents reads the counters from the text of memory.events, for a process that
// only copied it.
func ParseEvents(memory string) (e Events) {
	e.add("memory.events", memory)
	return e
}

func (e *Events) add(file, text string) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			continue
		}
		switch file + " " + key {
		case "memory.events oom_kill":
			e.OOMKills = n
		case "memory.events max":
			e.MemoryMax = n
		case "pids.events max":
			e.PidsMax = n
		}
	}
}

// Remove removes the container's group once init has ended. It waits until the last
// process of it is gone, at most a second. What surrounds it in a scope goes when the
// scope's last process ends.
func (g *Group) Remove() error {
	if g.Way == "" {
		return nil
	}
	return awaitRemoval(g.Dir)
}

// awaitRemoval removes a group. Killed processes leave theirs a moment after those who
// wait for them know.
func awaitRemoval(dir string) (err error) {
	for wait := time.Millisecond; wait < 500*time.Millisecond; wait *= 2 {
		if err = removeTree(dir); !errors.Is(err, unix.EBUSY) {
			return err
		}
		time.Sleep(wait)
	}
	return err
}

// removeTree removes a group and those that the container made in it. That is safe
// at any time: one with processes is EBUSY.
func removeTree(dir string) error {
	err := unix.Rmdir(dir)
	if errors.Is(err, unix.EBUSY) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.IsDir() {
				_ = removeTree(filepath.Join(dir, e.Name()))
			}
		}
		err = unix.Rmdir(dir)
	}
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return &os.PathError{Op: "rmdir", Path: dir, Err: err}
}

// Sweep removes the groups in a delegated subtree that containers left behind whose
// launcher was killed. Those of a launcher that lives stay: it may want to read their
// counters. In a scope systemd cleans up.
func Sweep(parent string) {
	entries, _ := os.ReadDir(parent)
	for _, e := range entries {
		name := e.Name()
		pid, err := strconv.Atoi(name[strings.LastIndexByte(name, '.')+1:])
		if err != nil || !strings.HasPrefix(name, "rl-run-") || alive(pid) {
			continue
		}
		_ = removeTree(filepath.Join(parent, name))
	}
}

// alive reports whether a process runs: a zombie, which only waits to be reaped, does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// The third field, behind the name in parentheses, which may hold any byte (proc_pid_stat(5)).
	state := bytes.TrimSpace(stat[bytes.LastIndexByte(stat, ')')+1:])
	return len(state) > 0 && state[0] != 'Z' && state[0] != 'X'
}

func exists(path string) bool { return unix.Access(path, unix.F_OK) == nil }
