package life

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestFromStartToRemoval(t *testing.T) {
	t.Run("init", func(t *testing.T) { fromStartToRemoval(t) })
	t.Run("command alone", func(t *testing.T) { fromStartToRemoval(t, "--init=false") })
}

func fromStartToRemoval(t *testing.T, options ...string) {
	t.Helper()
	leak.Watch(t)
	start(t, "db", patient, options...)
	ready(t, "db")
	if out := rl(t, "rl-exec", "db", "cat", "/proc/1/comm").OK(t); (out == "sh") != (len(options) > 0) {
		t.Errorf("process 1 is %q", out)
	}
	out := rl(t, "rl-ps").OK(t)
	if lines := strings.Split(out, "\n"); len(lines) != 2 || !strings.HasPrefix(lines[0], "NAME  STATE    PID") ||
		!strings.HasPrefix(lines[1], "db    running  ") || !strings.HasSuffix(lines[1], trial.Tree(t, "busybox")) {
		t.Errorf("rl-ps:\n%s", out)
	}
	rl(t, "rl-rm", "db").Fails(t, 125, "rl-run: error: remove db: it is running\n", "rl-run: hint: rl-stop db, or rl-rm -f db\n")

	waiting := wait(t, "db")
	following := trial.Command{Path: trial.Bin(t, "rl-logs"), Args: []string{"-f", "db"}}.Start(t)
	following.Stdout("ready\n")
	if out := rl(t, "rl-kill", "-s", "usr1", "db").OK(t); out != "db" {
		t.Errorf("rl-kill: %q", out)
	}
	following.Stdout("usr1\n")
	if out := rl(t, "rl-stop", "db").OK(t); out != "db" {
		t.Errorf("rl-stop: %q", out)
	}
	if out := waiting.Wait().OK(t); out != "7" {
		t.Errorf("rl-wait: %q", out)
	}
	if r := following.Wait(); r.OK(t) != "ready\nusr1\nbye" || r.Stderr != "" {
		t.Errorf("rl-logs -f: %q, %q", r.Stdout, r.Stderr)
	}

	// After the end.
	if out := rl(t, "rl-ps", "-q").OK(t); out != "" {
		t.Errorf("rl-ps: %s", out)
	}
	if out := rl(t, "rl-ps", "-a").OK(t); !strings.Contains(out, "db    exited (7)  -    sh -c ") {
		t.Errorf("rl-ps -a:\n%s", out)
	}
	if out := rl(t, "rl-wait", "db").OK(t); out != "7" {
		t.Errorf("rl-wait: %q", out)
	}
	if out := rl(t, "rl-logs", "--tail", "1", "db").OK(t); out != "bye" {
		t.Errorf("rl-logs: %q", out)
	}
	if out := rl(t, "rl-stop", "db").OK(t); out != "db" {
		t.Errorf("rl-stop of one that has ended: %q", out)
	}
	rl(t, "rl-kill", "db").Fails(t, 125, "rl-run: error: kill db: it is not running\n")
	if out := rl(t, "rl-rm", "db").OK(t); out != "db" {
		t.Errorf("rl-rm: %q", out)
	}
	if out := rl(t, "rl-ps", "-a", "-q").OK(t); out != "" {
		t.Errorf("rl-ps -a: %s", out)
	}
	if out := rl(t, "rl-rm", "-f", "db").OK(t); out != "" {
		t.Errorf("rl-rm -f of none: %q", out)
	}
}

func TestStopKillsInTime(t *testing.T) {
	leak.Watch(t)
	start(t, "a", stubborn)
	start(t, "b", stubborn)
	start(t, "c", patient)
	for _, name := range []string{"a", "b", "c"} {
		ready(t, name)
	}
	begin := time.Now()
	if out := rl(t, "rl-stop", "a", "b", "c", "a", "-t", "1").OK(t); out != "a\nb\nc" {
		t.Errorf("rl-stop: %q", out)
	}
	if took := time.Since(begin); took < time.Second || took > leak.Slow(1900*time.Millisecond) {
		t.Errorf("it took %v: one second for all of them was asked for", took)
	}
	if out := rl(t, "rl-wait", "a", "b", "c").OK(t); out != "137\n137\n7" {
		t.Errorf("rl-wait: %q", out)
	}
	start(t, "d", patient)
	begin = time.Now()
	rl(t, "rl-stop", "-t", "0", "d").OK(t)
	if took := time.Since(begin); took > leak.Slow(500*time.Millisecond) {
		t.Errorf("-t 0 took %v", took)
	}
	if out := rl(t, "rl-wait", "d").OK(t); out != "137" {
		t.Errorf("rl-wait: %q", out)
	}
}

// At once after rl-stop and rl-rm the name is free.
func TestNameAgain(t *testing.T) {
	leak.Watch(t)
	for i := range 20 {
		start(t, "db", fmt.Sprintf("exit %d", i))
		if out := rl(t, "rl-wait", "db").OK(t); out != fmt.Sprint(i) {
			t.Errorf("%d: %q", i, out)
		}
		rl(t, "rl-rm", "db").OK(t)
		start(t, "db", stubborn)
		rl(t, "rl-rm", "-f", "db").OK(t)
	}
}

func TestNamesThatAreNot(t *testing.T) {
	leak.Watch(t)
	start(t, "web", "exit 3")
	rl(t, "rl-wait", "web").OK(t)
	for _, command := range []string{"rl-stop", "rl-kill", "rl-wait", "rl-inspect", "rl-rm", "rl-logs"} {
		rl(t, command, "wob").Fails(t, 125, "wob: there is no such container (did you mean web?)\n")
		rl(t, command, "nothing-like-it").Fails(t, 125, "nothing-like-it: there is no such container\nrl-run: hint: rl-ps -a lists them\n")
		rl(t, command, "../web").Fails(t, 125, "../web: there is no such container")
		rl(t, command, "\x1b[31m").Fails(t, 125, `"\x1b[31m": there is no such container`)
		rl(t, command).Fails(t, 125, command+": NAME is missing\nrl-run: hint: "+command+" ")
	}
	// The others are done all the same.
	r := rl(t, "rl-wait", "x", "web", "y")
	r.Fails(t, 125, "wait for x: ", "wait for y: ")
	if r.Stdout != "3\n" {
		t.Errorf("%q", r.Stdout)
	}
	rl(t, "rl-stop", "-t", "soon", "web").Fails(t, 125, `--time "soon": expected whole seconds`)
	rl(t, "rl-kill", "-s", "FOO", "web").Fails(t, 125, `-s "FOO": no such signal`)
	rl(t, "rl-kill", "-s", "STOP", "web").Fails(t, 125, "-s STOP: it would stop the container's init alone", "hint: rl-exec NAME kill -STOP PID")
	for _, s := range []string{"PIPE", "URG", "TTIN", "TTOU", "CHLD"} {
		rl(t, "rl-kill", "-s", s, "web").Fails(t, 125, "-s "+s+": the container's init takes it for its own", "hint: rl-exec NAME kill -"+s+" PID")
	}
	rl(t, "rl-logs", "--tail", "x", "web").Fails(t, 125, `--tail "x": expected a number of lines`)
	rl(t, "rl-logs", "--folow", "web").Fails(t, 125, "unknown flag --folow (did you mean --follow?)")
	rl(t, "rl-ps", "web").Fails(t, 125, `rl-ps: "web" is one word too many`)
}

func TestInspect(t *testing.T) {
	leak.Watch(t)
	start(t, "db", patient, "-e", "PASSWORD=hunter2")
	ready(t, "db")
	out := rl(t, "rl-inspect", "db").OK(t)
	var list []struct {
		Name, State string
		Pid         int
		ExitCode    *int
		UIDMap      []string `json:"UidMap"`
		Namespaces  map[string]struct {
			Inode      uint64
			Host       bool
			SharedWith []string
		}
		Exec struct{ Env []string }
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	c := list[0]
	if c.Name != "db" || c.State != "running" || c.ExitCode != nil || !strings.HasPrefix(fmt.Sprint(c.UIDMap), fmt.Sprintf("[0:%d:1 ", os.Getuid())) {
		t.Errorf("%s", out)
	}
	if !slices.Contains(c.Exec.Env, "PASSWORD") || strings.Contains(out, "hunter2") {
		t.Errorf("secrets: %v", c.Exec.Env)
	}
	for _, kind := range container.Kinds {
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", c.Pid, kind))
		if err != nil {
			t.Fatal(err)
		}
		n := c.Namespaces[kind]
		if link != fmt.Sprintf("%s:[%d]", kind, n.Inode) || n.Host != (kind == "time") {
			t.Errorf("%s: %+v, %s", kind, n, link)
		}
	}
	if out := rl(t, "rl-inspect", "--show-secrets", "db").OK(t); !strings.Contains(out, "PASSWORD=hunter2") {
		t.Errorf("%s", out)
	}
	rl(t, "rl-stop", "db").OK(t)
	if out := rl(t, "rl-inspect", "db").OK(t); !strings.Contains(out, `"ExitCode": 7,`) || !strings.Contains(out, `"FinishedAt": "`) {
		t.Errorf("%s", out)
	}
}

// A container that joined the namespaces of another one is shown beside it.
func TestShared(t *testing.T) {
	leak.Watch(t)
	start(t, "a", patient)
	a, err := store().Find("a")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := store().Reserve(container.Request{Name: "b", Detached: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	defer func() {
		if err := b.Remove(); err != nil {
			t.Error(err)
		}
	}()
	if err := b.WriteState(&container.State{Init: a.State.Init, Keeper: a.State.Keeper}); err != nil {
		t.Fatal(err)
	}
	out := rl(t, "rl-ps", "--ns").OK(t)
	seen := map[string]string{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		seen[f[0]+" "+f[2]] = strings.Join(f[4:], " ")
	}
	for key, want := range map[string]string{"a net": "b", "b net": "a", "a user": "b", "a time": "the host", "NAME NAMESPACE": "SHARED WITH"} {
		if seen[key] != want {
			t.Errorf("%s: %q, want %q\n%s", key, seen[key], want, out)
		}
	}
	var list []struct {
		Name       string
		Namespaces map[string]struct{ SharedWith []string }
	}
	if err := json.Unmarshal([]byte(rl(t, "rl-ps", "--json", "--ns").OK(t)), &list); err != nil || len(list) != 2 {
		t.Fatalf("%v: %+v", err, list)
	}
	if got := list[0].Namespaces["pid"].SharedWith; len(got) != 1 || got[0] == list[0].Name {
		t.Errorf("%+v", list)
	}
}

func TestKeeperIsKilled(t *testing.T) {
	leak.Watch(t)
	start(t, "db", patient)
	ready(t, "db")
	e, err := store().Find("db")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	waiting := wait(t, "db")
	if err := unix.Kill(e.State.Keeper.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// The kernel remembers how since 6.15.
	if r := waiting.Wait(); r.Code != 0 || r.Stdout != "137\n" {
		r.Fails(t, 125, "wait for db: its exit code is not known")
	}
	out := rl(t, "rl-ps", "-a").OK(t)
	if !strings.Contains(out, "db    dead ") {
		t.Errorf("rl-ps -a:\n%s", out)
	}
	start(t, "db", "exit 1") // the name can be used again
}

func TestDamagedState(t *testing.T) {
	leak.Watch(t)
	start(t, "db", patient)
	ready(t, "db")
	dir := os.Getenv("XDG_RUNTIME_DIR") + "/rl-run/c/db/"
	if err := os.Truncate(dir+"state.json", 10); err != nil {
		t.Fatal(err)
	}
	if out := rl(t, "rl-ps").OK(t); !strings.Contains(out, "\ndb    damaged  -    -") {
		t.Errorf("rl-ps:\n%s", out)
	}
	if out := rl(t, "rl-ps", "--json").OK(t); !strings.Contains(out, `"Damage": "read `) {
		t.Errorf("rl-ps --json:\n%s", out)
	}
	for _, command := range []string{"rl-stop", "rl-kill", "rl-wait", "rl-inspect"} {
		rl(t, command, "db").Fails(t, 125, "rl-run: error: ", " db: ", "rl-run: hint: rl-rm -f db ends and removes it\n")
	}
	rl(t, "rl-rm", "db").Fails(t, 125, "hint: rl-rm -f db")
	rl(t, "rl-rm", "-f", "db").OK(t) // and its processes are gone, says package leak
}

// rl-ps looks at hundreds of containers in a moment.
func TestManyContainers(t *testing.T) {
	leak.Watch(t)
	start(t, "a", patient)
	a, err := store().Find("a")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	const n = 500
	alone := listed(t, 1)
	for i := range n - 1 {
		e, err := store().Reserve(container.Request{Base: "tree", Detached: true, Rootfs: "/srv/tree", Command: []string{"sh", fmt.Sprint(i)}})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.WriteState(&container.State{Init: a.State.Init, Keeper: a.State.Keeper}); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := e.Remove(); err != nil {
				t.Error(err)
			}
			e.Close()
		}()
	}
	// What a machine takes for it differs, so it is compared with `cat` of as many files, of a process and of a state each.
	files := make([]string, 0, 2*n)
	for range n {
		files = append(files, fmt.Sprintf("/proc/%d/stat", a.State.Init.PID), fmt.Sprintf("/proc/%d/status", a.State.Init.PID))
	}
	read := time.Hour
	for range 5 {
		begin := time.Now()
		trial.Command{Path: "/bin/cat", Args: files}.Run(t).OK(t)
		read = min(read, time.Since(begin))
	}
	all := listed(t, n)
	t.Logf("rl-ps: %v with one container, %v with %d; cat of as many files: %v", alone, all, n, read)
	if all-alone > 3*read {
		t.Errorf("rl-ps takes %v for %d containers and %v for one; cat reads as many files in %v", all, n, alone, read)
	}
}

// listed returns how long rl-ps takes with n containers, at the best.
func listed(t *testing.T, n int) time.Duration {
	t.Helper()
	least := time.Hour
	for range 5 {
		begin := time.Now()
		out := rl(t, "rl-ps").OK(t)
		least = min(least, time.Since(begin))
		if got := strings.Count(out, "running"); got != n {
			t.Fatalf("%d containers are listed", got)
		}
	}
	return least
}
