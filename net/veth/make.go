package veth

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/usernet"
)

// Container is where the inner end goes.
type Container struct {
	NetNS int // a descriptor of its net namespace, whose user namespace is the caller's
	Pid   int // a process in it, which lxc-user-nic wants; rl-veth takes none
}

// Error is a pair that a helper did not make.
type Error struct {
	Helper Helper
	Err    error // a *usernet.Refusal of rl-veth, or what went wrong otherwise
}

func (e *Error) Unwrap() error { return e.Err }

func (e *Error) Error() string {
	cause := e.Err.Error()
	if r, ok := errors.AsType[*usernet.Refusal](e.Err); ok {
		cause = explain(r)
	}
	return "make veth pair: " + cause
}

// explain says what a word of rl-veth means.
func explain(r *usernet.Refusal) string {
	switch r.Word {
	case usernet.Usage:
		return "rl-veth does not take the request: addresses must be hosts of one net, and with a bridge there is none for the host"
	case usernet.Privilege:
		return "rl-veth has no CAP_NET_ADMIN here"
	case usernet.Namespace:
		return "the net namespace is not one of the caller's"
	case usernet.Forbidden:
		return usernet.Directory + "/" + usernet.File + " does not grant it"
	case usernet.Quota:
		return "there are as many links as " + usernet.Directory + "/" + usernet.File + " grants"
	case usernet.Taken:
		return "the address is in use, or all of the pool are"
	case usernet.Clash:
		s := "the host has a route to " + r.Route.String()
		if r.Interface != "" {
			s += fmt.Sprintf(" dev %q", r.Interface)
		}
		return s
	case usernet.Exists:
		return "the container has an interface " + usernet.Inner
	case usernet.Filter:
		return "the kernel cannot filter what the container sends"
	case usernet.System:
	}
	return "the kernel refuses it"
}

// Make has the helper make a pair. The error is an *Error.
func (h Helper) Make(c Container, r usernet.Request) (usernet.Answer, error) {
	// What rl-veth would not even read need not be sent.
	if _, err := usernet.ParseArgs(r.Args()); err != nil {
		return usernet.Answer{}, &Error{h, err}
	}
	ask := h.rlVeth
	if h.LXC {
		ask = h.lxcUserNIC
	}
	answer, err := ask(c, r)
	if err != nil {
		return usernet.Answer{}, &Error{h, err}
	}
	return answer, nil
}

// The kernel removes a link some 15 to 40 ms after the end of its container, and until then the link has its
// address and counts. So what a start would be refused because of the one before is asked for again, this often.
const (
	tries    = 10
	tryAgain = 30 * time.Millisecond
)

func (h Helper) rlVeth(c Container, r usernet.Request) (answer usernet.Answer, err error) {
	for try := 1; ; try++ {
		answer, err = h.askRLVeth(c, r)
		refusal, refused := errors.AsType[*usernet.Refusal](err)
		if try == tries || !refused || refusal.Word != usernet.Taken && refusal.Word != usernet.Quota {
			return answer, err
		}
		time.Sleep(tryAgain)
	}
}

func (h Helper) askRLVeth(c Container, r usernet.Request) (usernet.Answer, error) {
	// The copy is closed behind the start, the caller's own stays as it is.
	fd, err := unix.FcntlInt(uintptr(c.NetNS), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return usernet.Answer{}, os.NewSyscallError("fcntl", err)
	}
	ns := os.NewFile(uintptr(fd), "net namespace")
	defer ns.Close()
	var out, complaint bytes.Buffer
	cmd := exec.Command(h.Path, r.Args()...)
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{ns} // descriptor 3
	cmd.Stdout, cmd.Stderr = &out, &complaint
	ended := cmd.Run()
	answer, err := usernet.ParseAnswer(out.String())
	if !errors.Is(err, usernet.ErrAnswer) {
		return answer, err
	}
	return usernet.Answer{}, failed(h.Path, ended, err, complaint.String())
}

// failed is the error of a program that gave no answer: how it ended, else that, and the
// first line of what it had to say, for the others tell what followed from it.
func failed(path string, ended, err error, complaint string) error {
	if ended != nil {
		err = ended
	}
	if first, _, _ := strings.Cut(strings.TrimSpace(complaint), "\n"); first != "" {
		return fmt.Errorf("%s: %w: %q", path, err, first)
	}
	return fmt.Errorf("%s: %w", path, err)
}
