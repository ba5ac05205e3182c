//go:build linux && (amd64 || arm64)

package keeper

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
const roleVar = "RLRUN_KEEPER_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVar)
	check(os.Unsetenv(roleVar))
	switch role {
	case "":
		os.Exit(m.Run())
	case "keeper":
		becomeKeeper()
	case "flood":
		flood(os.Args[1:])
	}
	fmt.Fprintf(os.Stderr, "role %s: not possible\n", role)
	os.Exit(99)
}

// setup tells becomeKeeper how to start.
type setup struct {
	Dir     string   // of the ring and the exit file
	Cap     int64    // as in Options
	Command []string // stands for init
	TTY     bool     // the output is a pseudo-terminal, not a pipe
	NoPeer  bool     // the keeper cannot hold the other side of the terminal
	Space   int      // mount a tmpfs of this size on Dir, in the mount namespace that the test made
	NoFD    bool     // no descriptor can be opened any more
	NoPID   bool     // close the write end of a pipe instead of writing the pid
	Group   string   // as in Options
	Wrong   uint64   // write this instead of the pid
	Qemu    string   // an emulator that runs Image
	Image   string
}

// The descriptors that becomeKeeper finds: a spare read end of the output and a copy of the write end, which the test
// has too.
const (
	givenRead = 3 + iota
	givenWrite
)

// becomeKeeper does what the launcher's child does: it starts init, hands over its pid, and execs the image.
func becomeKeeper() {
	runtime.LockOSThread()
	var o setup
	check(json.Unmarshal([]byte(os.Args[1]), &o))

	if o.Space != 0 {
		check(unix.Mount("none", o.Dir, "tmpfs", 0, "size="+strconv.Itoa(o.Space)))
	}
	exitFile, err := os.OpenFile(filepath.Join(o.Dir, "exit"), os.O_CREATE|os.O_RDWR, 0o600)
	check(err)
	_, err = exitFile.Write(EmptyExit())
	check(err)
	dir, err := unix.Open(o.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	check(err)

	read, write := os.NewFile(givenRead, "read"), os.NewFile(givenWrite, "write")
	stdin := os.Stdin
	if o.TTY {
		read, write = pty()
		stdin = write
	}
	path, err := exec.LookPath(o.Command[0])
	check(err)
	check(unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC))
	p, err := os.StartProcess(path, o.Command, &os.ProcAttr{
		Files: []*os.File{stdin, write, write},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL},
	})
	check(err)
	if o.NoPeer {
		refusePeer()
	}

	var fds [2]int
	check(unix.Pipe2(fds[:], unix.O_CLOEXEC))
	if !o.NoPID {
		pid := uint64(p.Pid)
		if o.Wrong != 0 {
			pid = o.Wrong
		}
		evfd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		check(err)
		_, err = unix.Write(evfd, binary.NativeEndian.AppendUint64(nil, pid))
		check(err)
		fds[0] = evfd
	}
	check(unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC))
	keep := Options{PID: 100, Output: 101, Dir: 102, Exit: 103, Cap: o.Cap, Group: o.Group}
	check(unix.Dup3(fds[0], keep.PID, 0))
	check(unix.Dup3(int(read.Fd()), keep.Output, 0))
	check(unix.Dup3(dir, keep.Dir, 0))
	check(unix.Dup3(int(exitFile.Fd()), keep.Exit, 0))
	if o.Qemu != "" {
		check(unix.Exec(o.Qemu, append([]string{o.Qemu, "-0", Name, o.Image}, Argv(keep)[1:]...), []string{}))
	}
	fd, err := MemFD()
	check(err)
	if o.NoFD {
		check(unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{}))
	}
	check(execveat(fd, Argv(keep)))
}

// refusePeer makes TIOCGPTPEER fail in this thread and what it executes, as on a kernel before 4.13.
func refusePeer() {
	const number, request = 0, 24 // offsets in struct seccomp_data, the second on little endian
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_IOCTL, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: request},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.TIOCGPTPEER, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOTTY)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	check(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	check(unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0))
}

// pty returns a master and its other side, in raw mode.
func pty() (master, peer *os.File) {
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	check(err)
	check(unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0))
	p, err := unix.IoctlGetInt(m, unix.TIOCGPTN)
	check(err)
	peer, err = os.OpenFile("/dev/pts/"+strconv.Itoa(p), os.O_RDWR|unix.O_NOCTTY, 0)
	check(err)
	term, err := unix.IoctlGetTermios(int(peer.Fd()), unix.TCGETS)
	check(err)
	term.Oflag = 0
	check(unix.IoctlSetTermios(int(peer.Fd()), unix.TCSETS, term))
	return os.NewFile(uintptr(m), "master"), peer
}

// execveat replaces this process by the program in fd. The environment is empty.
func execveat(fd int, argv []string) error {
	argvp := make([]*byte, len(argv)+1)
	for i, arg := range argv {
		p, err := unix.BytePtrFromString(arg)
		if err != nil {
			return err
		}
		argvp[i] = p
	}
	var envp, empty [1]*byte
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty)),
		uintptr(unsafe.Pointer(&argvp[0])), uintptr(unsafe.Pointer(&envp)), unix.AT_EMPTY_PATH, 0)
	return os.NewSyscallError("execveat", errno)
}

// line is the n-th of the flood's: 16 bytes.
func line(n int64) string { return fmt.Sprintf("%015x\n", n) }

// flood writes so many lines to standard output and ends with 7.
func flood(args []string) {
	lines, err := strconv.ParseInt(args[0], 10, 64)
	check(err)
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	for n := range lines {
		const hex = "0123456789abcdef"
		var b [16]byte
		for i := range 15 {
			b[i] = hex[n>>(4*(14-i))&15]
		}
		b[15] = '\n'
		_, err := out.Write(b[:])
		check(err)
	}
	check(out.Flush())
	os.Exit(7)
}

// floodOf is the command of that role.
func floodOf(lines int64) []string {
	return []string{"env", roleVar + "=flood", "/proc/self/exe", strconv.FormatInt(lines, 10)}
}

func check(err error) {
	if err != nil {
		_, _, line, _ := runtime.Caller(1)
		fmt.Fprintf(os.Stderr, "role, line %d: %v\n", line, err)
		os.Exit(98)
	}
}

// kept is a keeper with its init.
type kept struct {
	cmd  *exec.Cmd
	dir  string
	in   *os.File // init's standard input
	out  *os.File // the write end of the output
	done chan struct{}
}

// keep starts a keeper, which ends with the test.
func keep(t *testing.T, o setup) *kept {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Command[0] == "env" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		o.Command[2] = self
	}
	arg, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/proc/self/exe", string(arg))
	c.Env = append(os.Environ(), roleVar+"=keeper")
	c.Stderr = os.Stderr
	c.ExtraFiles = []*os.File{read, write}
	if o.Space != 0 {
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		}
	}
	stdin, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdin = stdin
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	read.Close()
	stdin.Close()
	k := &kept{cmd: c, dir: o.Dir, in: in, out: write, done: make(chan struct{})}
	go func() {
		_ = c.Wait()
		close(k.done)
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-k.done
		in.Close()
		write.Close()
	})
	return k
}

// end waits for the keeper's end and returns its own exit status and what it left. Nothing of the test holds the output.
func (k *kept) end(t *testing.T) (code int, s Status) {
	t.Helper()
	k.out.Close()
	select {
	case <-k.done:
	case <-time.After(30 * time.Second):
		t.Fatal("the keeper goes on")
	}
	return k.cmd.ProcessState.ExitCode(), k.status(t)
}

func (k *kept) status(t *testing.T) Status {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(k.dir, "exit"))
	if err != nil {
		t.Fatal(err)
	}
	s, ok := ParseExit(b)
	if !ok {
		t.Fatalf("exit file: %q", b)
	}
	return s
}

// ring returns what the files hold, oldest first.
func (k *kept) ring(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, name := range []string{OldLog, Log} {
		b, err := os.ReadFile(filepath.Join(k.dir, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}

// started waits until the keeper is the keeper and waits for output; it returns its pid.
func (k *kept) started(t *testing.T) int {
	t.Helper()
	pid := k.cmd.Process.Pid
	eventually(t, "keeper in ppoll", func() bool {
		return procStatus(pid, "Name") == Name && procStatus(pid, "State") == "S (sleeping)" && len(fds(t, pid)) >= 4 &&
			!strings.Contains(strings.Join(fds(t, pid), " "), "eventfd")
	})
	return pid
}

// eventually waits up to ten seconds for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	leak.Eventually(t, 10*time.Second, what, ok)
}

// procStatus returns a line of /proc/PID/status, or nothing when the process is gone.
func procStatus(pid int, key string) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return ""
	}
	for l := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(l, key+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// fds lists what the open descriptors of a process are.
func fds(t *testing.T, pid int) []string {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return nil
	}
	var targets []string
	for _, e := range entries {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name()))
		if err == nil {
			targets = append(targets, target)
		}
	}
	return targets
}

// child returns the pid of the keeper's init.
func (k *kept) child(t *testing.T) int {
	t.Helper()
	pid := k.cmd.Process.Pid
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatalf("children %q", b)
	}
	return child
}

// tell writes a line to init.
func (k *kept) tell(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(k.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
}
