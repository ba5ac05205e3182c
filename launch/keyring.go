package launch

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
)

// keyring decides what becomes of the caller's session keyring where keyctl(2) is refused, so that no other one can be joined. The
// filter that refuses it is also that of the command, which reaches keys by add_key(2) and request_key(2) then, unless these
// are refused, too: there, or by the filter that the container gets, whose rules are ours where ruled is true.
func (c *compiler) keyring(ruled bool, options string) error {
	switch {
	case c.host.Facts.OwnKeyring:
	case ruled, c.host.KeysRefused:
		c.fallBack("keyctl(2) is refused here: the container keeps the caller's session keyring, which filters keep out of reach")
	default:
		return hinted(fmt.Errorf("%s: what runs this refuses keyctl(2), and the caller's session keyring would be within reach", options),
			"start with rl-run's own filter, which keeps it out of reach")
	}
	return nil
}

// leaveKeyring has a process leave the caller's session keyring.
func (c *compiler) leaveKeyring(a plan.Actor, why string) {
	if c.host.Facts.OwnKeyring {
		c.Plan.Add(a, plan.NewKeyring{}, why)
	}
}

// keyctlRefused reports whether a filter refuses keyctl(2). Of the kernel's own EPERM is none of the answers.
func keyctlRefused() bool {
	_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	return errors.Is(err, unix.EPERM)
}

// keysRefused reports whether no key can be reached without keyctl(2) either. Nothing but a filter and a kernel without keys look at
// the number before they look at the arguments, which are none.
func keysRefused() bool {
	for _, call := range [...]uintptr{unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY} {
		if _, _, errno := unix.Syscall6(call, 0, 0, 0, 0, 0, 0); !errors.Is(errno, unix.EPERM) && !errors.Is(errno, unix.ENOSYS) {
			return false
		}
	}
	return true
}
