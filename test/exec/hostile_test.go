package exec

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/runtimedir"
	"github.com/rl-run/rl-run/internal/trial"
)

// hostile starts a container whose command has all that a container can have, and watches who joins.
func hostile(t *testing.T, role string) (r *trial.Running, pid int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r = trial.Command{Timeout: 4 * time.Minute, Args: []string{
		"--name", "hostile", "--net=none", "--cap-add=ALL", "--security-opt", "seccomp=unconfined", "--security-opt", "unmask=ALL",
		"-v", self + ":/spy:ro", "-e", spyEnv + "=" + role, trial.Tree(t, "busybox"), "/spy",
	}}.Start(t)
	r.Stdout("ready\n")
	soon(t, "it is listed", func() bool {
		e, err := container.Open(runtimedir.New(os.Getenv("XDG_RUNTIME_DIR"), os.Getuid())).Find("hostile")
		if err != nil {
			return false
		}
		defer e.Close()
		pid = e.State.Init.PID
		return pid != 0
	})
	return r, pid
}

// told ends it, and returns how many processes it has looked at, and what it has seen.
func told(t *testing.T, r *trial.Running) (int, []sighting) {
	t.Helper()
	r.Signal(unix.SIGTERM)
	out := r.Wait().OK(t)
	var report struct {
		Processes int
		Seen      []sighting
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(out, "ready\n")), &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return report.Processes, report.Seen
}

// joins runs a command that joins the container, with a secret in its environment and a directory of the host open.
func joins(t *testing.T, path string, args ...string) trial.Result {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/"+marker, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := trial.Command{
		Path: path, Args: args, Dir: dir, Env: []string{secretName + "=" + secretValue}, Files: []*os.File{f, f, f},
		Stdin: trial.StdinText("text"), Timeout: 20 * time.Second,
	}.Run(t)
	if strings.Contains(r.Stdout, marker) || strings.Contains(r.Stdout, secretValue) {
		t.Errorf("%q: the command came to see the host: %s", args, r.Stdout)
	}
	return r
}

// The root of a container stops and looks at each process that joins, and swaps what it opens: it gets nothing.
func TestHostileContainer(t *testing.T) {
	leak.Watch(t)
	for _, role := range []string{"look", "swap"} {
		r, _ := hostile(t, role)
		ran := 0
		for n := range trial.Mass(300) {
			args := [][]string{
				{"hostile", "/bin/true"},
				{"hostile", "/bin/evil"},
				{"-t", "hostile", "/bin/true"},
				{"-u", "joe", "hostile", "/bin/true"},
				{"-w", "/work", "hostile", "ls", "-a"},
				{"-i=false", "hostile", "/bin/evil"},
				{"-d", "hostile", "/bin/true"},
				{"-d", "hostile", "/bin/evil"},
				{"-d", "-w", "/work", "hostile", "/bin/true"},
			}[n%9]
			if got := joins(t, trial.Bin(t, "rl-exec"), args...); got.Code == 0 {
				ran++
			}
		}
		looked, seen := told(t, r)
		t.Logf("%s: %d commands ran, %d processes were looked at", role, ran, looked)
		for _, s := range seen {
			t.Errorf("%s: the container saw %s: %s", role, s.Where, s.What)
		}
		if looked < trial.Mass(300)/3 || ran < trial.Mass(300)/4 {
			t.Errorf("%s: %d processes were looked at, %d commands ran: that is no race", role, looked, ran)
		}
	}
}

// A container's root kills who joins, and looks at it while it ends, when on some kernels nothing hides its descriptors: a file of the
// host is not among them, nor is the caller's terminal where the command has another one (here, a pipe).
func TestKilledWhileJoining(t *testing.T) {
	leak.Watch(t)
	tree := trial.Tree(t, "busybox")
	for name, c := range map[string]struct {
		program string
		args    []string
		pipes   bool // are the command's
	}{
		"command":                 {"rl-exec", []string{"hostile", "sleep", "1"}, true},
		"command with a terminal": {"rl-exec", []string{"-t", "hostile", "sleep", "1"}, false},
		"detached command":        {"rl-exec", []string{"-d", "hostile", "sleep", "1"}, false},
		"container":               {"rl-run", []string{"--pid=container:hostile", "--net=none", tree, "sleep", "1"}, true},
		"container with terminal": {"rl-run", []string{"-t", "--pid=container:hostile", "--net=none", tree, "sleep", "1"}, false},
	} {
		r, _ := hostile(t, "kill")
		for range trial.Mass(100) {
			joins(t, trial.Bin(t, c.program), c.args...)
		}
		looked, seen := told(t, r)
		kinds := map[string]int{}
		for _, s := range seen {
			kinds[s.What]++
			if strings.Contains(s.What, "of the host") || strings.Contains(s.What, "host's") || strings.Contains(s.What, "pipe:") && !c.pipes {
				t.Errorf("%s: the container saw %s: %s", name, s.Where, s.What)
			}
		}
		t.Logf("%s: %d processes were killed; seen: %v", name, looked, kinds)
		if looked < trial.Mass(100) {
			t.Errorf("%s: %d processes were killed: that is no race", name, looked)
		}
	}
}

// Nor does it get anything of a container that shares its namespaces.
func TestHostileOwner(t *testing.T) {
	leak.Watch(t)
	for _, role := range []string{"look", "swap"} {
		r, _ := hostile(t, role)
		ran := 0
		for n := range trial.Mass(100) {
			args := []string{"--pid=container:hostile", "--net=none", trial.Tree(t, "busybox"), "/bin/true"}
			switch n % 4 {
			case 1:
				args = append([]string{"-t", "--ipc=container:hostile"}, args...)
			case 2:
				args = append([]string{"-u", "1000"}, args...)
			case 3:
				args[1] = "--net=container:hostile"
			}
			if got := joins(t, trial.Bin(t, "rl-run"), args...); got.Code == 0 {
				ran++
			} else {
				t.Errorf("%q: %d, %s", args, got.Code, got.Stderr)
			}
		}
		looked, seen := told(t, r)
		t.Logf("%s: %d containers ran, %d processes were looked at", role, ran, looked)
		for _, s := range seen {
			t.Errorf("%s: the container saw %s: %s", role, s.Where, s.What)
		}
		if looked < trial.Mass(100)/3 {
			t.Errorf("%s: %d processes were looked at: that is no race", role, looked)
		}
	}
}

// The same watcher sees through nsenter.
func TestHostileContainerSeesOthers(t *testing.T) {
	leak.Watch(t)
	nsenter := trial.NeedTool(t, "nsenter")
	r, pid := hostile(t, "watch")
	for range 30 {
		joins(t, nsenter, "-t", strconv.Itoa(pid), "-U", "--preserve-credentials", "-m", "-p", "-n", "-i", "-u", "-C", "/bin/sleep", "0.02")
	}
	_, seen := told(t, r)
	for _, where := range []string{"environ", "fd", "pidfd_getfd", "mem"} {
		if !slices.ContainsFunc(seen, func(s sighting) bool { return s.Where == where }) {
			t.Errorf("nothing was seen of %s: %q", where, seen)
		}
	}
	t.Logf("%d sightings", len(seen))
}
