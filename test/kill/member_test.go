package kill

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// A member is a process of a start that is killed in the launcher's stead.
type member struct {
	name     string
	detached bool
	script   string
	// is reports whether a process is it; ids are its pids, from the host's namespace inwards.
	is func(p leak.Proc, launcher int, ids []string) bool
}

func isInit(_ leak.Proc, _ int, ids []string) bool { return len(ids) > 1 && ids[len(ids)-1] == "1" }

var membersKilled = []member{
	{"init", false, script, isInit},
	{"init of a detached container", true, script, isInit},
	// It is the launcher's child, and init's parent: also before it has executed its program. So is the heir, which is there before.
	{"keeper that writes the log", true, "while echo line; do :; done", func(p leak.Proc, launcher int, ids []string) bool {
		return len(ids) == 1 && (p.Comm == "rl-keeper" || p.Parent == launcher && p.Comm == "rl-run" && behindHeir(p, launcher))
	}},
}

// Whichever of its processes is killed, a container ends with it, and the next start with its name works. A launcher tells
// in one line that its start has failed.
func TestKilledMemberEndsContainer(t *testing.T) {
	trial.NeedUser(t)
	tree := trial.Tree(t, "busybox")
	for _, m := range membersKilled {
		t.Run(m.name, func(t *testing.T) {
			leak.Watch(t)
			args := []string{"--quiet", "--net=none", "--name", "member"}
			if m.detached {
				args = append(args, "-d")
			}
			window := duration(t, trial.Bin(t, "rl-run"), []string{"--net=none", tree, "true"})
			n, early := kills(t, 100), 0
			for i := range n {
				before := below(t)
				r := trial.Command{Args: slices.Concat(args, []string{tree, "/bin/sh", "-c", m.script})}.Start(t)
				time.Sleep(rand.N(window))
				// Where it is not there yet, it is killed as soon as it is.
				for end := time.Now().Add(trial.Timeout); !m.kill(t, r.Pid, before); {
					if time.Now().After(end) {
						t.Fatalf("kill %d: it was never there", i)
					}
				}
				got := r.Wait()
				// What was killed may have been a helper that had nothing left to do, and had the launcher's name when it was looked at.
				m.kill(t, r.Pid, before)
				switch lines := strings.Count(got.Stderr, "\n"); {
				case got.Code == 125 && lines == 1 && strings.HasPrefix(got.Stderr, "rl-run: error: "):
					early++
				case got.Code == 137 && !m.detached && got.Stderr == "", got.Code == 0 && m.detached && got.Stderr == "":
				default:
					t.Errorf("kill %d: exit code %d, stderr %q", i, got.Code, got.Stderr)
				}
				if m.detached {
					removed(t)
				}
			}
			t.Logf("%d kills, %d of them before the command was executed", n, early)
			out := trial.Command{Path: trial.Bin(t, "rl-ps"), Args: []string{"-a", "-q"}}.Run(t).OK(t)
			if out != "" {
				t.Errorf("listed is %s", out)
			}
		})
	}
}

// behindHeir reports whether a child of a launcher is a later one than the heir, for whose exec the launcher waits.
func behindHeir(p leak.Proc, launcher int) bool {
	all, _ := leak.Descendants(launcher)
	return slices.ContainsFunc(all, func(other leak.Proc) bool {
		return other.PID != p.PID && other.Parent == launcher && other.Comm != "rl-run"
	})
}

// below are the processes that the tests have started.
func below(t *testing.T) []leak.Proc {
	t.Helper()
	found, err := leak.Descendants(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// kill kills the member, which is none of those that were there before, and reports whether it was there.
func (m member) kill(t *testing.T, launcher int, before []leak.Proc) bool {
	t.Helper()
	for _, p := range below(t) {
		if slices.ContainsFunc(before, func(b leak.Proc) bool { return b.PID == p.PID && b.Start == p.Start }) {
			continue
		}
		fd, err := unix.PidfdOpen(p.PID, 0)
		if err != nil {
			continue
		}
		// What is read now is of the process of the pidfd, if that is there still at the signal.
		now, err := leak.Read(p.PID)
		hit := err == nil && m.is(now, launcher, pids(p.PID)) && unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
		_ = unix.Close(fd)
		if hit {
			return true
		}
	}
	return false
}

// pids are the ids of a process in its pid namespaces (NSpid, proc_pid_status(5)).
func pids(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), "\nNSpid:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Fields(line)
}

// described are the processes that the tests have started, with what keeps them.
func described(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	wanted := []string{"Name:", "State:", "PPid:", "NSpid:", "SigPnd:", "ShdPnd:", "SigBlk:"}
	for _, p := range below(t) {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
		wchan, _ := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", p.PID))
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
		for line := range strings.Lines(string(status)) {
			if slices.ContainsFunc(wanted, func(w string) bool { return strings.HasPrefix(line, w) }) {
				text.WriteString(strings.Join(strings.Fields(line), " ") + "; ")
			}
		}
		fmt.Fprintf(&text, "in %s; %q\n", wchan, cmdline)
	}
	return text.String()
}

// removed looks whether a detached container whose member was killed has ended, and removes it.
func removed(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(leak.Patience); ; time.Sleep(10 * time.Millisecond) {
		state := trial.Command{Path: trial.Bin(t, "rl-ps"), Args: []string{"-q"}}.Run(t).OK(t)
		if state == "" {
			break
		}
		if time.Now().After(end) {
			t.Errorf("%s runs on; there are\n%s", state, described(t))
			break
		}
	}
	trial.Command{Path: trial.Bin(t, "rl-rm"), Args: []string{"-f", "member"}}.Run(t).OK(t)
}
