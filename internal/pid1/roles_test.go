//go:build linux && (amd64 || arm64)

package pid1

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
)

// The tests start this binary again in one of these roles, chosen by the environment.
const roleVar = "RLRUN_PID1_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVar)
	check(os.Unsetenv(roleVar))
	switch role {
	case "":
		os.Exit(m.Run())
	case "init":
		becomeInit(os.Args[1:])
	case "launcher":
		launch(os.Args[1:])
	case "blocked":
		becomeBlocked(os.Args[1:])
	case "stand-in":
		becomeStandIn(os.Args[1:])
	}
	fmt.Fprintf(os.Stderr, "role %s: not possible\n", role)
	os.Exit(99)
}

// initOptions tell becomeInit how to start; they are passed as arguments, then "--", then the command.
type initOptions struct {
	parent  string        // third argument of the init: a pid, "any", "detached", or empty for process 1
	delay   time.Duration // between the start of the command and the exec
	noPid   bool          // close the write end of a pipe instead of writing the pid
	wrong   uint64        // write this instead of the pid
	proc    string        // mount a /proc with this list of children, in the mount namespace that the test made
	ignored bool          // exec with SIGCHLD ignored
	open    bool          // exec with no signal blocked
	qemu    string        // an emulator that runs image
	image   string
}

func (o initOptions) args(command ...string) []string {
	return append([]string{
		o.parent, o.delay.String(), strconv.FormatBool(o.noPid), strconv.FormatUint(o.wrong, 10),
		o.proc, strconv.FormatBool(o.ignored), strconv.FormatBool(o.open), o.qemu, o.image, "--",
	}, command...)
}

// becomeInit does what the launcher's child does: it starts the command, hands over its pid, and execs the image. The
// command "blocked" is the role of that name.
func becomeInit(args []string) {
	runtime.LockOSThread()
	signal.Notify(make(chan os.Signal, 100)) // nothing ends this process before the exec
	delay, err := time.ParseDuration(args[1])
	check(err)
	noPid, proc, ignored, open := args[2] == "true", args[4], args[5] == "true", args[6] == "true"
	qemu, image, command := args[7], args[8], args[10:]

	var argv []string
	const pidFD = 100
	switch args[0] {
	case "":
		argv = Argv(pidFD)
	case "any":
		argv = TreeArgv(pidFD, AnyParent)
	case "detached":
		argv = TreeArgv(pidFD, Detached)
	default:
		parent, err := strconv.Atoi(args[0])
		check(err)
		argv = TreeArgv(pidFD, parent)
	}
	if len(argv) > 2 {
		check(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	}

	if command[0] == "blocked" {
		command[0] = "/proc/self/exe"
		check(os.Setenv(roleVar, "blocked"))
	}
	path, err := exec.LookPath(command[0])
	check(err)
	p, err := os.StartProcess(path, command, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	check(err)
	time.Sleep(delay)

	if !open {
		blockAll()
	}
	if ignored {
		signal.Ignore(unix.SIGCHLD)
	}

	var fds [2]int
	check(unix.Pipe2(fds[:], unix.O_CLOEXEC))
	if !noPid {
		pid := uint64(p.Pid)
		if wrong, err := strconv.ParseUint(args[3], 10, 64); err == nil && wrong != 0 {
			pid = wrong
		}
		evfd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		check(err)
		_, err = unix.Write(evfd, binary.NativeEndian.AppendUint64(nil, pid))
		check(err)
		fds[0] = evfd
	}
	check(unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC))
	check(unix.Dup3(fds[0], pidFD, 0))

	if proc != "" {
		check(unix.Mount("none", "/proc", "tmpfs", 0, ""))
		check(os.Mkdir("/proc/thread-self", 0o755))
		check(os.WriteFile("/proc/thread-self/children", []byte(proc), 0o644))
	}
	if qemu != "" {
		check(unix.Exec(qemu, append([]string{qemu, "-0", Name, image}, argv[1:]...), []string{}))
	}
	fd, err := MemFD()
	check(err)
	check(execveat(fd, argv, nil))
}

// execveat replaces this process by the program in fd.
func execveat(fd int, argv, env []string) error {
	argvp := make([]*byte, len(argv)+1)
	for i, arg := range argv {
		p, err := unix.BytePtrFromString(arg)
		if err != nil {
			return err
		}
		argvp[i] = p
	}
	envp, err := syscall.SlicePtrFromStrings(env) //nolint:forbidigo // package unix has no such function
	if err != nil {
		return err
	}
	var empty [1]*byte
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty)),
		uintptr(unsafe.Pointer(&argvp[0])), uintptr(unsafe.Pointer(&envp[0])), unix.AT_EMPTY_PATH, 0)
	return os.NewSyscallError("execveat", errno)
}

// launch stands for the launcher in tree mode: it starts an init with its own pid as the parent, tells that pid, and
// waits to be killed, or ends at once when its first argument says so.
func launch(args []string) {
	runtime.LockOSThread()
	args[1] = strings.ReplaceAll(args[1], "SELF", strconv.Itoa(os.Getpid()))
	c := exec.Command("/proc/self/exe", args[1:]...)
	c.Env = append(os.Environ(), roleVar+"=init")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	switch args[0] {
	case "gone":
		c.SysProcAttr = nil
	case "outer":
		c.SysProcAttr = newNamespaces(unix.CLONE_NEWUSER | unix.CLONE_NEWPID)
		c.SysProcAttr.Pdeathsig = unix.SIGKILL
	}
	check(c.Start())
	fmt.Fprintf(os.NewFile(3, "report"), "%d\n", c.Process.Pid)
	if args[0] != "gone" {
		_ = c.Wait()
		time.Sleep(time.Hour)
	}
	os.Exit(0)
}

// becomeBlocked execs a program with all signals blocked, so that /proc/PID/status lists those that arrived.
func becomeBlocked(args []string) {
	blockAll()
	path, err := exec.LookPath(args[0])
	check(err)
	check(unix.Exec(path, args, os.Environ()))
}

// blockAll blocks all signals in this thread, whose mask the next exec keeps.
func blockAll() {
	runtime.LockOSThread()
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	check(unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil))
}

func check(err error) {
	if err != nil {
		_, _, line, _ := runtime.Caller(1)
		fmt.Fprintf(os.Stderr, "role, line %d: %v\n", line, err)
		os.Exit(98)
	}
}

// newNamespaces maps the caller to root in a user namespace made with the others.
func newNamespaces(flags uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
}

// start returns the init of command, not yet started: process 1 of new namespaces, or a plain process under qemu.
func start(t *testing.T, o initOptions, command ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command("/proc/self/exe", o.args(command...)...)
	c.Env = append(os.Environ(), roleVar+"=init")
	c.Stderr = os.Stderr
	c.SysProcAttr = newNamespaces(unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS)
	if o.qemu != "" {
		c.SysProcAttr = nil
	}
	return c
}

// started starts c, which is killed at the end of the test, and waits until it is the init.
func started(t *testing.T, c *exec.Cmd) int {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	awaitInit(t, c.Process.Pid)
	return c.Process.Pid
}

// awaitInit waits until the process has done its preparations and waits for signals.
func awaitInit(t *testing.T, pid int) {
	t.Helper()
	eventually(t, "init in rt_sigtimedwait", func() bool {
		return status(t, pid, "Name") == Name && status(t, pid, "State") == "S (sleeping)" && len(fds(t, pid)) <= 1 // the list of children
	})
}

// eventually waits up to ten seconds for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	leak.Eventually(t, 10*time.Second, what, ok)
}

// status returns a line of /proc/PID/status, or nothing when the process is gone.
func status(t *testing.T, pid int, key string) string {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), key+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// signals reads a signal set of /proc/PID/status.
func signals(t *testing.T, pid int, key string) uint64 {
	t.Helper()
	set, err := strconv.ParseUint(status(t, pid, key), 16, 64)
	if err != nil {
		t.Fatalf("status of %d: %v", pid, err)
	}
	return set
}

// fds lists the open descriptors of a process.
func fds(t *testing.T, pid int) []string {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// children lists the children of a process, zombies too.
func children(t *testing.T, pid int) []int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for word := range strings.FieldsSeq(string(b)) {
		child, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, child)
	}
	return pids
}

// onlyChild returns the command of an init that was started with "blocked sleep", and kills it at the end.
func onlyChild(t *testing.T, init int) int {
	t.Helper()
	pids := children(t, init)
	if len(pids) != 1 {
		t.Fatalf("children %d, want one", pids)
	}
	t.Cleanup(func() { _ = unix.Kill(pids[0], unix.SIGKILL) })
	eventually(t, "sleep", func() bool { return status(t, pids[0], "Name") == "sleep" })
	return pids[0]
}
