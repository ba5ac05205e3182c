package leak

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(plantEnv); what != "" {
		plant(what)
	}
	os.Exit(Tests(m).Run())
}

// plantEnv makes the test program do one thing in a new process, without tests.
const plantEnv = "RLRUN_LEAK_PLANT"

// plant does what the variable asks for and ends.
func plant(what string) {
	switch what {
	case "sleep":
		_, _ = os.Stdout.WriteString("ready\n")
		time.Sleep(time.Minute)
	case "orphan": // leaves a sleeper behind, in a session of its own
		c := planter("sleep")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := c.Start(); err != nil {
			panic(err)
		}
		fmt.Fprintln(os.Stdout, c.Process.Pid)
	case "leave-and-pass": // a test program that passes and leaves a sleeper
		os.Exit(Tests(runnerFunc(func() int {
			if err := planter("sleep").Start(); err != nil {
				panic(err)
			}
			return 0
		})).Run())
	case "exit-7":
		os.Exit(Tests(runnerFunc(func() int { return 7 })).Run())
	case "die":
		os.Exit(Tests(runnerFunc(func() int { _ = unix.Kill(os.Getpid(), unix.SIGKILL); select {} })).Run())
	}
	os.Exit(0)
}

type runnerFunc func() int

func (f runnerFunc) Run() int { return f() }

func planter(what string) *exec.Cmd {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), plantEnv+"="+what)
	return c
}

// inside runs the calling test again in new namespaces, as their root, and
// returns true there. Outside it waits and returns false.
func inside(t *testing.T, flags uintptr) bool {
	t.Helper()
	const env = "RLRUN_LEAK_INSIDE"
	if os.Getenv(env) == t.Name() {
		return true
	}
	c := exec.Command("/proc/self/exe", "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v")
	c.Env = append(os.Environ(), env+"="+t.Name())
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := c.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("inside new namespaces: %v\n%s", err, out)
	}
	return false
}

// sees fails unless exactly the leaks of that kind are found that match the patterns.
func sees(t *testing.T, before *Before, kind Kind, patterns ...string) {
	t.Helper()
	leaks, err := before.Since()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, l := range leaks {
		if l.Kind == kind {
			found = append(found, l.String())
		}
	}
	ok := len(found) == len(patterns)
	for _, p := range patterns {
		ok = ok && slices.ContainsFunc(found, regexp.MustCompile(p).MatchString)
	}
	if !ok {
		t.Errorf("%s: found %q, want %q", kind, found, patterns)
	}
}

// clean fails unless all is as before.
func clean(t *testing.T, before *Before) {
	t.Helper()
	Check(t, before)
}

func TestNothing(t *testing.T) {
	before := Snapshot(t)
	if err := exec.Command("/proc/self/exe", "-test.list=^$").Run(); err != nil {
		t.Fatal(err)
	}
	clean(t, before)
}

func TestOrphan(t *testing.T) {
	before := Snapshot(t)
	out, err := planter("orphan").Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	sees(t, before, Process, fmt.Sprintf(`^process %d \(started at tick \d+\): pid %d, parent %d, uid %d, state .*: "/proc/self/exe"$`,
		pid, pid, supervisor, os.Getuid()))
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	clean(t, before) // the supervisor reaps it
}

func TestZombie(t *testing.T) {
	before := Snapshot(t)
	c := exec.Command("/proc/self/exe", "-test.list=^$")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, c.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	sees(t, before, Process, fmt.Sprintf(`pid %d, parent %d, .* zombie`, c.Process.Pid, os.Getpid()))
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	clean(t, before)
}

func TestWholeUser(t *testing.T) {
	before := Snapshot(t, WholeUser())
	// A stranger to the tests: it is not below what the snapshot takes for the supervisor.
	before.scope.top = os.Getpid()
	before.scope.wholeUser = false
	out, err := planter("orphan").Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	sees(t, before, Process)
	before.scope.wholeUser = true
	before.scope.except = append(before.scope.except, func(l Leak) bool {
		return l.Kind == Process && !strings.HasPrefix(l.Name, fmt.Sprintf("%d ", pid))
	})
	sees(t, before, Process, fmt.Sprintf(`pid %d`, pid))
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	before.scope.except = append(before.scope.except, func(l Leak) bool { return l.Kind == Namespace })
	clean(t, before)
}

func TestNamespaceHeldByProcessAndFD(t *testing.T) {
	before := Snapshot(t)
	c := planter("sleep")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	sees(t, before, Namespace,
		fmt.Sprintf(`^namespace net:\[\d+\]: held by process %d$`, c.Process.Pid),
		fmt.Sprintf(`^namespace user:\[\d+\]: held by process %d$`, c.Process.Pid))
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) {
		t.Fatal(err)
	}
	sees(t, before, Namespace, fmt.Sprintf(`^namespace net:\[\d+\]: held by fd %d of process %d$`, ns.Fd(), os.Getpid()))
	sees(t, before, FD, `\(net:\[\d+\]\)$`)
	ns.Close()
	clean(t, before)
}

func TestMountedNamespace(t *testing.T) {
	if !inside(t, unix.CLONE_NEWNS) {
		return
	}
	dir := t.TempDir()
	before := Snapshot(t, Paths(dir))
	file := filepath.Join(dir, "net")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	name := unsharedNetwork(t, file)
	sees(t, before, Namespace, `^namespace `+regexp.QuoteMeta(name)+`: mounted on `+regexp.QuoteMeta(file)+` in mnt:\[\d+\]$`)
	sees(t, before, Mount, `^mount nsfs on `+regexp.QuoteMeta(file)+` \(mount id \d+\): `+regexp.QuoteMeta(name)+` of nsfs$`)
	sees(t, before, File, `^file `+regexp.QuoteMeta(file)+`: -`)
	if err := errors.Join(unix.Unmount(file, unix.MNT_DETACH), os.Remove(file)); err != nil {
		t.Fatal(err)
	}
	clean(t, before)
}

// unsharedNetwork binds a net namespace that no process is in to file.
func unsharedNetwork(t *testing.T, file string) (name string) {
	t.Helper()
	c := planter("sleep")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	link := fmt.Sprintf("/proc/%d/ns/net", c.Process.Pid)
	name, err := os.Readlink(link)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(link, file, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestMount(t *testing.T) {
	if !inside(t, unix.CLONE_NEWNS) {
		return
	}
	dir := t.TempDir()
	before := Snapshot(t)
	if err := unix.Mount("planted", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	sees(t, before, Mount, `^mount tmpfs on `+regexp.QuoteMeta(dir)+` \(mount id \d+\): / of planted$`)
	during := Snapshot(t)
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	clean(t, before)
	sees(t, during, Mount, `^mount tmpfs on `+regexp.QuoteMeta(dir)+` \(mount id \d+\) is gone`)
}

// TestCgroup plants a directory in a stand-in for the hierarchy, and a real group too
// where the caller may make one.
func TestCgroup(t *testing.T) {
	real, err := cgroupRoots()
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range append(real, t.TempDir()) {
		before := Snapshot(t, func(s *scope) { s.cgroups = []string{root} })
		group := filepath.Join(root, fmt.Sprintf("planted-%d", os.Getpid()))
		if err := os.Mkdir(group, 0o700); err != nil {
			t.Fatal(err)
		}
		sees(t, before, Cgroup, `^cgroup `+regexp.QuoteMeta(group)+`: processes: $`)
		if err := os.Remove(group); err != nil {
			t.Fatal(err)
		}
		clean(t, before)
	}
}

func TestFile(t *testing.T) {
	runtime := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	t.Setenv("TMPDIR", t.TempDir())
	before := Snapshot(t)
	state := filepath.Join(runtime, "rl-run", "container", "state.json")
	temporary := filepath.Join(os.TempDir(), "rl-run-planted")
	if err := errors.Join(os.MkdirAll(filepath.Dir(state), 0o700), os.WriteFile(state, nil, 0o600), unix.Mkfifo(temporary, 0o600)); err != nil {
		t.Fatal(err)
	}
	sees(t, before, File, `rl-run: d`, `rl-run/container: d`, `rl-run/container/state.json: -`, `^file `+temporary+`: p`)
	if err := errors.Join(os.RemoveAll(filepath.Join(runtime, "rl-run")), os.Remove(temporary)); err != nil {
		t.Fatal(err)
	}
	clean(t, before)
}

func TestFD(t *testing.T) {
	before := Snapshot(t)
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	sees(t, before, FD, fmt.Sprintf(`^fd %d \(/dev/null\)$`, f.Fd()))
	f.Close()
	clean(t, before)
}

func TestWaitIsPatient(t *testing.T) {
	dir := t.TempDir()
	before := Snapshot(t, Paths(filepath.Join(dir, "*")))
	file := filepath.Join(dir, "late")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if leaks, err := before.Wait(100 * time.Millisecond); err != nil || len(leaks) != 1 || time.Since(start) < 100*time.Millisecond {
		t.Errorf("after %v: %v, %v", time.Since(start), leaks, err)
	}
	removed := make(chan error, 1)
	time.AfterFunc(100*time.Millisecond, func() { removed <- os.Remove(file) })
	if leaks, err := before.Wait(time.Minute); err != nil || len(leaks) != 0 {
		t.Errorf("%v, %v", leaks, err)
	}
	if err := <-removed; err != nil {
		t.Error(err)
	}
}

// recorder is a test that takes down its failures and clean-ups.
type recorder struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (r *recorder) Helper() {}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func TestWatchReports(t *testing.T) {
	dir := t.TempDir()
	r := &recorder{TB: t}
	Watch(r, Paths(filepath.Join(dir, "*")))
	for _, name := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range r.cleanups {
		f()
	}
	want := fmt.Sprintf("not as before within 2s:\n\tfile %s/one: ----------\n\tfile %[1]s/two: ----------", dir)
	if !slices.Equal(r.failures, []string{want}) {
		t.Errorf("reported %q, want %q", r.failures, want)
	}
}

func TestSupervisorExitCodes(t *testing.T) {
	for what, want := range map[string]int{"exit-7": 7, "die": 128 + int(unix.SIGKILL)} {
		err := planter(what).Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != want {
			t.Errorf("%s: %v, want exit code %d", what, err, want)
		}
	}
}

func TestSupervisorEndsWhatIsLeft(t *testing.T) {
	c := planter("leave-and-pass")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	err := c.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(stderr.String(), "leak: left behind by the tests: pid ") {
		t.Errorf("%v, %q", err, stderr.String())
	}
}
