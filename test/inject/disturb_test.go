package inject

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/trial"
)

// calls are the kinds that make a container or what is written down of it. strace counts the calls of each process for itself, and
// the launcher is the first to make most of those that init makes too: those behind the empty line are init's and the command's alone.
var calls = []string{
	"mount", "clone", "clone3", "unshare", "execve", "openat", "write", "renameat", "renameat2", "mkdirat", "ftruncate", "fallocate",

	"openat2", "open_tree", "move_mount", "mount_setattr", "pivot_root", "umount2", "prctl", "capset", "setresuid", "seccomp", "execveat",
	"sethostname", "setsid", "chdir", "fchdir", "read",
}

// unfailing are those that cannot fail so: the kernel gives read(2) of what a static init reads, a signalfd or one end of a socket
// pair, no other error than EINTR, and none to wait4(2) of children, for whom it does not wait, nor to pread64(2) of what is in memory.
// It can be killed there.
var unfailing = []string{"read", "wait4", "pread64"}

// recalling are the kinds that the launcher makes beside those, when it does without Go's runtime.
var recalling = []string{
	"pread64", "statx", "newfstatat", "memfd_create", "fcntl", "socketpair", "eventfd2", "pidfd_open", "sendto", "recvmsg", "recvfrom", "wait4",
	"ppoll", "signalfd4", "pwrite64", "socket", "setns", "close_range", "dup3",
}

// A way to start a container.
type way struct {
	name     string
	program  string // default: rl-run
	options  []string
	command  []string
	followed bool // init and the command are traced too
	memo     bool // it is one that a memo is kept of
	session  bool // a network session runs meanwhile
	least    int  // calls that are disturbed at least
	pace     int  // each so many-th call of a kind; default: all
}

// A plain user can trace all processes where no setuid program is needed: with a single id.
var (
	single = way{name: "single id", options: []string{"--userns=single"}, command: []string{"true"}, followed: true, least: 150}
	mapped = way{name: "subordinate ids", command: []string{"true"}, followed: tracedUser != "", least: 40}
	detach = way{name: "detached", options: []string{"--userns=single", "-d"}, command: []string{"echo", "said"}, followed: true, least: 150}
)

// args are those of rl-run.
func (w way) args(t *testing.T) []string {
	t.Helper()
	if w.program != "" {
		return slices.Concat(w.options, []string{name}, w.command)
	}
	if w.memo { // a start with a name is never kept
		return slices.Concat(w.options, []string{trial.Tree(t, "busybox")}, w.command)
	}
	return slices.Concat([]string{"--net=none", "--name", name}, w.options, []string{trial.Tree(t, "busybox")}, w.command)
}

// A disturbance is what strace does at the n-th system call of a kind.
type disturbance struct {
	call string
	how  string // as strace -e inject has it
	n    int
}

func (d disturbance) String() string { return fmt.Sprintf("%s %s %d", d.call, d.how, d.n) }

// run starts a container under strace, and returns what strace has seen of the disturbance: nothing, when no process has made
// so many calls.
func (d disturbance) run(t *testing.T, w way) (r trial.Result, hits []string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	args := []string{"-o", log, "-e", "trace=execve," + d.call, "-e", fmt.Sprintf("inject=%s:%s:when=%d", d.call, d.how, d.n)}
	if w.followed {
		args = append(args, "-f")
	}
	if tracedUser != "" {
		args = append(args, "-u", tracedUser)
	}
	args = append(append(args, trial.Bin(t, cmp.Or(w.program, "rl-run"))), w.args(t)...)
	r = trial.Command{Path: trial.NeedTool(t, "strace"), Args: args, Dir: "/"}.Run(t)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(log)
	return r, told(string(text))
}

// heirToo ends the line of an heir that has been killed at a call of its own.
const heirToo = " (the heir, at work)\n"

// told are the lines of strace's that tell of calls that failed and processes that were killed: but for heirs that wait, which are
// killed when there is nothing left to do for them. An heir at work makes the same calls as a launcher, and may make as many.
func told(log string) (hits []string) {
	heirs := map[string]int{} // by process: how often one has executed, to wait and to work
	for line := range strings.Lines(log) {
		pid, _, _ := strings.Cut(line, " ")
		switch {
		case strings.Contains(line, `["`+container.HeirVerb+`"`):
			heirs[pid]++
		case strings.Contains(line, "INJECTED"), strings.Contains(line, "killed by SIGKILL") && heirs[pid] == 0:
			hits = append(hits, line)
		case strings.Contains(line, "killed by SIGKILL") && heirs[pid] > 1:
			hits = append(hits, strings.TrimSuffix(line, "\n")+heirToo)
		}
	}
	return hits
}

// each disturbs one start after the other, at the first call of each kind, the second, … until there are no more. look is
// called behind each run, also of those that have made no such call.
func each(t *testing.T, how string, w way, look func(t *testing.T, d disturbance, r trial.Result, hits []string)) {
	t.Helper()
	runs, pace := 0, cmp.Or(w.pace, 1)*10/trial.Mass(10)
	if tracedUser != "" && how != "signal=KILL" && how != "error=ENOSPC" {
		pace = max(pace, 3) // what is followed here are the same calls with another error
	}
	kinds := calls
	if w.memo {
		kinds = slices.Concat(calls, recalling)
	}
	for _, call := range kinds {
		if strings.HasPrefix(how, "error=") && slices.Contains(unfailing, call) && (how != "error=EINTR" || call != "read") {
			continue
		}
		first := 1
		if call == "execve" {
			first = 2 // the first is strace's own start of the program
		}
		for n := first; ; n += pace {
			d := disturbance{call, how, n}
			r, hits := d.run(t, w)
			look(t, d, r, hits)
			if len(hits) == 0 {
				break
			}
			if runs++; n > 300 {
				t.Fatalf("%s does not end", d)
			}
		}
	}
	t.Logf("%s: %d calls were disturbed", how, runs)
	if least := trial.Mass(w.least) / cmp.Or(w.pace, 1); runs < least {
		t.Errorf("%s: only %d calls were disturbed, want %d", how, runs, least)
	}
}
