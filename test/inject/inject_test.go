package inject

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(trial.Tests(m).Run()) }

// tracedUser is for root: the name of the plain user as whom strace runs rl-run. Only so a setuid program keeps its privilege when
// it is traced, and newuidmap can do its work.
var tracedUser = os.Getenv("RLRUN_TRACED_USER")

// begin is for each test. Root gives its plain user a runtime directory.
func begin(t *testing.T) {
	t.Helper()
	if tracedUser == "" {
		trial.NeedUser(t)
		return
	}
	who, err := user.Lookup(tracedUser)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	dir, err := os.MkdirTemp("", "traced")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", dir)
}

// command is one of the plain user's.
func command(t *testing.T, program string, args ...string) trial.Command {
	t.Helper()
	path := trial.Bin(t, program)
	if tracedUser == "" {
		return trial.Command{Path: path, Args: args}
	}
	return trial.Command{
		Path: trial.NeedTool(t, "setpriv"), Dir: "/",
		Args: append([]string{"--reuid=" + tracedUser, "--regid=" + tracedUser, "--init-groups", path}, args...),
	}
}

// name is the container of each run: every start is also the next start with the name of one that was disturbed.
const name = "disturbed"

// states returns the names that rl-ps -a lists, and tidies up with it what killed launchers have left.
func states(t *testing.T) string {
	t.Helper()
	return command(t, "rl-ps", "-a", "-q").Run(t).OK(t)
}

// unlisted waits until nothing is written down of any container, without a command that would tidy up. Where the heir was killed
// behind its launcher, it is the next command's to do, and not waited for.
func unlisted(t *testing.T, d disturbance, hits []string) {
	t.Helper()
	if slices.ContainsFunc(hits, func(line string) bool { return strings.HasSuffix(line, heirToo) }) {
		t.Logf("%s has killed the heir as well", d)
		return
	}
	dir := os.Getenv("XDG_RUNTIME_DIR") + "/rl-run"
	for end := time.Now().Add(leak.Patience); ; time.Sleep(5 * time.Millisecond) {
		files, err := filepath.Glob(dir + "/*/*")
		if err != nil {
			t.Fatal(err)
		}
		files = slices.DeleteFunc(files, func(file string) bool { // what a session and memos have
			return strings.HasPrefix(file, dir+"/net/") || strings.HasPrefix(file, dir+"/starts/")
		})
		names, _ := filepath.Glob(dir + "/net/names/*/*") // of those that have a link to the session; the pattern is not malformed
		hidden, _ := filepath.Glob(dir + "/net/names/*/.*")
		files = slices.Concat(files, names, hidden)
		if len(files) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("behind %s there is %q", d, files)
			return
		}
	}
}

// Whichever process of a start is killed, at whichever of its calls: nothing is left, and the next start with the name works.
func TestKilled(t *testing.T) {
	begin(t)
	for _, w := range []way{single, mapped} {
		t.Run(w.name, func(t *testing.T) {
			leak.Watch(t)
			each(t, "signal=KILL", w, func(t *testing.T, d disturbance, _ trial.Result, hits []string) {
				unlisted(t, d, hits)
				if r := command(t, "rl-run", w.args(t)...).Run(t); r.Code != 0 || r.Stderr != "" {
					t.Errorf("behind %s: the next start ended with %d: %s", d, r.Code, r.Stderr)
				}
				if list := states(t); list != "" {
					t.Errorf("behind %s: listed is %s", d, list)
				}
			})
		})
	}
}

// A detached container whose launcher, keeper, init or command is killed is listed as one that has ended, or not at all, and can be
// removed.
func TestKilledDetached(t *testing.T) {
	begin(t)
	leak.Watch(t)
	each(t, "signal=KILL", detach, func(t *testing.T, d disturbance, r trial.Result, _ []string) {
		what := fmt.Sprintf("behind %s, with exit code %d,", d, r.Code)
		state := ended(t)
		if state != "" && !strings.Contains(state, " exited ") && !strings.Contains(state, " dead ") {
			t.Errorf("%s is listed: %s", what, state)
		}
		if r.Code == 0 && state == "" {
			t.Errorf("%s is not listed", what)
		}
		command(t, "rl-rm", "-f", name).Run(t).OK(t)
	})
}

// ended waits until the container has ended, and returns its line of rl-ps -a; nothing where there is none.
func ended(t *testing.T) (state string) {
	t.Helper()
	for end := time.Now().Add(leak.Patience); ; time.Sleep(20 * time.Millisecond) {
		list := command(t, "rl-ps", "-a").Run(t).OK(t)
		_, state, _ = strings.Cut(list, "\n")
		if !strings.Contains(state, " running ") && !strings.Contains(state, " created ") || time.Now().After(end) {
			return state
		}
	}
}

// A further command whose launcher, joiner or init is killed leaves nothing in the container, into which the next one comes.
func TestKilledExec(t *testing.T) {
	begin(t)
	leak.Watch(t)
	host := way{options: []string{"--userns=single", "-d"}, command: []string{"sleep", "100000"}}
	command(t, "rl-run", host.args(t)...).Run(t).OK(t)
	ways := []way{
		{program: "rl-exec", options: []string{"-e", "A=b"}, command: []string{"true"}, followed: true, least: 60}, // never by memo
		{program: "rl-exec", command: []string{"true"}, followed: true, memo: true, least: 60},
	}
	var primed bool
	count := func() string {
		r := command(t, "rl-exec", name, "sh", "-c", "set -- /proc/[0-9]*; echo $#").Run(t)
		return strings.TrimSpace(r.Stdout) + r.Stderr
	}
	for i := range 3 * len(ways) {
		w, how := ways[i/3], [...]string{"signal=KILL", "error=ENOMEM", "error=EINTR"}[i%3]
		if w.memo && !primed {
			w.keep(t, os.Getenv("XDG_RUNTIME_DIR")+"/rl-run/c/"+name+"/memo")
			primed = true
		}
		each(t, how, w, func(t *testing.T, d disturbance, r trial.Result, hits []string) {
			if errno := failing[strings.TrimPrefix(how, "error=")]; errno != 0 {
				if problem := judge(r, hits, errno); problem != "" {
					t.Errorf("%s: %s\nexit code %d\nstderr: %s\nstrace: %s", d, problem, r.Code, r.Stderr, strings.Join(hits, ""))
				}
			}
			// init and sleep, and of this rl-exec its init and its shell
			var got string
			for end := time.Now().Add(leak.Patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				if got = count(); got == "4" {
					return
				}
			}
			t.Errorf("behind %s there are %s processes, want 4", d, got)
		})
	}
	command(t, "rl-rm", "-f", name).Run(t).OK(t)
}

var failing = map[string]unix.Errno{"ENOSPC": unix.ENOSPC, "ENOMEM": unix.ENOMEM, "EPERM": unix.EPERM, "EINTR": unix.EINTR}

var said = regexp.MustCompile(`^rl-run: (error|note|hint): [^\n]+: [^\n]+$`)

// A call that fails is told in one line, or can be done without.
func TestFailing(t *testing.T) {
	begin(t)
	// Those that are the same of both ways are many: not each error is tried in each way.
	tried := map[string][]way{"ENOSPC": {single, mapped}, "ENOMEM": {detach}, "EPERM": {single}, "EINTR": {single}}
	if tracedUser != "" {
		tried = map[string][]way{"ENOSPC": {mapped}, "ENOMEM": {mapped}, "EPERM": {mapped}, "EINTR": {mapped}}
	}
	for text, ways := range tried {
		errno := failing[text]
		for _, w := range ways {
			t.Run(text+" "+w.name, func(t *testing.T) {
				leak.Watch(t)
				each(t, "error="+text, w, func(t *testing.T, d disturbance, r trial.Result, hits []string) {
					if problem := judge(r, hits, errno); problem != "" {
						t.Errorf("%s: %s\nexit code %d\nstderr: %s\nstrace: %s", d, problem, r.Code, r.Stderr, strings.Join(hits, ""))
					}
					if w.name == detach.name && r.Code == 0 {
						if state := ended(t); !strings.Contains(state, " exited ") && !strings.Contains(state, " dead ") {
							t.Errorf("behind %s: listed is %q", d, state)
						}
						command(t, "rl-rm", "-f", name).Run(t).OK(t)
					}
					if list := states(t); list != "" {
						t.Errorf("behind %s: listed is %s", d, list)
						command(t, "rl-rm", "-f", name).Run(t).OK(t)
					}
				})
			})
		}
	}
}

// judge says what is wrong with what a start has said of a call that failed.
func judge(r trial.Result, hits []string, errno unix.Errno) string {
	all := strings.Join(hits, "")
	for _, own := range []string{"CLONE_THREAD", "EFD_NONBLOCK", "F_GETFD)"} {
		if strings.Contains(all, own) {
			return "" // the Go runtime cannot do without its threads and its poller, nor be asked to end in one line
		}
	}
	errors := 0
	for line := range strings.Lines(r.Stderr) {
		line = strings.TrimSuffix(line, "\n")
		if strings.Contains(line, "/strace: Failed to tamper with process ") {
			continue // it was ended by another before it came back from the call
		}
		if !said.MatchString(line) {
			return "a line has another form"
		}
		if strings.HasPrefix(line, "rl-run: error: ") {
			errors++
			// newuidmap says it in its own words.
			if !strings.Contains(line, errno.Error()) && !strings.HasPrefix(line, "rl-run: error: map ids: new") {
				return "the cause is not told"
			}
		}
	}
	silenced := strings.Contains(all, "write(2, ")
	switch {
	case r.Code == 0 && errors > 0:
		return "an error is told, but the start has worked"
	case r.Code != 0 && r.Code != 125 && r.Code != 126 && r.Code != 127:
		return "the exit code is none of a start that fails"
	case r.Code != 0 && errors == 0 && !silenced:
		return "no error is told"
	case errors > 1 && errors > strings.Count(all, "INJECTED"):
		return fmt.Sprintf("%d errors are told, want one for each call that failed at most", errors)
	}
	return ""
}
