package trial

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// leaderName is argument 0 of the test program when it is the leader of a terminal's
// session.
const leaderName = "trial-session-leader"

// An order either starts a command or sends a signal to the one that runs.
type order struct {
	Path   string
	Args   []string
	Dir    string
	Env    []string
	Signal int
}

// A status answers a start, and then tells the end of the command.
type status struct {
	Pid   int
	Error string
	Code  int
}

// lead obeys the orders on fd 3, answers on fd 4, and ends with its orders.
//
// The commands stay in the leader's own process group, which is the terminal's
// foreground: what ^C sends to the group must not end the leader. It is caught, not
// ignored, because a command would inherit that.
func lead() int {
	signal.Notify(make(chan os.Signal, 1), unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
	orders, answers := json.NewDecoder(os.NewFile(3, "orders")), json.NewEncoder(os.NewFile(4, "answers"))
	incoming := make(chan order)
	go func() {
		defer close(incoming)
		for {
			var o order
			if orders.Decode(&o) != nil {
				return
			}
			incoming <- o
		}
	}()

	var running *exec.Cmd
	ended := make(chan *os.ProcessState)
	for {
		var answer status
		select {
		case o, more := <-incoming:
			switch {
			case !more:
				if running != nil {
					_ = running.Process.Kill()
					<-ended
				}
				return 0
			case o.Signal != 0:
				if running != nil {
					_ = running.Process.Signal(syscall.Signal(o.Signal))
				}
				continue
			case running != nil:
				answer.Error = "another command runs"
			default:
				c := exec.Command(o.Path, o.Args...)
				c.Dir, c.Env = o.Dir, append(os.Environ(), o.Env...)
				c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
				if err := c.Start(); err != nil {
					answer.Error = err.Error()
					break
				}
				running, answer.Pid = c, c.Process.Pid
				go func() {
					_ = c.Wait()
					ended <- c.ProcessState
				}()
			}
		case state := <-ended:
			running, answer.Code = nil, exitCode(state)
		}
		if err := answers.Encode(answer); err != nil {
			fmt.Fprintln(os.Stderr, "trial: session leader:", err)
			return 1
		}
	}
}
