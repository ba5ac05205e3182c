package container

import (
	"errors"
	"time"
)

// ErrNoExit says that a container has ended without an exit code.
var ErrNoExit = errors.New("its exit code is not known: its keeper was killed")

// Wait waits until the container has ended, and returns how. It may be called before the start is through. The error
// is ErrNoExit, or of the machine.
func (e *Entry) Wait() (Exit, error) {
	e.readExit() // opens the file: a foreground container's vanishes with the end
	pause := time.Millisecond
	for {
		if p, err := e.Open(); err == nil {
			_, err = p.Wait(-1)
			p.Close()
			if err != nil {
				return Exit{}, err
			}
		} else if is := new(NotRunningError); !errors.As(err, &is) {
			return Exit{}, err
		}
		// Now the keeper writes how, and a launcher the state of one that starts.
		last := e.Status == Created && e.ended
		if e.readExit() {
			return e.Exit, nil
		}
		if err := e.Refresh(); err != nil {
			return Exit{}, err
		}
		switch {
		case e.Status == Exited:
			return e.Exit, nil
		case e.Status == Dead, e.Status == Damaged, last:
			if e.readExit() {
				return e.Exit, nil
			}
			if e.Damage != nil && !e.vanished() {
				return Exit{}, e.Damage
			}
			return Exit{}, ErrNoExit
		}
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
}
