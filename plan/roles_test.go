package plan

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
)

// launcherRole starts a container, says where it is, and waits to be killed. Its
// argument is how far the container goes: to a handoff, or to its command.
func launcherRole() error {
	pl := begin()
	pl.Add(Init, StartCommand{}, "")
	sleep := Exec{Paths: []string{"/bin/sleep"}, Argv: []string{"sleep", "1000"}}
	pl.Add(Command, WaitFor{Init}, "")
	pl.Add(Command, sleep, "")
	pl.Add(Parent, marker, "")
	pl.Add(Init, LetGo{Command}, "")
	pl.Add(Init, sleep, "")
	c, err := Prepare(pl, Options{})
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	if err := c.Await(len(pl.Entries) - 3); err != nil {
		return err
	}
	if os.Args[1] == "command" {
		if err := c.Go(); err != nil {
			return err
		}
		if err := c.Running(); err != nil {
			return err
		}
	}
	fmt.Println(c.PID)
	time.Sleep(time.Hour)
	return nil
}

// A launcher that is killed leaves nothing, wherever its children are.
func TestInitDiesWithTheProcess(t *testing.T) {
	leak.Watch(t)
	for _, at := range []string{"handoff", "command"} {
		t.Run(at, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", at)
			cmd.Env = append(os.Environ(), roleEnv+"=launcher")
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			var pid int
			if _, serr := fmt.Sscan(line, &pid); err != nil || serr != nil {
				_ = cmd.Process.Kill()
				t.Fatal(cmd.Wait(), err, serr)
			}
			children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			awaitDeath(t, pid)
			fields := strings.Fields(string(children))
			if len(fields) != 1 {
				t.Errorf("init has the children %q, want one", fields)
			}
			for _, f := range fields {
				var child int
				if _, err := fmt.Sscan(f, &child); err != nil {
					t.Fatal(err)
				}
				awaitDeath(t, child)
			}
		})
	}
}
