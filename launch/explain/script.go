package explain

import (
	"errors"
	"io"

	"github.com/rl-run/rl-run/launch"
)

// Script writes the plan as a shell script.
func Script(to io.Writer, s *launch.Start, secrets bool) error {
	return errors.New("--explain=sh: being built")
}
