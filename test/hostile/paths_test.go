package hostile

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// TestWorkingDirectoryOfALeakedFile has -w lead through a directory of the host that the caller has open, as
// CVE-2024-21626 did with a descriptor that the launcher itself had forgotten.
func TestWorkingDirectoryOfALeakedFile(t *testing.T) {
	tree := begin(t)
	bwrap := trial.NeedTool(t, "bwrap")
	o := newCanary(t)
	const attack = "echo changed >hosts; cat sub/file"
	f, err := os.Open(o.dir)
	check(t, err)
	defer f.Close()
	var files []*os.File
	for range 8 {
		files = append(files, f)
	}
	for fd := range 16 {
		for _, form := range []string{"/proc/self/fd/%d", "/proc/self/fd/%d/sub/..", "/proc/1/fd/%d", "/proc/thread-self/fd/%d"} {
			for _, options := range [][]string{nil, unconfined} {
				dir := fmt.Sprintf(form, fd)
				r := trial.Command{Args: script(append([]string{"-w", dir}, options...), tree, attack), Files: files}.Run(t)
				if strings.Contains(r.Stdout, "canary") || r.Code == 0 {
					t.Errorf("-w %s %q: exit code %d, stdout %q", dir, options, r.Code, r.Stdout)
				}
				o.alive(t, "-w "+dir)
			}
		}
	}
	lead := []string{"--ro-bind", tree, "/", "--proc", "/proc", "--chdir", "/proc/self/fd/5", "sh", "-c", attack}
	r := trial.Command{Path: bwrap, Args: lead, Files: files}.Run(t)
	if !strings.Contains(r.Stdout, "canary") || !o.changed(t) {
		t.Errorf("control: %+v", r)
	}
}

// TestLeakedFiles leaves files of the host open for the command, of rl-run and of rl-exec.
func TestLeakedFiles(t *testing.T) {
	tree := begin(t)
	bwrap := trial.NeedTool(t, "bwrap")
	o := newCanary(t)
	f, err := os.OpenFile(o.dir+"/hosts", os.O_RDWR|os.O_APPEND, 0)
	check(t, err)
	defer f.Close()
	files := []*os.File{f, f, f}
	const attack = "for fd in 3 4 5 6 7 8 9; do { echo changed >&$fd; } 2>/dev/null && echo wrote to $fd; done; cd /proc/self/fd; echo *"
	tried := func(what string, r trial.Result) {
		t.Helper()
		// The shell itself has the directory open.
		if out := r.OK(t); strings.Contains(out, "wrote") || !strings.HasPrefix(out, "0 1 2") {
			t.Errorf("%s: %q", what, out)
		}
		o.alive(t, what)
	}
	tried("rl-run", trial.Command{Args: script(nil, tree, attack), Files: files}.Run(t))
	tried("rl-run, unconfined", trial.Command{Args: script(unconfined, tree, attack), Files: files}.Run(t))
	for what, options := range map[string][]string{"rl-exec": nil, "rl-exec, unconfined": unconfined} {
		trial.Run(t, slices.Concat([]string{"-d", "--quiet", "--net=none", "--name", "open"}, options, []string{tree, "sleep", "1000"})...).OK(t)
		tried(what, trial.Command{Path: trial.Bin(t, "rl-exec"), Args: []string{"open", "sh", "-c", attack}, Files: files}.Run(t))
		trial.Command{Path: trial.Bin(t, "rl-rm"), Args: []string{"-f", "open"}}.Run(t).OK(t)
	}

	r := trial.Command{Path: bwrap, Args: []string{"--ro-bind", tree, "/", "--proc", "/proc", "--dev", "/dev", "sh", "-c", attack}, Files: files}.Run(t)
	if !strings.Contains(r.Stdout, "wrote to 3") || !o.changed(t) {
		t.Errorf("control: %+v", r)
	}
}

// TestStateDirectory binds the directory in which the state of containers is: their root is the caller's uid, and could
// write there what the next rl-exec would believe.
func TestStateDirectory(t *testing.T) {
	tree := begin(t)
	bwrap := trial.NeedTool(t, "bwrap")
	trial.Run(t, "-d", "--quiet", "--net=none", "--name", "state", tree, "sleep", "1000").OK(t)
	runtime := os.Getenv("XDG_RUNTIME_DIR")
	const below = "/rl-run/c/state"
	before := listing(t, runtime+"/rl-run")
	link := t.TempDir() + "/link"
	check(t, os.Symlink(runtime, link))
	for _, source := range []string{
		runtime, runtime + "/rl-run", runtime + "/rl-run/c", runtime + below, runtime + below + "/state.json", runtime + below + "/exit",
		runtime + "/../" + runtime[strings.LastIndex(runtime, "/")+1:], link, link + below, "/proc/self/root" + runtime, "/",
	} {
		for _, options := range [][]string{
			{"-v", source + ":/state"},
			{"-v", source + ":/state:ro"},
			{"--mount", "type=bind,source=" + source + ",destination=/state"},
			{"--rw", "-v", source + ":/state"},
			append([]string{"-v", source + ":/state"}, unconfined...),
		} {
			r := trial.Run(t, script(options, tree, "echo started")...)
			if !refused(r) || !strings.Contains(r.Stderr, "state") {
				t.Errorf("%q: %+v", options, r)
			}
		}
	}
	for _, root := range []string{runtime, runtime + "/..", link, "/"} {
		if r := trial.Run(t, "--quiet", "--rw", root, "true"); !refused(r) || !strings.Contains(r.Stderr, "--rw "+root+": the state of ") {
			t.Errorf("--rw %s: %+v", root, r)
		}
	}
	if after := listing(t, runtime+"/rl-run"); after != before {
		t.Errorf("the state is now\n%s\nand was\n%s", after, before)
	}
	attack := "echo >/state" + below + "/config.json"
	r := trial.Command{Path: bwrap, Args: []string{"--ro-bind", tree, "/", "--bind", runtime, "/mnt", "sh", "-c", strings.Replace(attack, "/state/", "/mnt/", 1)}}.Run(t)
	r.OK(t)
	if listing(t, runtime+"/rl-run") == before {
		t.Error("control: the state is as it was")
	}
	trial.Command{Path: trial.Bin(t, "rl-rm"), Args: []string{"-f", "state"}}.Run(t).OK(t)
}

// TestStatePlace makes the directory of states where it would be looked for, but is missing or unfit, in a directory that
// a container is given.
func TestStatePlace(t *testing.T) {
	tree := begin(t)
	bwrap := trial.NeedTool(t, "bwrap")
	top, other := t.TempDir(), t.TempDir()
	project := top + "/project"
	run := project + "/run"
	check(t, os.Mkdir(project, 0o700))
	const attack = "cd /mnt/project && { [ -d run ] || rm -f run; } && mkdir -p run/rl-run/starts && chmod -R 700 run && echo made"
	for name, prepare := range map[string]func() error{
		"missing": func() error { return nil },
		"unfit":   func() error { return errors.Join(os.Mkdir(run, 0o700), os.Chmod(run, 0o775)) },
		"a link":  func() error { return os.Symlink("nowhere", run) },
		"a file":  func() error { return os.WriteFile(run, nil, 0o600) },
	} {
		check(t, errors.Join(os.RemoveAll(run), prepare()))
		start := func(args ...string) trial.Result {
			return trial.Command{Args: append([]string{"--quiet", "--net=none"}, args...), Env: []string{"XDG_RUNTIME_DIR=" + run}}.Run(t)
		}
		for _, args := range [][]string{
			{"-v", top + ":/mnt", tree, "sh", "-c", attack},
			{"-v", project + ":/mnt/project", tree, "sh", "-c", attack},
			{"--mount", "type=bind,source=" + project + ",destination=/mnt/project", tree, "sh", "-c", attack},
			{"--rw", project, "true"},
		} {
			if r := start(args...); !refused(r) || !strings.Contains(r.Stderr, "which no container may reach") {
				t.Errorf("%s, %q: %+v", name, args, r)
			}
		}
		if r := start("-v", other+":/mnt", tree, "echo", "started"); r.OK(t) != "started" {
			t.Errorf("%s, another directory: %+v", name, r)
		}
		trial.Command{Path: bwrap, Args: []string{"--ro-bind", tree, "/", "--bind", top, "/mnt", "sh", "-c", attack}}.Run(t).OK(t)
		if r := start(tree, "true"); r.Code != 0 || len(listing(t, run+"/rl-run")) == 0 {
			t.Errorf("%s, control: %+v", name, r)
		}
	}
}

// TestControlGroups writes to the hierarchy of control groups, in which the caller's own may be writable for his uid.
func TestControlGroups(t *testing.T) {
	tree := begin(t)
	// Errors of the shell begin with its name; what says "wrote" came through.
	const attack = `cd $0 && {
		mkdir rl-run-test && echo wrote: mkdir && rmdir rl-run-test
		for f in cgroup.procs cgroup.threads cgroup.subtree_control cgroup.kill cgroup.freeze memory.max pids.max cpu.max; do
			[ ! -e $f ] || { echo 0 >$f; } && [ -e $f ] && echo wrote: $f
		done; :; } 2>&1`
	again := "mount -o remount,rw /sys/fs/cgroup 2>/dev/null; mount -o remount,rw,bind /sys/fs/cgroup 2>/dev/null; umount /sys/fs/cgroup 2>/dev/null; "
	for _, options := range [][]string{nil, {"--cgroupns=host"}, {"--rw"}, unconfined, {"--cap-add=SYS_ADMIN", "--security-opt", "seccomp=unconfined"}} {
		text := strings.ReplaceAll(again+attack, "$0", "/sys/fs/cgroup")
		out := trial.Run(t, script(options, tree, text)...).OK(t)
		// Where nothing is mounted there, the directory is an empty mount point of sysfs, in which nothing can be made.
		if strings.Contains(out, "wrote") || !strings.Contains(out, "mkdir: can't create directory 'rl-run-test': ") {
			t.Errorf("%q: %s", options, out)
		}
		if strings.Contains(out, "Permission denied") {
			t.Errorf("%q: only the owner of the files keeps it from writing: %s", options, out)
		}
	}
	// Mounted to be written, it is the owner of the files alone who decides.
	lead := rooted(t)
	free := "mount -t cgroup2 cgroup2 /mnt && " + strings.ReplaceAll(attack, "$0", "/mnt")
	r := trial.Command{Path: lead[0], Args: append(lead[1:], "--cgroup", "sh", "-c", free)}.Run(t)
	if out := r.OK(t); strings.Contains(out, "Read-only") || !strings.Contains(out, "Permission denied") && !strings.Contains(out, "wrote") {
		t.Errorf("control: %s", out)
	}
}
