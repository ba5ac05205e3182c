package hostile

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bpfAttr is what both uses of bpf(2) here take: an array map of one element.
type bpfAttr struct{ mapType, keySize, valueSize, maxEntries uint32 }

// callAttempts are system calls by which a command may try to get at what is not its own. Each gives an errno, 0 for
// success.
var callAttempts = map[string]func() unix.Errno{
	"keyctl": func() unix.Errno {
		const session = ^uintptr(2) // KEY_SPEC_SESSION_KEYRING, -3
		return call(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, session, 1)
	},
	"add_key": func() unix.Errno {
		const process = ^uintptr(1) // KEY_SPEC_PROCESS_KEYRING, -2
		kind, name := []byte("user\x00"), []byte("rl-run-test\x00")
		return call(unix.SYS_ADD_KEY, address(kind), address(name), address(name), 4, process)
	},
	"socket AF_ALG":   func() unix.Errno { return call(unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET, 0) },
	"socket AF_VSOCK": func() unix.Errno { return call(unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0) },
	"userfaultfd of user mode": func() unix.Errno {
		return call(unix.SYS_USERFAULTFD, 1) // UFFD_USER_MODE_ONLY
	},
	"userfaultfd of all modes": func() unix.Errno { return call(unix.SYS_USERFAULTFD, 0) },
	"bpf, a map": func() unix.Errno {
		attr := bpfAttr{2, 4, 4, 1} // BPF_MAP_TYPE_ARRAY
		return call(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	},
	"bpf, no such command": func() unix.Errno {
		attr := bpfAttr{}
		return call(unix.SYS_BPF, 9999, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	},
	"perf_event_open": func() unix.Errno {
		// The caller's own time on the processor, outside of the kernel: what kernel.perf_event_paranoid=2 allows.
		attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_TASK_CLOCK, Bits: unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv}
		attr.Size = uint32(unsafe.Sizeof(attr))
		return call(unix.SYS_PERF_EVENT_OPEN, uintptr(unsafe.Pointer(&attr)), 0, ^uintptr(0), ^uintptr(0), 0)
	},
	"io_uring_setup": func() unix.Errno {
		var params [120]byte
		return call(unix.SYS_IO_URING_SETUP, 1, address(params[:]))
	},
	"mount": func() unix.Errno {
		kind, target := []byte("tmpfs\x00"), []byte("/mnt\x00")
		return call(unix.SYS_MOUNT, address(kind), address(target), address(kind), 0, 0)
	},
	"fsopen": func() unix.Errno {
		kind := []byte("tmpfs\x00")
		return call(unix.SYS_FSOPEN, address(kind), 0)
	},
	"unshare NEWNS":   func() unix.Errno { return call(unix.SYS_UNSHARE, unix.CLONE_NEWNS) },
	"unshare NEWUTS":  func() unix.Errno { return call(unix.SYS_UNSHARE, unix.CLONE_NEWUTS) },
	"unshare NEWUSER": cloneUser,
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }

// call makes a system call. What its arguments point at is reachable by who made them.
func call(number uintptr, args ...uintptr) unix.Errno {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	return errno
}

// cloneUser makes a child in a new user namespace. unshare(2) wants a single thread, which a Go program has not.
func cloneUser() unix.Errno {
	child := exec.Command("/proc/self/exe")
	child.Env = []string{attackEnv + "=clone"}
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	err := child.Run()
	var errno unix.Errno
	if err != nil && !errors.As(err, &errno) {
		return unix.EIO
	}
	return errno
}

func attackCalls([]string) error {
	found := map[string]unix.Errno{}
	for name, attempt := range callAttempts {
		// A thread that has left a namespace is not to come back: it ends with its goroutine.
		done := make(chan unix.Errno)
		go func() {
			runtime.LockOSThread()
			done <- attempt()
		}()
		found[name] = <-done
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

// TestCalls says for each call what errno it gives by default, and without the filter, where only the kernel's own
// checks are left; the control makes it on the host, as root of an id map in a mount namespace.
func TestCalls(t *testing.T) {
	tree := begin(t)
	decode := func(text string) (found map[string]unix.Errno) {
		check(t, json.Unmarshal([]byte(text), &found))
		return found
	}
	byDefault := decode(inside(t, "calls", tree, nil).Run(t).OK(t))
	withoutFilter := decode(inside(t, "calls", tree, unconfined).Run(t).OK(t))
	withAll := decode(inside(t, "calls", tree, slices.Concat(unconfined, []string{"--cap-add=ALL"})).Run(t).OK(t))
	free := decode(outside(t, "calls", rooted(t)).Run(t).OK(t))

	for name, want := range map[string]struct {
		byDefault  unix.Errno
		privileged bool // without the filter CAP_SYS_ADMIN is what is missing
		control    []unix.Errno
	}{
		"keyctl":                   {unix.EPERM, false, []unix.Errno{0, unix.ENOKEY}},
		"add_key":                  {unix.EPERM, false, []unix.Errno{0}},
		"socket AF_ALG":            {unix.EPERM, false, []unix.Errno{0, unix.EAFNOSUPPORT}},
		"socket AF_VSOCK":          {unix.EPERM, false, []unix.Errno{0, unix.EAFNOSUPPORT, unix.ENODEV}},
		"userfaultfd of user mode": {unix.EPERM, false, []unix.Errno{0}},
		// Behind the filter these three are what vm.unprivileged_userfaultfd, kernel.unprivileged_bpf_disabled
		// and kernel.perf_event_paranoid say.
		"userfaultfd of all modes": {unix.EPERM, false, []unix.Errno{0, unix.EPERM}},
		"bpf, a map":               {unix.EPERM, false, []unix.Errno{0, unix.EPERM}},
		"perf_event_open":          {unix.EPERM, false, []unix.Errno{0, unix.EACCES}},
		"bpf, no such command":     {unix.EPERM, false, []unix.Errno{unix.EINVAL}},
		"io_uring_setup":           {unix.EPERM, false, []unix.Errno{0}},
		"mount":                    {unix.EPERM, true, []unix.Errno{0}},
		"fsopen":                   {unix.EPERM, true, []unix.Errno{0}},
		"unshare NEWNS":            {unix.EPERM, true, []unix.Errno{0}},
		"unshare NEWUTS":           {unix.EPERM, true, []unix.Errno{0}},
		"unshare NEWUSER":          {unix.EPERM, false, []unix.Errno{0}},
	} {
		expect := func(where string, found map[string]unix.Errno, errnos ...unix.Errno) {
			t.Helper()
			got, made := found[name]
			for _, e := range errnos {
				if made && got == e {
					return
				}
			}
			t.Errorf("%s, %s: errno %d (%v), want one of %d", name, where, int(got), got, errnos)
		}
		expect("by default", byDefault, want.byDefault)
		expect("control", free, want.control...)
		if want.privileged {
			expect("unconfined", withoutFilter, unix.EPERM)
		} else {
			expect("unconfined", withoutFilter, free[name])
		}
		expect("unconfined, with all capabilities", withAll, free[name])
	}
	if len(byDefault) != len(callAttempts) {
		t.Errorf("%d calls were made", len(byDefault))
	}
}
