package main

import (
	"errors"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/port/forward"
)

func TestParseSockets(t *testing.T) {
	got, err := parseSockets([]string{"5=tcp:80", "6=udp:65535"})
	want := []forward.Socket{{FD: 5, Port: 80}, {FD: 6, UDP: true, Port: 65535}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, words := range []string{"", "5", "5=tcp", "=tcp:80", "-5=tcp:80", "2=tcp:80", "5=TCP:80", "5=tcp:0", "5=tcp:65536", "5=tcp:80:80", "5=tcp:1 5=udp:2"} {
		if got, err := parseSockets(strings.Fields(words)); err == nil {
			t.Errorf("%q: %+v", words, got)
		}
	}
}

const confinedEnv = "RLRUN_NETD_CONFINED"

// TestConfine confines a process of its own, with all capabilities of a user and net
// namespace, and then tries what must not work, on several threads.
func TestConfine(t *testing.T) {
	if wish := os.Getenv(confinedEnv); wish != "" {
		capable, err := confine(wish == "transparent")
		if err != nil || capable != (wish == "transparent") {
			t.Fatalf("%v, %v", capable, err)
		}
		tryConfined(t, capable)
		return
	}
	for _, wish := range []string{"transparent", "nothing"} {
		c := exec.Command("/proc/self/exe", "-test.run=^TestConfine$", "-test.v")
		c.Env = append(os.Environ(), confinedEnv+"="+wish)
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: TestConfine") {
			t.Errorf("%s: %v: %s", wish, err, out)
		}
	}
}

func tryConfined(t *testing.T, capable bool) {
	_, _, landlock := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			runtime.LockOSThread() // a thread of its own for each, which ends with it
			if landlock == 0 {
				if _, err := os.ReadFile("/etc/passwd"); !errors.Is(err, unix.EACCES) {
					t.Errorf("read a file: %v", err)
				}
				if err := os.WriteFile("/tmp/x", nil, 0o600); !errors.Is(err, unix.EACCES) {
					t.Errorf("write a file: %v", err)
				}
				if err := exec.Command("/bin/true").Run(); !errors.Is(err, unix.EACCES) {
					t.Errorf("execute: %v", err)
				}
			}
			if err := unix.Sethostname([]byte("x")); !errors.Is(err, unix.EPERM) {
				t.Errorf("set the hostname: %v", err)
			}
			if _, err := forward.SetUpTransparent(); err == nil {
				t.Error("routes can be changed")
			}
			if err := forward.MayBeTransparent(); (err == nil) != capable {
				t.Errorf("a foreign address: %v", err)
			}
		})
	}
	all.Wait()
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		t.Errorf("dumpable: %d, %v", dumpable, err)
	}
}
