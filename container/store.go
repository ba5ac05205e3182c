package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/runtimedir"
	"github.com/rl-run/rl-run/internal/sys"
)

// folder has the containers in the runtime directory.
const folder = "c"

// Store is the caller's containers.
type Store struct {
	dir *runtimedir.Dir
}

// Open returns the containers in a runtime directory. Nothing is looked at, nor made, before it is needed.
func Open(dir *runtimedir.Dir) *Store { return &Store{dir} }

// Names of directories that are no containers: those being made, with the process that makes them, and those being
// deleted.
const (
	makingPrefix = ".new."
	endedPrefix  = ".old."
)

// Names lists the names of all containers, in no order, those that have ended included.
func (s *Store) Names() ([]string, error) {
	c, path, err := s.dir.Sub(folder, false)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return namesIn(os.NewFile(uintptr(c), path))
}

// namesIn lists a directory and closes it.
func namesIn(dir *os.File) ([]string, error) {
	defer dir.Close()
	all, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	names := all[:0]
	for _, name := range all {
		if CheckName(name) == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

// UnknownError is a name that no container has.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string { return fmt.Sprintf("no container is named %q", e.Name) }

// Find opens a container; with its status, as far as its state can be read. The error is a *NameError, an
// *UnknownError, or of the runtime directory.
func (s *Store) Find(name string) (*Entry, error) {
	if err := CheckName(name); err != nil {
		return nil, &UnknownError{name}
	}
	c, path, err := s.dir.Sub(folder, false)
	if errors.Is(err, unix.ENOENT) {
		return nil, &UnknownError{name}
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(c)
	e, err := s.open(c, path, name)
	if errors.Is(err, unix.ENOENT) {
		return nil, &UnknownError{name}
	}
	if err == nil && e.stale() {
		e.Close()
		_ = s.sweep([]string{name})
		return nil, &UnknownError{name}
	}
	return e, err
}

// Each opens one container after the other, in no order, and closes it when f returns. It removes what was left by
// launchers that were killed. The error is of the runtime directory or f's own, after which it stops.
func (s *Store) Each(f func(*Entry) error) error { return s.each(nil, f) }

// each is Each for the containers of one launcher, where an owner is named: those of others are not looked at, since to look is to
// do what is to be done behind a container, which can take long.
func (s *Store) each(owner *Ref, f func(*Entry) error) error {
	c, path, err := s.dir.Sub(folder, false)
	if errors.Is(err, unix.ENOENT) {
		s.dir.Tidy(folder)
		return nil
	}
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(c), path)
	defer dir.Close()
	all, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	sweep := len(all) == 0 // made by one that was killed before it had made its entry
	var stale []string
	for _, name := range all {
		if CheckName(name) != nil {
			sweep = true
			continue
		}
		if owner != nil && anothers(c, name, *owner) {
			continue
		}
		e, err := s.open(c, path, name)
		if errors.Is(err, unix.ENOENT) {
			stale = append(stale, name)
			continue
		}
		if err != nil {
			return err
		}
		if e.stale() {
			e.Close()
			stale = append(stale, name)
			continue
		}
		err = f(e)
		e.Close()
		if err != nil {
			return err
		}
	}
	if sweep || len(stale) > 0 {
		_ = s.sweep(stale)
	}
	return nil
}

// anothers reports whether the state of an entry can be read, and says that another process has started the container.
func anothers(c int, name string, owner Ref) bool {
	var st State
	text, err := readFile(c, name+"/"+stateFile)
	return err == nil && json.Unmarshal(text, &st) == nil && st.Owner != owner
}

// lock opens the directory of the containers with a lock on it, which goes with the fd.
func (s *Store) lock() (c int, path string, err error) {
	c, path, err = s.dir.Sub(folder, false)
	if err != nil {
		return -1, "", err
	}
	if err := sys.Retry(func() error { return unix.Flock(c, unix.LOCK_EX) }); err != nil {
		_ = unix.Close(c)
		return -1, "", &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return c, path, nil
}

// sweep removes what nobody will remove any more: of the names that were found so, the entries of foreground containers and of starts
// whose launcher is gone; and what was being made or deleted by a process that is gone. All that takes long is done without the lock,
// for which every start with a name that is taken waits.
func (s *Store) sweep(stale []string) error {
	c, path, err := s.lock()
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(c), path)
	all, err := dir.Readdirnames(-1)
	var away []string
	for _, name := range all {
		switch {
		case strings.HasPrefix(name, endedPrefix):
			away = append(away, name)
		case strings.HasPrefix(name, makingPrefix):
			if !makerLives(name) {
				away = append(away, name)
			}
		case slices.Contains(stale, name):
			e, err := s.peek(c, path, name)
			if err != nil {
				_ = unix.Unlinkat(c, name+"/"+memoFile, 0)
				_ = unix.Unlinkat(c, name, unix.AT_REMOVEDIR) // of one that was killed before it had deleted all
				continue
			}
			if e.stale() {
				e.removeGroup()
				if to, err := setAside(c, name); err == nil {
					away = append(away, to)
				}
			}
			e.Close()
		}
	}
	_ = dir.Close() // and with it the lock
	for _, name := range away {
		_ = os.RemoveAll(path + "/" + name)
	}
	s.dir.Tidy(folder)
	return err
}

// making is the name of a directory that this process fills.
func making(self Ref, n int) string {
	return fmt.Sprintf("%s%d.%d.%d.%d", makingPrefix, self.PIDNS, self.PID, self.Start, n)
}

// makerLives reports whether the process that fills a directory is there still, or cannot be seen from here.
func makerLives(name string) bool {
	var maker Ref
	var n int
	if _, err := fmt.Sscanf(name[len(makingPrefix):], "%d.%d.%d.%d", &maker.PIDNS, &maker.PID, &maker.Start, &n); err != nil {
		return false
	}
	now, err := here()
	if err != nil {
		return true
	}
	maker.Boot = now.Boot // of another one it has another start, or is as good as unseen
	is, err := maker.look()
	return err != nil || is != gone
}

// setAside renames an entry so that its name is free at once. The caller has the lock, and deletes it afterwards.
func setAside(c int, name string) (to string, err error) {
	for range 1000 {
		to = endedPrefix + strconv.FormatUint(rand.Uint64(), 36)
		err = sys.Retry(func() error { return unix.Renameat2(c, name, c, to, unix.RENAME_NOREPLACE) })
		if errors.Is(err, unix.EINVAL) {
			err = sys.Retry(func() error { return unix.Renameat(c, name, c, to) }) // a file system without the flag
		}
		if err == nil {
			return to, nil
		}
		if !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENOTEMPTY) {
			break
		}
	}
	return "", &os.PathError{Op: "rename", Path: name, Err: err}
}
