package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Group is a container's control group as it was made. It can be encoded, and is all
// that others need to find the group again. The zero value is no group.
type Group struct {
	Way   Way    `json:"way,omitempty"`
	Bus   string `json:"bus,omitempty"`
	UID   int    `json:"uid,omitempty"`
	Unit  string `json:"unit,omitempty"`
	Mount string `json:"mount,omitempty"`
	Dir   string `json:"dir,omitempty"` // of the group that has the limits
	// Applied is what was read back.
	Applied []Setting `json:"applied,omitempty"`
}

// Names of the groups in a scope.
const (
	container = "container"
	keeper    = "keeper"
)

// Patience is how long systemd may take for one order. On a machine that is busy or emulated a
// user's first one, for which systemd loads what it has not needed yet, can take more than ten seconds.
const Patience = time.Minute

// Apply makes the group, writes the limits, reads them back, and moves the process
// init there. It is for the moment in which init waits: before it makes its group
// namespace, whose root its group becomes, and before the command runs.
//
// The process parent, which waits for init and is outside of the container, goes into
// the scope beside it (never into the group with the limits), so that the counters
// outlive init. It must live until they were read. Both pids are those of the caller's
// pid namespace.
//
// With BestEffort the notes tell what is not enforced after all. When it fails, no group
// is left in a subtree; a scope goes with the processes that are in it.
func (p *Placement) Apply(init, parent int) (g Group, notes []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	base := ""
	switch p.Way {
	case Scope:
		base, err = p.enterScope(ctx, init, parent)
	default:
		base, err = p.makeGroup(parent)
	}
	if err == nil {
		g = Group{Way: p.Way, Mount: p.Mount, Dir: base}
		if p.Way == Scope {
			g.Bus, g.UID, g.Unit, g.Dir = p.Bus, p.UID, p.Unit, filepath.Join(base, container)
		}
		if notes, err = p.set(&g); err == nil && p.Way == Delegee {
			err = moveTo(g.Dir, init)
		}
		if err == nil {
			return g, notes, nil
		}
		if p.Way == Delegee {
			_ = removeTree(base)
		}
	}
	if p.BestEffort {
		return Group{}, []string{"limits are not enforced: " + err.Error()}, nil
	}
	return Group{}, nil, err
}

// enterScope has systemd make the scope and move both processes into it, and makes
// the groups in it. It returns the scope's directory.
func (p *Placement) enterScope(ctx context.Context, init, parent int) (dir string, err error) {
	again := p.inScope(parent) && p.inScope(init)
	if !again {
		if err := p.startScope(ctx, init, parent); err != nil {
			return "", err
		}
	}
	if dir, err = ownGroup(p.Mount, init); err != nil {
		return "", err
	}
	if again {
		dir = filepath.Dir(dir)
	}
	// The wrong process would be moved by a manager in another pid namespace.
	if filepath.Base(dir) != p.Unit {
		return "", &os.PathError{Op: "enter " + p.Unit, Path: dir, Err: errors.New("systemd has put the process elsewhere")}
	}
	if err := mkdir(filepath.Join(dir, container)); err != nil {
		return "", err
	}
	if !again {
		if err := mkdir(filepath.Join(dir, keeper)); err != nil {
			return "", err
		}
		// A group that gives controllers to those below it may have no process of its own.
		if err := moveTo(filepath.Join(dir, keeper), parent); err != nil {
			return "", err
		}
	}
	if err := moveTo(filepath.Join(dir, container), init); err != nil {
		return "", err
	}
	return dir, enable(dir, p.Controllers)
}

// inScope tells that a process is beside the container in this scope already: a
// start was given up and is made again, by the same parent, of which init was born.
func (p *Placement) inScope(pid int) bool {
	dir, err := ownGroup(p.Mount, pid)
	return err == nil && filepath.Base(dir) == keeper && filepath.Base(filepath.Dir(dir)) == p.Unit
}

// makeGroup makes the group in a delegated subtree. The name holds the pid of who
// removes it, for Sweep.
func (p *Placement) makeGroup(parent int) (dir string, err error) {
	Sweep(p.Parent)
	if err := enable(p.Parent, p.Controllers); err != nil {
		return "", err
	}
	dir = filepath.Join(p.Parent, p.Name+"."+strconv.Itoa(parent))
	return dir, mkdir(dir)
}

// mkdir makes a group, in the place of an old one that is empty or about to be.
func mkdir(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := awaitRemoval(dir); err != nil {
		return err
	}
	return os.Mkdir(dir, 0o755)
}

// enable gives controllers to the groups below dir.
func enable(dir string, controllers []string) error {
	file := filepath.Join(dir, "cgroup.subtree_control")
	has, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var orders []string
	for _, c := range controllers {
		if !slices.Contains(strings.Fields(string(has)), c) {
			orders = append(orders, "+"+c)
		}
	}
	if len(orders) == 0 {
		return nil
	}
	if has, err = os.ReadFile(filepath.Join(dir, "cgroup.controllers")); err != nil {
		return err
	}
	for _, o := range orders {
		// A manager of systemd learns only at its start what is delegated to it.
		if !slices.Contains(strings.Fields(string(has)), o[1:]) {
			return &os.PathError{Op: "enable " + o[1:], Path: dir, Err: errors.New("not handed on (log in again if it was delegated just now)")}
		}
	}
	return write(file, strings.Join(orders, " "))
}

// set writes the limits and reads each back.
func (p *Placement) set(g *Group) (notes []string, err error) {
	for _, s := range p.Settings {
		file := filepath.Join(g.Dir, s.File)
		if s.Derived {
			if _, err := os.Stat(file); err != nil {
				continue // the kernel keeps no account of it
			}
		}
		applied, err := s.apply(file)
		switch {
		case err == nil:
			g.Applied = append(g.Applied, applied)
		case p.BestEffort:
			notes = append(notes, s.Limit+" is not enforced: "+err.Error())
		default:
			return nil, fmt.Errorf("enforce %s: %w", s.Limit, err)
		}
	}
	return notes, nil
}

// apply writes a setting, and returns it as it was read back.
func (s Setting) apply(file string) (Setting, error) {
	if err := write(file, s.Value); err != nil {
		return s, err
	}
	if s.File == "cpuset.cpus" {
		file += ".effective" // what is granted of it
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	applied, ok := s.readBack(string(b))
	if !ok {
		return s, &os.PathError{Op: "set", Path: file, Err: fmt.Errorf("wrote %q, reads %q", s.Value, strings.TrimSpace(string(b)))}
	}
	s.Value = applied
	return s, nil
}

// readBack finds the value in the text of its file.
func (s Setting) readBack(text string) (applied string, ok bool) {
	switch s.File {
	case "io.max", "io.weight", "io.bfq.weight":
		// A line for each device: what was set is the first word, and one of the others.
		want := strings.Fields(s.Value)
		for line := range strings.Lines(text) {
			has := strings.Fields(line)
			if len(has) > 1 && has[0] == want[0] && slices.Contains(has[1:], want[1]) {
				return s.Value, true
			}
		}
		return "", false
	}
	text = strings.TrimSpace(text)
	return text, text == s.Value
}

// write writes to a file of a group in one call, as the kernel wants it.
func write(file, value string) error {
	fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: file, Err: err}
	}
	defer unix.Close(fd)
	for {
		_, err := unix.Write(fd, []byte(value))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return &os.PathError{Op: fmt.Sprintf("write %q to", value), Path: file, Err: err}
		default:
			return nil
		}
	}
}

// moveTo moves a process with all its threads.
func moveTo(dir string, pid int) error {
	return write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid))
}

// ownGroup is the directory of the group that a process is in.
func ownGroup(mount string, pid int) (string, error) {
	file := fmt.Sprintf("/proc/%d/cgroup", pid)
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return filepath.Join(mount, path), nil
		}
	}
	return "", &os.PathError{Op: "read", Path: file, Err: errors.New("no group of version 2")}
}
