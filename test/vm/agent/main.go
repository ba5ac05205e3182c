// Agent runs in the guest of package vm, as root: it does the jobs on the second disk,
// one after the other, and writes messages about them to a port.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/test/vm"
)

// What the guest's image has, see scripts/guest/setup.
const (
	user    = "user"
	home    = "/home/user"
	slice   = "/sys/fs/cgroup/user.slice/user-1000.slice"
	service = "user@1000.service"
)

func main() {
	if err := agent(); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func agent() error {
	text, err := os.ReadFile(filepath.Join(vm.DiskDir, vm.JobsFile))
	if err != nil {
		return err
	}
	var jobs []vm.Job
	if err := json.Unmarshal(text, &jobs); err != nil {
		return err
	}
	port, err := os.OpenFile(vm.Port, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer port.Close()
	messages := &messages{to: json.NewEncoder(port)}
	go messages.beat()
	if err := prepare(); err != nil {
		return err
	}
	for _, j := range jobs {
		fmt.Printf("agent: %s begins\n", j.Name)
		end := vm.Message{Ended: true}
		if err := do(j, messages); err != nil {
			end.Error = err.Error()
			fmt.Printf("agent: %s: %v\n", j.Name, err)
			show()
		}
		if err := messages.send(end); err != nil {
			return err
		}
	}
	return nil
}

// prepare gives the user what has to be his: trees, whose files tests change through an overlay,
// and a directory on a disk.
func prepare() error {
	c := exec.Command("sh", "-euc", `
		mkdir "$2/disk"
		cp -a "$1/trees" "$2/trees"
		chown -hR "$3:" "$2/disk" "$2/trees"`, "prepare", vm.DiskDir, home, user)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("prepare %s: %w: %s", home, err, out)
	}
	return nil
}

// messages are sent about one job after the other. It is the writer of a test program's output.
type messages struct {
	mu  sync.Mutex
	to  *json.Encoder
	job int
}

// send sends a message about the job that is done at present. Behind the last message of a job it is the next.
func (m *messages) send(message vm.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	message.Job = m.job
	if message.Ended {
		m.job++
	}
	return m.to.Encode(message)
}

func (m *messages) Write(p []byte) (int, error) { return len(p), m.send(vm.Message{Output: p}) }

// beat sends a message all the time, as long as there is a port.
func (m *messages) beat() {
	for m.send(vm.Message{}) == nil {
		time.Sleep(vm.Beat)
	}
}

// do runs one job, and returns what is wrong beside its tests.
func do(j vm.Job, w io.Writer) (failed error) {
	delegated, err := delegate(j.Delegate)
	if err != nil {
		return err
	}
	if j.Root {
		if err := root(giveRoot); err != nil {
			return err
		}
		defer func() { failed = errors.Join(failed, root(takeRoot)) }()
	}
	env := append([]string{
		"RLRUN_BIN=" + vm.DiskDir + "/bin",
		"RLRUN_TREES=" + home + "/trees",
		"RLRUN_DISK=" + home + "/disk",
		"RLRUN_DELEGATED=" + delegated,
		"RLRUN_TENTH=1",
		"RLRUN_SLOW=5",
		"RLRUN_NO_SKIP=1",
	}, j.Env...)
	program := filepath.Join(vm.DiskDir, "tests", strings.ReplaceAll(j.Package, "/", ".")+".test")
	dir := filepath.Join(vm.DiskDir, "src", j.Package)
	// The shell in between is the parent of systemd's process for PAM, which a test program would
	// take for one that its tests have left behind.
	var hung atomic.Bool
	timer := time.AfterFunc(vm.Silence, func() {
		hung.Store(true)
		show()
		end(program)
	})
	script := `cd "$1" && shift && "$@"; exit $?`
	if j.Scope {
		script = inScope
	}
	err = asUser(env, alarm{w, timer}, append([]string{"sh", "-c", script, "job", dir, program}, j.Args...)...)
	timer.Stop()
	if hung.Load() {
		err = fmt.Errorf("the test has hung: nothing was said for %v, see the console:\n%w", vm.Silence, err)
	}
	return errors.Join(err, endSessions(20*time.Second))
}

// inScope is the shell of a job with Scope.
const inScope = `cd "$1" && shift && systemd-run --user --scope --quiet --property=Delegate=yes sh -euc '
	group=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup); mkdir "$group/main"; echo 0 >"$group/main/cgroup.procs"; exec "$@"' scope "$@"; exit $?`

// What a job with Root has for sudo: a setpriv that is setuid root, and a script around it.
const (
	giveRoot = `cp /usr/bin/setpriv /usr/local/sbin/as-root
		printf '#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin exec /usr/local/sbin/as-root --reuid 0 --regid 0 --clear-groups -- "$@"\n' >/usr/local/bin/sudo
		chmod 4755 /usr/local/sbin/as-root; chmod 755 /usr/local/bin/sudo`
	takeRoot = `rm /usr/local/sbin/as-root /usr/local/bin/sudo`
)

func root(script string) error {
	if out, err := exec.Command("sh", "-euc", script).CombinedOutput(); err != nil {
		return fmt.Errorf("change who may become root: %w: %s", err, out)
	}
	return nil
}

// alarm is a writer that puts off a timer.
type alarm struct {
	io.Writer
	timer *time.Timer
}

func (a alarm) Write(p []byte) (int, error) {
	a.timer.Reset(vm.Silence)
	return a.Writer.Write(p)
}

// show writes to the guest's console what runs, and what systemd has said of late.
func show() {
	for _, args := range [][]string{
		{"ps", "-ww", "--ppid=2", "--pid=2", "--deselect", "-o", "pid,ppid,user,stat,wchan:24,etimes,args"},
		{"journalctl", "--no-pager", "--output=short-monotonic", "--lines=40", "--identifier=systemd", "--identifier=dbus-daemon"},
	} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		fmt.Printf("agent: %s (%v):\n%s\n", args[0], err, out)
	}
}

// end asks a test program to quit, with the stacks of its goroutines, and soon kills all that
// is in the user's sessions.
func end(program string) {
	scopes := sessions()
	for _, scope := range scopes {
		for _, pid := range processes(scope) {
			if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); exe == program {
				_ = unix.Kill(pid, unix.SIGQUIT)
			}
		}
	}
	time.Sleep(10 * time.Second)
	for _, scope := range scopes {
		_ = os.WriteFile(scope+"/cgroup.kill", []byte("1"), 0) // it may have ended meanwhile
	}
}

// asUser runs a command in a session of the user's, as a login makes it.
func asUser(env []string, w io.Writer, args ...string) error {
	// Of type simple, which has no limit of time for its start.
	run := []string{
		"--quiet", "--pipe", "--wait", "--collect", "--service-type=simple",
		"--property=PAMName=login", "--property=User=" + user,
		"--property=LimitNOFILE=1024:1000000",
	}
	for _, e := range env {
		run = append(run, "--setenv="+e)
	}
	c := exec.Command("systemd-run", append(append(run, "--"), args...)...)
	c.Stdout, c.Stderr = w, w
	return c.Run()
}

// delegate has systemd delegate these controllers to the user, and returns what is
// delegated then.
func delegate(controllers string) (string, error) {
	if controllers == vm.None {
		// Sessions begin without it, as su and cron do without one.
		return "", systemctl("mask", "--runtime", "--now", service)
	}
	name := "/run/systemd/system/user@.service.d/delegate.conf"
	// An assignment adds to those before it, and an empty one takes them back.
	text := ""
	if controllers != "" {
		text = "[Service]\nDelegate=\nDelegate=" + controllers + "\n"
	}
	if old, _ := os.ReadFile(name); string(old) != text {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return "", err
		}
		for _, args := range [][]string{{"unmask", "--runtime", service}, {"daemon-reload"}, {"restart", service}} {
			if err := systemctl(args...); err != nil {
				return "", err
			}
		}
	}
	got, err := os.ReadFile(filepath.Join(slice, service, "cgroup.controllers"))
	if err != nil {
		return "", err
	}
	for want := range strings.FieldsSeq(controllers) {
		if !slices.Contains(strings.Fields(string(got)), want) {
			return "", fmt.Errorf("%s: asked systemd to delegate %q, got %q", service, controllers, got)
		}
	}
	return strings.TrimSpace(string(got)), nil
}

func systemctl(args ...string) error {
	if out, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// sessions are the control groups of the user's sessions.
func sessions() []string {
	scopes, _ := filepath.Glob(slice + "/session-*.scope") // the pattern is not malformed
	return scopes
}

// processes are those in a control group.
func processes(group string) (pids []int) {
	text, _ := os.ReadFile(group + "/cgroup.procs")
	for word := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// endSessions waits until the user's sessions have ended. Their processes that have not
// after the grace time are killed, through their control group, and named.
func endSessions(grace time.Duration) error {
	var left []string
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		scopes := sessions()
		switch {
		case len(scopes) == 0 && len(left) == 0:
			return nil
		case len(scopes) == 0:
			return fmt.Errorf("processes left behind by the tests, now ended:\n%s", strings.Join(left, "\n"))
		case time.Since(start) > grace+time.Minute:
			return fmt.Errorf("sessions that do not end: %q: %q", scopes, left)
		case time.Since(start) < grace || len(left) > 0:
			continue
		}
		for _, scope := range scopes {
			pids := processes(scope)
			if len(pids) == 0 {
				continue // systemd is about to remove it
			}
			left = append(left, scope+":")
			for _, pid := range pids {
				args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				left = append(left, fmt.Sprintf("%d: %s", pid, strings.ReplaceAll(string(args), "\x00", " ")))
			}
			if err := os.WriteFile(scope+"/cgroup.kill", []byte("1"), 0); err != nil {
				return err
			}
		}
	}
}
