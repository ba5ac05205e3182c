package container

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/keeper"
	"github.com/rl-run/rl-run/internal/sys"
)

// Request says what to reserve.
type Request struct {
	Name     string // empty for a name made of Base
	Base     string // the base name of ROOTFS
	Detached bool   // the entry outlives the launcher
	Rootfs   string // for rl-ps
	Command  []string
}

// InUseError is a name that another container has.
type InUseError struct {
	Name   string
	Status Status
}

func (e *InUseError) Error() string {
	what := "a running container"
	switch e.Status {
	case Created:
		what = "a container that is being started"
	case Exited, Dead:
		what = "a container that has ended"
	case Damaged:
		what = "a container whose state is damaged"
	case Running:
	}
	return fmt.Sprintf("name %q is in use by %s", e.Name, what)
}

// Hint is the command that frees the name.
func (e *InUseError) Hint() string {
	switch e.Status {
	case Exited, Dead:
		return "rl-rm " + e.Name
	case Damaged:
		return "rl-rm -f " + e.Name
	case Created, Running:
	}
	return "rl-stop " + e.Name + ", or choose another --name"
}

// Reserve takes a name for a container that the calling process is about to start: of all who want one name at once,
// one gets it. The names of containers that have died without an exit code, and of launchers that were killed, are
// taken over. The entry is the caller's to Remove when the start comes to nothing, and at the end of a container that
// is not detached.
//
// The error is a *NameError, an *InUseError, of the runtime directory (*runtimedir.OwnerError, *runtimedir.ModeError)
// or an *os.PathError.
func (s *Store) Reserve(r Request) (*Entry, error) {
	if r.Name != "" {
		if err := CheckName(r.Name); err != nil {
			return nil, err
		}
	}
	self, err := RefOf(os.Getpid())
	if err != nil {
		return nil, err
	}
	e := &Entry{Name: r.Name, Status: Created, store: s, dir: -1, exitFD: -1}
	e.State = State{
		Owner: self, Detached: r.Detached,
		Rootfs: Text(r.Rootfs), Command: Texts(r.Command), CreatedAt: time.Now().UTC(),
	}
	text, err := encode(&e.State)
	if err != nil {
		return nil, err
	}
	e.written = map[string][]byte{stateFile: text, exitFile: keeper.EmptyExit()}
	for range 1000 {
		if r.Name == "" {
			e.Name = derived(r.Base)
		}
		err = e.enter()
		used, is := errors.AsType[*InUseError](err)
		if !is || r.Name != "" && !s.outlive(used) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// grace is how long the kernel may take to end a container whose launcher or keeper was killed.
const grace = 2 * time.Second

// outlive waits for the end of a container that is about to end, because its launcher or keeper is gone. It reports
// whether the name can be tried again.
func (s *Store) outlive(used *InUseError) bool {
	if used.Status != Running {
		return false
	}
	had, err := s.Find(used.Name)
	if err != nil {
		return true // it has ended since
	}
	defer had.Close()
	if is, err := had.State.Keeper.look(); err != nil || is != gone {
		return false
	}
	p, err := had.Open()
	if err != nil {
		_, ended := errors.AsType[*NotRunningError](err)
		return ended && had.Status == Running
	}
	defer p.Close()
	ended, _ := p.Wait(grace)
	return ended
}

// enter makes the entry's directory with the files that were written, and gives it its name. The error is an
// *InUseError or an *os.PathError.
func (e *Entry) enter() (err error) {
	// The directory above vanishes when the last entry is removed, at any moment.
	for range 100 {
		if err = e.tryEnter(); !errors.Is(err, unix.ENOENT) {
			break
		}
	}
	return err
}

func (e *Entry) tryEnter() error {
	c, path, err := e.store.dir.Sub(folder, true)
	if err != nil {
		return err
	}
	defer unix.Close(c)
	e.path = path + "/" + e.Name
	temp, dir, err := e.fill(c, path)
	if err != nil {
		return err
	}
	err = e.claim(c, path, temp)
	if err != nil {
		_ = unix.Close(dir)
		_ = os.RemoveAll(path + "/" + temp)
		e.store.dir.Tidy(folder)
		return err
	}
	if e.dir >= 0 { // where the directory that vanished is open still
		err = unix.Dup3(dir, e.dir, unix.O_CLOEXEC)
		_ = unix.Close(dir)
		return os.NewSyscallError("dup3", err)
	}
	e.dir = dir
	return nil
}

// fill makes the directory under a name that says whose it is.
func (e *Entry) fill(c int, path string) (temp string, dir int, err error) {
	temp = making(e.State.Owner, int(serial.Add(1)))
	if err := sys.Retry(func() error { return unix.Mkdirat(c, temp, 0o700) }); err != nil {
		return "", -1, &os.PathError{Op: "mkdir", Path: path + "/" + temp, Err: err}
	}
	dir, err = sys.OpenAt(c, temp, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err == nil {
		for name, text := range e.written {
			if err = writeFile(dir, name, text); err != nil {
				break
			}
		}
	}
	if err != nil {
		if dir >= 0 {
			_ = unix.Close(dir)
		}
		_ = os.RemoveAll(path + "/" + temp)
		e.store.dir.Tidy(folder)
		if of, ok := errors.AsType[*os.PathError](err); ok {
			of.Path = e.path
		}
		return "", -1, err
	}
	return temp, dir, nil
}

// serial tells the directories that one process makes apart.
var serial atomic.Uint32

// claim renames a directory to the entry's name. Where a dead one has it, that one is set aside.
func (e *Entry) claim(c int, path, temp string) error {
	// A directory replaces another one that is empty, and entries never are.
	rename := func() error { return sys.Retry(func() error { return unix.Renameat(c, temp, c, e.Name) }) }
	err := rename()
	if taken(err) {
		err = e.takeOver(c, path, rename)
	}
	var used *InUseError
	if err == nil || errors.As(err, &used) {
		return err
	}
	return &os.PathError{Op: "rename", Path: e.path, Err: leaf(err)}
}

func taken(err error) bool {
	return errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.ENOTDIR)
}

// takeOver looks at who has the name, under the lock, so that two do not take the same one over: the second would
// set aside what the first has made.
func (e *Entry) takeOver(c int, path string, rename func() error) error {
	lock, err := sys.OpenAt(c, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(lock) // and with it the lock
	if err := sys.Retry(func() error { return unix.Flock(lock, unix.LOCK_EX) }); err != nil {
		return err
	}
	// Without the lock a name that has become free may be taken again at any moment.
	for range 100 {
		had, err := e.store.open(c, path, e.Name)
		switch {
		case err == nil:
			had.Close()
			if !had.stale() && had.Status != Dead {
				return &InUseError{e.Name, had.Status}
			}
			had.removeGroup()
			aside, err := setAside(c, e.Name)
			if err != nil {
				return err
			}
			defer os.RemoveAll(path + "/" + aside) //nolint:errcheck // the next command does it
		case !errors.Is(err, unix.ENOENT):
			return err
		}
		if err := rename(); !taken(err) {
			return err
		}
	}
	return unix.EBUSY
}
