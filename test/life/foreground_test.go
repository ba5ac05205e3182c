package life

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// front starts a container in the foreground whose script writes ready.
func front(t *testing.T, script string, options ...string) *trial.Running {
	t.Helper()
	r := trial.Command{Args: append(append([]string{"--net=none"}, options...), trial.Tree(t, "busybox"), "sh", "-c", script)}.Start(t)
	r.Stdout("ready\n")
	return r
}

// listedSoon waits until rl-ps lists one container, and returns its name.
func listedSoon(t *testing.T) string {
	t.Helper()
	var list []struct {
		Name, State string
		Pid         int
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		out := rl(t, "rl-ps", "--json").OK(t)
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatal(err)
		}
		if len(list) == 1 && list[0].State == "running" {
			return list[0].Name
		}
	}
	t.Fatalf("%+v", list)
	return ""
}

// Those in the foreground are listed, too, and vanish with their end.
func TestForeground(t *testing.T) {
	for _, options := range [][]string{{"--name", "fg"}, nil} {
		leak.Watch(t)
		r := front(t, patient, options...)
		name := listedSoon(t)
		if options != nil && name != "fg" || options == nil && !strings.HasPrefix(name, "busybox-") {
			t.Errorf("it is named %q", name)
		}
		rl(t, "rl-logs", name).Fails(t, 125, "read the log of "+name+": it runs in the foreground")
		waiting := wait(t, name)
		if out := rl(t, "rl-stop", name).OK(t); out != name {
			t.Errorf("rl-stop: %q", out)
		}
		if got := r.Wait(); got.Code != 7 {
			t.Errorf("exit code %d: %s", got.Code, got.Stderr)
		}
		if got := waiting.Wait(); got.Code != 0 || got.Stdout != "7\n" {
			got.Fails(t, 125, "its exit code is not known")
		}
		if out := rl(t, "rl-ps", "-a", "-q").OK(t); out != "" {
			t.Errorf("rl-ps -a: %s", out)
		}
	}
}

func TestForegroundIsRemoved(t *testing.T) {
	leak.Watch(t)
	r := front(t, stubborn, "--name", "fg")
	listedSoon(t)
	rl(t, "rl-rm", "fg").Fails(t, 125, "remove fg: it is running")
	if out := rl(t, "rl-rm", "-f", "fg").OK(t); out != "fg" {
		t.Errorf("rl-rm: %q", out)
	}
	if got := r.Wait(); got.Code != 137 {
		t.Errorf("exit code %d: %s", got.Code, got.Stderr)
	}
}

// The launcher is killed: the container ends, the next start with its name works at once, and no command is needed for the
// state to vanish.
func TestForegroundLauncherIsKilled(t *testing.T) {
	leak.Watch(t)
	for range 5 {
		r := front(t, stubborn, "--name", "fg")
		listedSoon(t)
		r.Signal(unix.SIGKILL)
		r.Wait()
	}
	gone(t, os.Getenv("XDG_RUNTIME_DIR"), "rl-run/c")
	r := front(t, stubborn) // which gets a name only behind its start
	listedSoon(t)
	r.Signal(unix.SIGKILL)
	r.Wait()
	gone(t, os.Getenv("XDG_RUNTIME_DIR"), "rl-run/c")
}

// Without its heir a container goes on, and its launcher removes what is to be removed.
func TestHeirIsKilled(t *testing.T) {
	leak.Watch(t)
	r := front(t, patient, "--name", "fg")
	listedSoon(t)
	all, err := leak.Descendants(r.Pid)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(p leak.Proc) bool { return p.Comm == "rl-heir" && p.Parent == r.Pid })
	if i < 0 {
		t.Fatalf("no heir: %v", all)
	}
	if err := unix.Kill(all[i].PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	rl(t, "rl-exec", "fg", "true").OK(t)
	rl(t, "rl-stop", "fg").OK(t)
	if got := r.Wait(); got.Code != 7 {
		t.Errorf("exit code %d: %s", got.Code, got.Stderr)
	}
	if present(os.Getenv("XDG_RUNTIME_DIR"), "rl-run/c") {
		t.Error("the state is there still")
	}
}

func TestNameInUse(t *testing.T) {
	leak.Watch(t)
	start(t, "db", patient)
	for _, mode := range []string{"-d", "-i=false"} {
		r := trial.Run(t, mode, "--net=none", "--name", "db", trial.Tree(t, "busybox"), "true")
		r.Fails(t, 125, `name "db" is in use by a running container`)
	}
	rl(t, "rl-stop", "db").OK(t)
	trial.Run(t, "--net=none", "--name", "db", trial.Tree(t, "busybox"), "true").Fails(t, 125, `name "db" is in use by a container that has ended`)
}

// What happens to a running container's state does not stop it, nor those that are started after it.
func TestRuntimeDirectoryVanishes(t *testing.T) {
	leak.Watch(t)
	r := front(t, patient, "--name", "fg")
	listedSoon(t)
	dir := os.Getenv("XDG_RUNTIME_DIR") + "/rl-run"
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if out := rl(t, "rl-ps", "-a", "-q").OK(t); out != "" {
		t.Errorf("rl-ps: %q", out)
	}
	start(t, "fg", "exit 4")
	if out := rl(t, "rl-wait", "fg").OK(t); out != "4" {
		t.Errorf("rl-wait: %q", out)
	}
	r.Signal(unix.SIGTERM)
	if got := r.Wait(); got.Code != 7 {
		t.Errorf("exit code %d: %s", got.Code, got.Stderr)
	}
	// The first one's end did not touch the second one's state.
	if out := rl(t, "rl-wait", "fg").OK(t); out != "4" {
		t.Errorf("rl-wait: %q", out)
	}
}

// rl-wait tells of each that ran when it was called, in whatever order they end.
func TestWaitForSeveral(t *testing.T) {
	leak.Watch(t)
	a, b := front(t, patient, "--name", "a"), front(t, patient, "--name", "b")
	waiting := wait(t, "a", "b")
	rl(t, "rl-kill", "b").OK(t)
	b.Wait()
	rl(t, "rl-stop", "a").OK(t)
	a.Wait()
	if out := waiting.Wait().OK(t); out != "7\n137" {
		t.Errorf("rl-wait: %q", out)
	}
}
