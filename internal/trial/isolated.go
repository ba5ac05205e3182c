package trial

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
)

// isolatedEnv says that the program is in the namespaces.
const isolatedEnv = "RLRUN_TRIAL_ISOLATED"

// Isolated returns a Runner that runs tests in a user, net and mount namespace of their own, which are the host to them:
// no packet leaves the machine, its addresses and ports are theirs alone, and so are files like /etc/resolv.conf to be
// mounted over. The caller is root there, with a single id.
//
// The host has the addresses 192.0.2.1 and 2001:db8::1 on host0, whose other end is beyond0; setUp, a script, adds what
// else there is to be. Both addresses are for documentation, RFC 5737 and RFC 3849.
func Isolated(tests leak.Runner, setUp string) leak.Runner { return isolated{tests, setUp} }

type isolated struct {
	tests leak.Runner
	setUp string
}

func (i isolated) Run() int {
	// Supervisor and tests both come by here.
	if os.Getenv(isolatedEnv) != "" {
		if err := i.setUpHost(); err != nil {
			fmt.Fprintln(os.Stderr, "trial:", err)
			return 1
		}
		return i.tests.Run()
	}
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Env = append(os.Environ(), isolatedEnv+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	err := c.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "trial: run the tests in namespaces of their own:", err)
	return 1
}

func (i isolated) setUpHost() error {
	out, err := exec.Command("sh", "-ec", `
		! ip link show host0 >/dev/null 2>&1 || exit 0
		mount --make-rprivate /
		ip link set lo up
		ip link add host0 type veth peer name beyond0
		ip addr add 192.0.2.1/24 dev host0
		ip addr add 2001:db8::1/64 dev host0 nodad
		ip link set host0 up
		`+i.setUp).CombinedOutput()
	if err != nil {
		return fmt.Errorf("set up a host: %w: %s", err, out)
	}
	return nil
}
