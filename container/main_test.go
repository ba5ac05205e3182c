package container

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/runtimedir"
	"golang.org/x/sys/unix"
)

// The test program is its own launcher: with RLRUN_TEST_LAUNCHER it does one thing with the store and ends.
func TestMain(m *testing.M) {
	if what := os.Getenv("RLRUN_TEST_LAUNCHER"); what != "" {
		os.Exit(launcher(what))
	}
	os.Exit(m.Run())
}

func launcher(what string) int {
	verb, name, _ := strings.Cut(what, " ")
	s := Open(runtimedir.New(os.Getenv("XDG_RUNTIME_DIR"), os.Getuid()))
	// All begin at once, when the pipe's last writer has closed it.
	_, _ = os.Stdin.Read(make([]byte, 1))
	var err error
	switch verb {
	case "reserve": // and live until killed
		if _, err = s.Reserve(Request{Name: name, Base: "tree"}); err == nil {
			fmt.Println("reserved")
			time.Sleep(time.Hour)
		}
	case "churn": // until killed
		for {
			e, err := s.Reserve(Request{Name: name, Detached: true})
			if err != nil {
				continue
			}
			_ = e.WriteConfig(&Config{Name: name})
			_ = e.WriteFilter(make([]byte, 8))
			_ = e.WriteState(&State{Init: e.State.Owner, Keeper: e.State.Owner})
			_ = e.writeExit(Exit{Code: 7, At: time.Now()})
			_ = e.Remove()
			e.Close()
		}
	case "hold": // be a process in whatever namespaces this one has
		fmt.Println("holding")
		time.Sleep(time.Hour)
	case "nest":
		err = nest()
	case "fill": // reserve and write until there is no space
		err = fill(s)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// nest holds in a user namespace within the one it is in, and says the child's pid.
func nest() error {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), "RLRUN_TEST_LAUNCHER=hold")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, Pdeathsig: unix.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{Size: 1}}, GidMappings: []syscall.SysProcIDMap{{Size: 1}},
	}
	runtime.LockOSThread()
	if err := c.Start(); err != nil {
		return err
	}
	fmt.Println(c.Process.Pid)
	return c.Wait()
}

// fill is run with a small tmpfs as the runtime directory.
func fill(s *Store) error {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	kept, err := s.Reserve(Request{Name: "kept", Detached: true})
	if err != nil {
		return err
	}
	if err := kept.WriteConfig(&Config{Name: "kept", Hostname: "before"}); err != nil {
		return err
	}
	big := make([]byte, 1<<20)
	if err := os.WriteFile(dir+"/big", big, 0o600); err == nil {
		return fmt.Errorf("the file system was not filled")
	}
	err = kept.WriteConfig(&Config{Name: "kept", Hostname: strings.Repeat("after", 10000)})
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		return fmt.Errorf("WriteConfig: %w", err)
	}
	c, err := kept.Config()
	if err != nil || c.Hostname != "before" {
		return fmt.Errorf("Config after that: %+v, %w", c, err)
	}
	if _, err := s.Reserve(Request{Name: "other"}); err == nil || !strings.Contains(err.Error(), "no space left") {
		return fmt.Errorf("Reserve: %w", err)
	}
	if names, err := s.Names(); err != nil || len(names) != 1 {
		return fmt.Errorf("Names: %v, %w", names, err)
	}
	// How it ended still goes in, and it can be removed.
	if err := kept.writeExit(Exit{Code: 3}); err != nil {
		return err
	}
	if !kept.readExit() || kept.Exit.Code != 3 {
		return fmt.Errorf("exit: %+v", kept.Exit)
	}
	if err := kept.Remove(); err != nil {
		return err
	}
	if err := os.Remove(dir + "/big"); err != nil {
		return err
	}
	e, err := s.Reserve(Request{Name: "other"})
	if err != nil {
		return err
	}
	return e.Remove()
}
