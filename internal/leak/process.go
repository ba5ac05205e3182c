package leak

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Proc is what /proc/PID/stat says of a process, see proc_pid_stat(5).
type Proc struct {
	PID    int
	Parent int
	State  byte   // R, S, D, T, Z …
	Comm   string // at most 15 bytes
	Start  string // clock ticks after boot: tells apart two processes with one pid
}

// Processes reads all of /proc. A process that ends meanwhile is left out.
func Processes() ([]Proc, error) {
	pids, err := numbers("/proc")
	if err != nil {
		return nil, err
	}
	all := make([]Proc, 0, len(pids))
	for _, pid := range pids {
		p, err := Read(pid)
		if vanished(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Read reads one process. The error is an *os.PathError, of ENOENT or ESRCH where there is none.
func Read(pid int) (Proc, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return Proc{}, err
	}
	// comm is the only field that may hold spaces and parentheses.
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return Proc{}, &os.PathError{Op: "parse", Path: path, Err: unix.EINVAL}
	}
	rest := strings.Fields(string(text[end+1:]))
	if len(rest) < 20 {
		return Proc{}, &os.PathError{Op: "parse", Path: path, Err: unix.EINVAL}
	}
	ppid, err := strconv.Atoi(rest[1])
	if err != nil {
		return Proc{}, &os.PathError{Op: "parse", Path: path, Err: err}
	}
	return Proc{PID: pid, Parent: ppid, State: rest[0][0], Comm: string(text[open+1 : end]), Start: rest[19]}, nil
}

// Descendants returns the processes below top. One pass over /proc is not atomic: a
// process whose parent died in the middle names a parent that is no longer
// listed, and would drop out of its family. Such a pass is repeated; not for ever,
// because a /proc with hidepid never lists the parents that belong to others.
func Descendants(top int) ([]Proc, error) {
	for pass := 1; ; pass++ {
		all, err := Processes()
		if err != nil {
			return nil, err
		}
		children := make(map[int][]Proc, len(all))
		listed := make(map[int]bool, len(all))
		for _, p := range all {
			children[p.Parent] = append(children[p.Parent], p)
			listed[p.PID] = true
		}
		torn := false
		for ppid := range children {
			// 0 is the parent of what came from outside this pid namespace.
			torn = torn || ppid != 0 && !listed[ppid]
		}
		if torn && pass < 20 {
			continue
		}
		var found []Proc
		for next := children[top]; len(next) > 0; {
			p := next[0]
			next = append(next[1:len(next):len(next)], children[p.PID]...)
			found = append(found, p)
		}
		return found, nil
	}
}

// members are the processes in scope, the supervisor and the test program left
// out: they live on.
func (s *scope) members() ([]Proc, error) {
	found, err := Descendants(s.top)
	if err != nil {
		return nil, err
	}
	if s.wholeUser {
		seen := map[int]bool{}
		for _, p := range found {
			seen[p.PID] = true
		}
		all, err := Processes()
		if err != nil {
			return nil, err
		}
		ids, err := subordinateUIDs()
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			if uid, ok := p.uid(); ok && !seen[p.PID] && ids.hold(uid) {
				found = append(found, p)
			}
		}
	}
	kept := found[:0]
	for _, p := range found {
		if p.PID != s.self && p.PID != s.top {
			kept = append(kept, p)
		}
	}
	return kept, nil
}

func listProcesses(s *scope) (map[string]string, error) {
	found, err := s.members()
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(found))
	for _, p := range found {
		names[fmt.Sprintf("%d (started at tick %s)", p.PID, p.Start)] = p.String()
	}
	return names, nil
}

// String says who the process is, for a human.
func (p Proc) String() string {
	owner := "uid unknown"
	if uid, ok := p.uid(); ok {
		owner = fmt.Sprintf("uid %d", uid)
	}
	command := p.Comm
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID)); err == nil && len(text) > 0 {
		command = strings.Join(strings.Split(strings.TrimRight(string(text), "\x00"), "\x00"), " ")
	}
	state := "state " + string(p.State)
	if p.State == 'Z' {
		state = "zombie"
	}
	return fmt.Sprintf("pid %d, parent %d, %s, %s: %q", p.PID, p.Parent, owner, state, command)
}

// uid is the real user id. The owner of /proc/PID would not do: it is root for a
// process that is not dumpable.
func (p Proc) uid() (int, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
			uid, err := strconv.Atoi(strings.Fields(ids)[0])
			return uid, err == nil
		}
	}
	return 0, false
}

// idRanges are pairs of a first id and a count.
type idRanges [][2]int

func (r idRanges) hold(id int) bool {
	for _, span := range r {
		if id >= span[0] && id-span[0] < span[1] {
			return true
		}
	}
	return false
}

// subordinateUIDs are the caller's own uid and what subuid(5) gives it, by name
// or by number. A machine without that file gives nothing.
func subordinateUIDs() (idRanges, error) {
	uid := os.Getuid()
	ids := idRanges{{uid, 1}}
	text, err := os.ReadFile("/etc/subuid")
	if errors.Is(err, fs.ErrNotExist) {
		return ids, nil
	}
	if err != nil {
		return nil, err
	}
	number := strconv.Itoa(uid)
	name := nameOf(number)
	for line := range strings.Lines(string(text)) {
		owner, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		first, count, _ := strings.Cut(rest, ":")
		a, errFirst := strconv.Atoi(first)
		n, errCount := strconv.Atoi(count)
		if errFirst == nil && errCount == nil && (owner == number || owner == name) {
			ids = append(ids, [2]int{a, n})
		}
	}
	return ids, nil
}

// nameOf is the name that passwd(5) gives to a uid, or the number itself.
func nameOf(uid string) string {
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return uid
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == uid {
			return f[0]
		}
	}
	return uid
}

// numbers are the entries of a directory that are numbers: pids, task ids, fds.
func numbers(dir string) ([]int, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var found []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			found = append(found, n)
		}
	}
	return found, nil
}

// vanished is true for the errors that /proc/PID answers with when the process
// has ended: ENOENT from open, ESRCH from read.
func vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
}
