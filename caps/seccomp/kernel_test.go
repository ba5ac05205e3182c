package seccomp

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
)

// The tests of this file load programs into the running kernel. A filter cannot
// be taken off again, so that each is loaded in a process of its own, which is
// this test program again with childVar in its environment.
const childVar = "RLRUN_TEST_SECCOMP"

func TestMain(m *testing.M) {
	if what := os.Getenv(childVar); what != "" {
		runtime.LockOSThread() // filter and no_new_privs are the thread's
		if err := child(what); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child does one of the jobs of this file.
func child(what string) error {
	switch what {
	case "default":
		return underDefault()
	case "costs":
		return costs()
	}
	return errors.New("no such job")
}

// load sets no_new_privs and loads a program for this thread.
func load(prog []unix.SockFilter) (time.Duration, error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	start := time.Now()
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog)))
	took := time.Since(start)
	runtime.KeepAlive(prog)
	if errno != 0 {
		return 0, os.NewSyscallError("seccomp", errno)
	}
	return took, nil
}

// underDefault loads the default filter and makes some calls under it.
func underDefault() error {
	prog, err := DefaultFilter(env(caps.Default))
	if err != nil {
		return err
	}
	if _, err := load(prog); err != nil {
		return err
	}
	const x = ^uintptr(0)
	for _, c := range []struct {
		name       string
		nr, a, b   uintptr
		want       unix.Errno
		mayBeOther bool // any errno but EPERM and ENOSYS will do
	}{
		{"getpid", unix.SYS_GETPID, 0, 0, 0, false},
		{"ioctl TIOCSTI", unix.SYS_IOCTL, x, unix.TIOCSTI, unix.EPERM, false},
		{"ioctl TIOCLINUX", unix.SYS_IOCTL, x, unix.TIOCLINUX, unix.EPERM, false},
		{"ioctl TIOCSTI with high bits", unix.SYS_IOCTL, x, 1<<32 | unix.TIOCSTI, unix.EPERM, false},
		{"ioctl TIOCGWINSZ", unix.SYS_IOCTL, x, unix.TIOCGWINSZ, unix.EBADF, false},
		{"keyctl", unix.SYS_KEYCTL, 0, 0, unix.EPERM, false},
		{"add_key", unix.SYS_ADD_KEY, 0, 0, unix.EPERM, false},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, 0, 0, unix.EPERM, false},
		{"clone3", unix.SYS_CLONE3, 0, 0, unix.ENOSYS, false},
		{"clone NEWUSER", unix.SYS_CLONE, unix.CLONE_NEWUSER, 0, unix.EPERM, false},
		{"unshare", unix.SYS_UNSHARE, 0, 0, unix.EPERM, false},
		{"mount", unix.SYS_MOUNT, 0, 0, unix.EPERM, false},
		{"ptrace", unix.SYS_PTRACE, x, 0, 0, true},
		{"chroot", unix.SYS_CHROOT, 0, 0, 0, true},
		{"socket AF_VSOCK", unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, unix.EPERM, false},
		{"socket AF_ALG", unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET, unix.EPERM, false},
		{"socket AF_UNIX of no type", unix.SYS_SOCKET, unix.AF_UNIX, 0, 0, true},
		{"personality of now", unix.SYS_PERSONALITY, 0xffffffff, 0, 0, false},
		{"personality READ_IMPLIES_EXEC", unix.SYS_PERSONALITY, 0x400000, 0, unix.EPERM, false},
		{"a call after the last known", 600, 0, 0, unix.ENOSYS, false},
		{"a call between the known", 400, 0, 0, unix.EPERM, false},
	} {
		_, _, errno := unix.RawSyscall6(c.nr, c.a, c.b, 0, 0, 0, 0)
		if c.mayBeOther {
			if errno == unix.ENOSYS || errno == unix.EPERM && c.name != "chroot" {
				return fmt.Errorf("%s: %w", c.name, errno)
			}
			continue
		}
		if errno != c.want {
			return fmt.Errorf("%s: errno %v, want %v", c.name, int(errno), int(c.want))
		}
	}
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return err
	}
	for _, want := range []string{"\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n"} {
		if !strings.Contains(string(status), want) {
			return fmt.Errorf("status lacks %q", want)
		}
	}
	return nil
}

// again runs this program as a child and returns its output.
func again(t *testing.T, what string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childVar+"="+what)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestDefaultFilterInTheKernel(t *testing.T) {
	again(t, "default")
}

// TestCosts prints what a filter costs, it does not judge: shared machines are
// slow at times. The filter of one test after the other is what the search is
// good against.
func TestCosts(t *testing.T) {
	t.Log("\n" + again(t, "costs"))
}

// costs measures loading and running programs, each in a new thread.
func costs() error {
	stored, err := DefaultFilter(env(caps.Default))
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name string
		prog []unix.SockFilter
	}{
		{"search over ranges", stored},
		{"one number after the other", linear()},
	} {
		best := time.Hour
		var ioctl time.Duration
		for range 50 {
			type result struct {
				load, ioctl time.Duration
				err         error
			}
			done := make(chan result)
			go func() {
				runtime.LockOSThread() // never unlocked: the thread ends with the function
				took, err := load(c.prog)
				// ioctl, whose arguments are looked at, is not in the kernel's list of
				// calls that are always allowed.
				start := time.Now()
				for range 1000 {
					_, _, _ = unix.RawSyscall(unix.SYS_IOCTL, ^uintptr(0), 0, 0)
				}
				done <- result{took, time.Since(start), err}
			}()
			r := <-done
			if r.err != nil {
				return r.err
			}
			if r.load < best {
				best, ioctl = r.load, r.ioctl
			}
		}
		fmt.Printf("%s: %d instructions, loaded in %v, an ioctl in %v\n", c.name, len(c.prog), best, ioctl/1000)
	}
	return nil
}

// linear is a program of one comparison for each number that the default profile
// allows, on the machine's architecture and its 32-bit one.
func linear() []unix.SockFilter {
	stored, _ := DefaultFilter(env(caps.Default))
	host, _ := native(runtime.GOARCH)
	second := archI386
	if host == archAarch64 {
		second = archArm
	}
	var prog []unix.SockFilter
	for _, a := range []archID{host, second} {
		var section []unix.SockFilter
		for nr := range uint32(lastNumber) {
			if v, _ := run(stored, call{arch: a.token(), nr: nr}); v == unix.SECCOMP_RET_ALLOW {
				section = append(section, unix.SockFilter{Code: opEqual, Jf: 1, K: nr}, unix.SockFilter{Code: opReturn, K: unix.SECCOMP_RET_ALLOW})
			}
		}
		prog = append(prog,
			unix.SockFilter{Code: opLoad, K: offArch},
			unix.SockFilter{Code: opEqual, Jt: 1, K: a.token()},
			unix.SockFilter{Code: opJump, K: uint32(len(section)) + 1},
			unix.SockFilter{Code: opLoad, K: offNumber})
		prog = append(prog, section...)
	}
	return append(prog, unix.SockFilter{Code: opReturn, K: unix.SECCOMP_RET_ERRNO | 1})
}

func BenchmarkStored(b *testing.B) {
	for b.Loop() {
		if _, err := DefaultFilter(env(caps.Default)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompileDefault(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(Default(), env(caps.Default)); err != nil {
			b.Fatal(err)
		}
	}
}
