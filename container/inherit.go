package container

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/heir"
	"github.com/rl-run/rl-run/internal/sys"
)

// HeirVerb is the name under which the launcher's binary does what a launcher has left to do.
const HeirVerb = "rl-run-heir"

// StartHeir starts the calling process's heir, for a launcher that is about to Reserve: however it ends, its files go.
// The heir executes this binary under the name HeirVerb, for Inherit. Errors are those of heir.Start, and of /proc.
func StartHeir() (*heir.Heir, error) {
	self, err := RefOf(os.Getpid())
	if err != nil {
		return nil, err
	}
	return heir.Start([]string{HeirVerb, fmt.Sprintf("%d.%d", self.PID, self.Start)})
}

// Inherit does what is left to do behind a launcher that is gone, with the argument that StartHeir gives: it waits for the ends of
// the container that was started and of the keeper, and looks at it then, as any command would. The error is of the
// runtime directory, or of the argument.
func (s *Store) Inherit(argument string) error {
	owner, err := here()
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(argument, "%d.%d", &owner.PID, &owner.Start); err != nil {
		return errors.New("started without its argument")
	}
	// The will is closed a moment before its end, and until then it is one who may yet make something.
	if fd, is, err := owner.open(); err == nil && is == alive {
		_, _ = sys.Readable(fd, int(grace/time.Millisecond))
		_ = unix.Close(fd)
	}
	// A container whose keeper has ended, or whose launcher, is about to end. What others have started is for their heirs: each waiting
	// for all would take them as long as all together.
	for end, pause := time.Now().Add(5*grace), time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		busy := false
		err := s.each(&owner, func(e *Entry) error {
			// An init that is killed before it has executed cannot be looked at any more, as if it were somebody else's.
			dying := e.Status == Damaged
			if e.State.Owner != owner || !e.Settling() && !dying || e.State.Detached && !e.hasCleanup() {
				return nil // what has been left alone, or what no one is to do anything for
			}
			busy = true
			p, err := e.Open()
			if err != nil {
				return nil //nolint:nilerr // it has ended meanwhile
			}
			defer p.Close()
			_, err = p.Wait(grace)
			return err
		})
		if err != nil || !busy || time.Now().After(end) {
			return err
		}
		time.Sleep(pause)
	}
}
