package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sys"
	"github.com/rl-run/rl-run/plan"
)

// Names of the files of a container. While one is replaced there is one with a ~ behind its name, too.
const (
	stateFile  = "state.json"
	configFile = "config.json"
	filterFile = "filter"
	exitFile   = "exit"
	memoFile   = plan.ExecMemo // of rl-exec, which does without where it is missing
)

// Entry is a container on disk, by the directory that it had when it was opened: what another container of the same
// name does later does not show.
type Entry struct {
	Name   string
	State  State
	Status Status
	Exit   Exit  // of status Exited; Dropped of Running, too
	Damage error // of status Damaged: what is wrong with it

	store  *Store
	init   *Process // verified; nil unless it was alive when the entry was looked at
	dir    int      // -1 where it is no directory
	path   string   // for messages
	ended  bool     // whoever would remove it is gone
	exitFD int

	written map[string][]byte // by the launcher, in case the directory vanishes
}

// open opens an entry in the directory c, looks at its status, and does what is to be done behind it.
func (s *Store) open(c int, path, name string) (*Entry, error) {
	e, err := s.peek(c, path, name)
	if err == nil {
		e.cleanUp()
	}
	return e, err
}

// peek is open without that.
func (s *Store) peek(c int, path, name string) (*Entry, error) {
	e := &Entry{Name: name, store: s, path: path + "/" + name, dir: -1, exitFD: -1}
	dir, err := sys.OpenAt(c, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM):
		return nil, err
	case err != nil:
		e.Status, e.Damage = Damaged, err
		return e, nil
	}
	e.dir = dir
	if err := e.Refresh(); err != nil {
		e.Close()
		return nil, err
	}
	if e.Status == Damaged && (!e.current(c) || e.empty()) {
		e.Close() // it is being deleted: the state goes last
		return nil, unix.ENOENT
	}
	return e, nil
}

// Refresh reads the state and looks at the container again. The error is of the machine, as when file descriptors
// have run out; what is wrong with the state is the entry's Damage.
func (e *Entry) Refresh() error {
	if e.dir < 0 {
		return nil
	}
	e.Damage, e.State, e.Exit, e.ended = nil, State{}, Exit{}, false
	e.release()
	text, err := readFile(e.dir, stateFile)
	if err == nil {
		err = json.Unmarshal(text, &e.State)
	}
	if err == nil && e.State.Owner.PID <= 0 {
		err = errors.New("it names no launcher") // and would pass for a start whose launcher has gone
	}
	if err != nil {
		e.Status, e.Damage = Damaged, fmt.Errorf("read %s/%s: %w", e.path, stateFile, leaf(err))
		return nil
	}
	return e.look()
}

// leaf leaves out the name that the message has already.
func leaf(err error) error {
	if of, ok := errors.AsType[*os.PathError](err); ok {
		return of.Err
	}
	return err
}

// current reports whether the directory still has the entry's name.
func (e *Entry) current(c int) bool {
	var have, want unix.Stat_t
	if unix.Fstatat(c, e.Name, &have, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return false
	}
	if e.dir < 0 {
		return have.Mode&unix.S_IFMT != unix.S_IFDIR
	}
	return unix.Fstat(e.dir, &want) == nil && have.Dev == want.Dev && have.Ino == want.Ino
}

// Config reads what the container was started with. The error names the file.
func (e *Entry) Config() (*Config, error) {
	var c Config
	text, err := readFile(e.dir, configFile)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", e.path, configFile, leaf(err))
	}
	return &c, nil
}

// Filter reads the seccomp filter, an array of struct sock_filter; nil where there is none. The error names the file.
func (e *Entry) Filter() ([]byte, error) {
	text, err := readFile(e.dir, filterFile)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read %s/%s: %w", e.path, filterFile, leaf(err))
	case len(text) == 0 || len(text)%8 != 0:
		return nil, fmt.Errorf("read %s/%s: %d bytes are no filter", e.path, filterFile, len(text))
	}
	return text, nil
}

// WriteConfig, WriteState and WriteFilter are for the launcher that has reserved the name. Each replaces its file at
// once: a reader sees the old or the new one, and after an error, an *os.PathError as of a full disk, the old one
// stays. When the directory has vanished it is made again with all that was written before.
func (e *Entry) WriteConfig(c *Config) error { return e.writeJSON(configFile, c) }

// WriteState is like WriteConfig. What is known since the reservation is taken from there where
// it is zero.
func (e *Entry) WriteState(s *State) error {
	if s.Owner == (Ref{}) {
		s.Owner, s.Detached = e.State.Owner, s.Detached || e.State.Detached
	}
	if s.CreatedAt.IsZero() {
		s.Rootfs, s.Command, s.CreatedAt = e.State.Rootfs, e.State.Command, e.State.CreatedAt
	}
	if err := e.writeJSON(stateFile, s); err != nil {
		return err
	}
	e.State = *s
	return nil
}

// WriteFilter is like WriteConfig.
func (e *Entry) WriteFilter(filter []byte) error { return e.write(filterFile, filter) }

func (e *Entry) writeJSON(name string, v any) error {
	text, err := encode(v)
	if err != nil {
		return err
	}
	return e.write(name, text)
}

// encode writes for people, too.
func encode(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "\t")
	return append(text, '\n'), err
}

func (e *Entry) write(name string, text []byte) error {
	err := replaceFile(e.dir, name, text)
	if errors.Is(err, unix.ENOENT) && e.written != nil && e.vanished() {
		e.written[name] = text
		err = e.enter()
	}
	if of, ok := errors.AsType[*os.PathError](err); ok {
		of.Path = e.path + "/" + name
	}
	if err == nil && e.written != nil {
		e.written[name] = text
	}
	return err
}

// vanished reports whether the directory was deleted.
func (e *Entry) vanished() bool {
	var st unix.Stat_t
	return unix.Fstat(e.dir, &st) == nil && st.Nlink == 0
}

// Sources are the files, and the directories around them, from which Find and what takes its entry know how a container
// that runs is entered: while none of them changes, that does not.
func (e *Entry) Sources() (files, dirs []string) {
	for _, name := range []string{stateFile, configFile, filterFile} {
		files = append(files, e.path+"/"+name)
	}
	containers := filepath.Dir(e.path)
	runtime := filepath.Dir(containers)
	return files, []string{e.path, containers, runtime, filepath.Dir(runtime)}
}

// Late removes a memo from a container's directory, of that descriptor, if the state in it is gone: who has removed that
// has looked for the memo just before.
func Late(dir int, path string) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, stateFile, &st, unix.AT_SYMLINK_NOFOLLOW); errors.Is(err, unix.ENOENT) {
		_ = unix.Unlinkat(dir, memoFile, 0)
		_ = unix.Rmdir(path)
	}
}

// empty reports whether there is nothing in the directory, but for a memo that came late.
func (e *Entry) empty() bool {
	fd, err := sys.OpenAt(e.dir, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return false
	}
	dir := os.NewFile(uintptr(fd), e.path)
	defer dir.Close()
	names, err := dir.Readdirnames(2)
	return len(names) == 0 && errors.Is(err, io.EOF) || len(names) == 1 && names[0] == memoFile
}

// DirFD is the directory's file descriptor, close-on-exec, which stays the entry's: for the keeper, which makes the
// log in it.
func (e *Entry) DirFD() int { return e.dir }

// ExitFile opens the file exit to be written in place, close-on-exec. It is the caller's to close.
func (e *Entry) ExitFile() (int, error) {
	return sys.OpenAt(e.dir, exitFile, unix.O_RDWR|unix.O_NOFOLLOW, 0)
}

// Remove deletes the entry, whatever its status: its name is free at once. It is no error if it is gone already.
func (e *Entry) Remove() error {
	c, path, err := e.store.lock()
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	to := ""
	e.removeGroup()
	if e.current(c) {
		to, err = setAside(c, e.Name)
	}
	_ = unix.Close(c) // and with it the lock
	if errors.Is(err, unix.ENOENT) {
		return nil // the stand-in of its launcher, which takes no lock, was faster
	}
	if err != nil || to == "" {
		return err
	}
	err = os.RemoveAll(path + "/" + to)
	e.store.dir.Tidy(folder)
	return err
}

// Remains are what an entry that is not detached consists of, relative to its directory, in the order in which a process
// that can do no more than unlinkat(2) removes it: files, then, beginning with a point, directories where they are empty.
func (e *Entry) Remains() []string {
	runtime := filepath.Base(filepath.Dir(filepath.Dir(e.path)))
	// Behind the state, without which nobody keeps a memo.
	return []string{configFile, filterFile, exitFile, stateFile, memoFile, "../" + e.Name, "../../" + folder, "../../../" + runtime}
}

func (e *Entry) release() {
	if e.init != nil {
		e.init.Close()
	}
	e.init = nil
}

// Close gives the file descriptors back.
func (e *Entry) Close() {
	e.release()
	for _, fd := range [...]*int{&e.dir, &e.exitFD} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
		}
		*fd = -1
	}
}
