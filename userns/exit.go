package userns

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ExitError tells how a program that was started ended otherwise than well.
type ExitError struct {
	// Path is the program, as it was started.
	Path string
	// Status is what wait4(2) returned.
	Status unix.WaitStatus
	// TimedOut is true where rl-run killed it, after 10 seconds.
	TimedOut bool
	// Said is its message on one line, without its name, at most 512 bytes.
	Said string
}

// Error gives the program's own message where it has one, since that names the
// cause, else how it ended. The program's name is the caller's to add.
func (e *ExitError) Error() string {
	var end string
	switch {
	case e.TimedOut:
		end = fmt.Sprintf("no end after %v, killed", helperTimeout)
	case e.Status.Signaled():
		end = fmt.Sprintf("ended by signal %d (%v)", int(e.Status.Signal()), e.Status.Signal())
	case e.Said != "":
		return e.Said
	default:
		return fmt.Sprintf("exit status %d", e.Status.ExitStatus())
	}
	if e.Said != "" {
		end += ": " + e.Said
	}
	return end
}

// failure is nil for a program that ended with status 0, else an *ExitError.
func (p *program) failure() error {
	if p.status.Exited() && p.status.ExitStatus() == 0 && !p.late {
		return nil
	}
	return &ExitError{Path: p.path, Status: p.status, TimedOut: p.late, Said: oneLine(p.said, filepath.Base(p.path))}
}

// oneLine makes text of an untrusted program fit for a message.
func oneLine(text []byte, name string) string {
	const limit = 512
	lines := strings.FieldsFunc(string(text[:min(len(text), limit)]), func(r rune) bool { return r == '\n' || r == '\r' })
	for i, line := range lines {
		lines[i] = strings.TrimSpace(strings.TrimPrefix(line, name+":"))
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffd {
			return '?'
		}
		return r
	}, strings.Join(lines, "; "))
}
