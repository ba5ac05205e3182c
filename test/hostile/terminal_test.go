package hostile

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// attackTerminal types its first argument, and a newline, into each terminal that it can reach. It tries to make standard
// input its controlling terminal first, as TIOCSTI asks for.
func attackTerminal(args []string) error {
	found := map[string]unix.Errno{}
	// try keeps the lowest errno of all terminals, so that success on any of them shows.
	try := func(name string, fd int, request uintptr, arg []byte) {
		errno := call(unix.SYS_IOCTL, uintptr(fd), request, address(arg))
		if before, made := found[name]; !made || errno < before {
			found[name] = errno
		}
	}
	_ = unix.IoctlSetInt(0, unix.TIOCSCTTY, 1)
	fds := []int{0, 1, 2}
	if tty, err := unix.Open("/dev/tty", unix.O_RDWR, 0); err == nil {
		fds = append(fds, tty)
	}
	for _, fd := range fds {
		for _, key := range []byte(args[0] + "\n") {
			try("sti", fd, unix.TIOCSTI, []byte{key})
		}
		for _, key := range []byte(args[0] + "\n") {
			try("high", fd, unix.TIOCSTI|1<<32, []byte{key})
		}
		// TIOCL_PASTESEL pastes the selection of a virtual console as if it were typed.
		try("linux", fd, unix.TIOCLINUX, []byte{3})
	}
	fmt.Println(errnos(found["sti"], found["high"], found["linux"]))
	return nil
}

// errnos are what TIOCSTI gives, TIOCSTI|1<<32 and TIOCLINUX.
func errnos(sti, high, linux unix.Errno) string {
	return fmt.Sprintf("TIOCSTI %d, with high bits %d, TIOCLINUX %d", sti, high, linux)
}

// TestTyping has a command type a line for the shell that has started its container.
func TestTyping(t *testing.T) {
	tree := begin(t)
	bwrap := trial.NeedTool(t, "bwrap")
	run := []string{trial.Bin(t, "rl-run"), "--quiet", "-v", self(t) + ":" + attackPath, "-e", attackEnv + "=type"}
	const eperm, enotty = unix.EPERM, unix.ENOTTY
	for name, c := range map[string]struct {
		lead  []string
		typed bool
		says  string // about TIOCSTI, with and without the high bits, and TIOCLINUX
	}{
		// An own pty: what is typed there without the filter comes to the container itself.
		"pty":             {slices.Concat(run, []string{"-t", tree}), false, errnos(eperm, eperm, eperm)},
		"pty, unconfined": {slices.Concat(run, unconfined, []string{"-t", tree}), false, errnos(0, 0, enotty)},
		// The caller's terminal.
		"no pty":             {slices.Concat(run, []string{"-t=false", tree}), false, errnos(eperm, eperm, eperm)},
		"no pty, unconfined": {slices.Concat(run, unconfined, []string{"-t=false", tree}), false, "rl-run: error: "},
		"control": {[]string{
			bwrap, "--ro-bind", tree, "/", "--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev", "--ro-bind", self(t), attackPath,
			"--setenv", attackEnv, "type",
		}, true, errnos(0, 0, enotty)},
	} {
		dir := t.TempDir()
		p := trial.OpenPTY(t)
		p.Start(trial.Command{Path: "/bin/sh", Args: []string{"-i"}, Env: []string{"PS1=$A", "A=ready> ", "ENV=", "MARK=end"}})
		p.Expect("ready> ")
		line := slices.Concat(c.lead, []string{attackPath, "touch " + dir + "/canary"})
		p.Send("'" + strings.Join(line, "' '") + "'; echo $MARK\n")
		p.Expect("\r\nend\r\n")
		p.Send("exit\n")
		p.Wait()
		// In the control the keys are there before that exit: the shell runs them first.
		_, err := os.Stat(dir + "/canary")
		if typed := err == nil; typed != c.typed {
			t.Errorf("%s: the line was typed into the caller's shell: %v, want %v; screen:\n%s", name, typed, c.typed, p.Screen())
		}
		if !strings.Contains(p.Screen(), c.says) {
			t.Errorf("%s: the screen lacks %s:\n%s", name, c.says, p.Screen())
		}
	}
}
