package port

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(isolated{trial.Tests(m)}.Run()) }

// isolated runs tests in a user and net namespace of their own, which is the host to them: its
// addresses and ports are theirs alone, and no packet leaves the machine.
type isolated struct{ tests leak.Runner }

const isolatedEnv = "RLRUN_TEST_PORT_ISOLATED"

func (i isolated) Run() int {
	if os.Getenv(isolatedEnv) != "" {
		if err := setUpHost(); err != nil {
			fmt.Fprintln(os.Stderr, "port:", err)
			return 1
		}
		return i.tests.Run()
	}
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Env = append(os.Environ(), isolatedEnv+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
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
	fmt.Fprintln(os.Stderr, "port: run the tests in namespaces of their own:", err)
	return 1
}

// setUpHost gives the host two networks' worth of addresses: loopback's, and one where
// clients will be. Both supervisor and tests come by here.
func setUpHost() error {
	out, err := exec.Command("sh", "-c", `
		ip link show host0 >/dev/null 2>&1 && exit
		ip link set lo up &&
		ip link add host0 type veth peer name beyond0 &&
		ip addr add 192.0.2.1/24 dev host0 &&
		ip addr add 192.0.2.9/24 dev host0 &&
		ip addr add 2001:db8::1/64 dev host0 nodad &&
		ip link set host0 up`).CombinedOutput()
	if err != nil {
		return fmt.Errorf("set up a net namespace: %w: %s", err, out)
	}
	return nil
}
