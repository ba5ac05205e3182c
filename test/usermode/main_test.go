package usermode

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(isolated{trial.Tests(m)}.Run()) }

// isolated runs tests in a user, net and mount namespace of their own, which is the host to them: no packet leaves the
// machine, and /etc/resolv.conf and /dev/net are theirs to change.
type isolated struct{ tests leak.Runner }

const isolatedEnv = "RLRUN_TEST_USERMODE_ISOLATED"

func (i isolated) Run() int {
	if os.Getenv(isolatedEnv) != "" {
		if err := setUpHost(); err != nil {
			fmt.Fprintln(os.Stderr, "usermode:", err)
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
	fmt.Fprintln(os.Stderr, "usermode: run the tests in namespaces of their own:", err)
	return 1
}

// The addresses of the host, of its neighbour, and of what lies behind that.
const (
	host4, host6     = "192.0.2.1", "2001:db8::1"
	beyond4, beyond6 = "198.51.100.7", "2001:db8:1::7"
)

const addRoutes = `ip route replace default via 192.0.2.7; ip -6 route replace default via 2001:db8::7`

// setUpHost makes a host with a way out. Supervisor and tests both come by here.
func setUpHost() error {
	out, err := exec.Command("sh", "-ec", `
		! ip link show host0 >/dev/null 2>&1 || exit 0
		mount --make-rprivate /
		ip link set lo up
		ip link add host0 type veth peer name beyond0
		ip addr add 192.0.2.1/24 dev host0
		ip addr add 2001:db8::1/64 dev host0 nodad
		ip link set host0 up
		ip link set beyond0 up
		echo 0 0 >/proc/sys/net/ipv4/ping_group_range
		`+addRoutes).CombinedOutput()
	if err != nil {
		return fmt.Errorf("set up a host: %w: %s", err, out)
	}
	return nil
}
