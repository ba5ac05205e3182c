package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Descriptors that a session's process starts with: it waits for a byte on the
// first, which says that its ids are mapped, and writes to the second "ok" when
// containers can join it, or what went wrong.
const (
	MappedFD = 3
	ReadyFD  = 4
)

// startTimeout is how long a session may take to be there: mostly, to fill the
// filters of large networks.
const startTimeout = 20 * time.Second

// Start opens the caller's session, and starts one where none runs: with the
// networks that are written down. program is the path of rl-netd, path the value of
// PATH in which it looks for pasta and slirp4netns; writeMaps gives
// the user namespace of a process its maps, with all the ids that containers may
// want. Of several callers at once, one starts it.
//
// The session outlives the caller. It ends with its last network, by rl-net stop,
// and a few seconds after its start if it then has no network.
func Start(d Dir, program, path string, writeMaps func(pid int) error) (*Session, error) {
	lock, err := d.make()
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }()
	// Whoever had the lock before may have tidied up.
	if err := d.Make(); err != nil {
		return nil, err
	}
	s, err := Open(d)
	if !errors.Is(err, ErrNone) {
		return s, err
	}
	d.RemoveState()
	if err := spawn(d, program, path, writeMaps); err != nil {
		return nil, fmt.Errorf("start the network session: %w", err)
	}
	return Open(d)
}

// make makes the directory and takes the lock in it. A session that ends may tidy up between the two.
func (d Dir) make() (lock *os.File, err error) {
	for range 100 {
		if err = d.Make(); err == nil {
			lock, err = d.Lock()
		}
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	return lock, err
}

// spawn starts the process and returns when it is ready. It is pid 1 of a pid
// namespace, so that nothing it has started can outlive it, even if it is killed.
func spawn(d Dir, program, path string, writeMaps func(pid int) error) error {
	log, err := os.OpenFile(d.Log(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	mappedRead, mapped, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = mapped.Close() }()
	ready, readyWrite, err := os.Pipe()
	if err != nil {
		_ = mappedRead.Close()
		return err
	}
	defer func() { _ = ready.Close() }()

	c := exec.Command(program, "session", string(d))
	c.Dir, c.Stdout, c.Stderr = "/", log, log
	c.Env = []string{"PATH=" + path}
	c.ExtraFiles = []*os.File{mappedRead, readyWrite}
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWPID, Setsid: true}
	err = c.Start()
	_ = mappedRead.Close()
	_ = readyWrite.Close()
	if err != nil {
		return err
	}
	said, err := settle(c.Process.Pid, mapped, ready, writeMaps)
	if err == nil && string(said) == "ok" {
		return c.Process.Release()
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	switch {
	case err != nil:
		return err
	case len(said) == 0:
		return fmt.Errorf("rl-netd ended (%s); what it said is in %s", c.ProcessState, d.Log())
	}
	return errors.New(string(said))
}

// settle maps the ids of the process and reads what it then says.
func settle(pid int, mapped, ready *os.File, writeMaps func(pid int) error) ([]byte, error) {
	if err := writeMaps(pid); err != nil {
		return nil, err
	}
	if _, err := mapped.Write([]byte{0}); err != nil {
		return nil, err
	}
	if err := ready.SetReadDeadline(time.Now().Add(startTimeout)); err != nil {
		return nil, err
	}
	said, err := io.ReadAll(io.LimitReader(ready, MaxRequest))
	return bytes.TrimSpace(said), err
}
