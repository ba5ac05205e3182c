package plan

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// goBuild runs the go command for an architecture.
func goBuild(t *testing.T, arch string, args ...string) string {
	t.Helper()
	cmd := exec.Command(trial.NeedTool(t, "go"), args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// testBinary builds the tests of this package, with symbols.
func testBinary(t *testing.T, arch string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plan.test")
	goBuild(t, arch, "test", "-c", "-o", path, ".")
	return path
}

// TestOtherArchitecture runs the interpreter of the other architecture under
// qemu-user. That knows no clone3(2), so the launcher's own thread takes the part
// of the child: the system call at the begin of start is replaced by its result.
func TestOtherArchitecture(t *testing.T) {
	arch, emulator := "arm64", "qemu-aarch64"
	if runtime.GOARCH == "arm64" {
		arch, emulator = "amd64", "qemu-x86_64"
	}
	qemu, err := exec.LookPath(emulator)
	if err != nil {
		qemu = trial.NeedTool(t, emulator+"-static")
	}
	binary := testBinary(t, arch)
	interpret := func(name string) (code int, record []byte, stderr string) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		cmd := exec.Command(qemu, binary, name)
		cmd.Env = append(os.Environ(), roleEnv+"=interpreter")
		cmd.ExtraFiles = []*os.File{w}
		var text bytes.Buffer
		cmd.Stderr = &text
		err = cmd.Run()
		_ = w.Close()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if record, err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), record, text.String()
	}
	check := func(name string, wantCode int, want error) {
		t.Run(name, func(t *testing.T) {
			code, record, stderr := interpret(name)
			if want == nil {
				if code != wantCode || len(record) != 0 {
					t.Errorf("exit code %d, record %x, want exit code %d\n%s", code, record, wantCode, stderr)
				}
				return
			}
			errno := uint32(errUnwanted)
			if e, ok := errors.AsType[unix.Errno](want); ok {
				errno = uint32(e)
			}
			var expected [8]byte
			binaryOrder.PutUint32(expected[:], 1)
			binaryOrder.PutUint32(expected[4:], errno)
			if code != 125 || !bytes.Equal(record, expected[:]) {
				t.Errorf("exit code %d, record %x, want 125 and %x\n%s", code, record, expected, stderr)
			}
		})
	}
	for _, c := range interpreterCases {
		check(c.name, c.code, c.err)
	}
	check(execRole, 7, nil)

	code, _, stderr := interpret(cloneRole)
	t.Logf("clone3 under %s: exit code %d, %s", filepath.Base(qemu), code, strings.TrimSpace(stderr))
}

var binaryOrder = binary.LittleEndian

// Arguments of the interpreter's role beside the names of interpreterCases.
const (
	execRole  = "exec behind failures"
	cloneRole = "clone"
)

// interpreterRole becomes the child that a plan would have cloned. Reports go to
// fd 3.
func interpreterRole() error {
	var pl Plan
	pl.Add(Parent, StartInit{}, "")
	switch name := os.Args[1]; name {
	case execRole:
		pl.Add(Init, Exec{Paths: []string{"/none", "/etc/passwd/x", "/bin/sh"}, Argv: []string{"sh", "-c", "exit $N"}, Env: []string{"N=7"}}, "")
	case cloneRole:
		pl.Add(Init, raw(func(p *program) { exit(p, lit(0)) }), "")
	default:
		for _, c := range interpreterCases {
			if c.name == name {
				pl.Add(Init, raw(c.ops), "")
			}
		}
	}
	c, err := Prepare(pl, Options{})
	if err != nil {
		return err
	}
	if os.Args[1] == cloneRole {
		if err := c.Start(); err != nil {
			return err
		}
		ws, err := wait(c.PID)
		if err == nil && ws != 0 {
			err = fmt.Errorf("status %#x", ws)
		}
		return err
	}
	c.machine.control = 3
	if err := cloneReturnsZero(); err != nil {
		return err
	}
	all := ^uint64(0)
	if err := setSigmask(&all, nil); err != nil {
		return err
	}
	start(c.args, unsafe.Sizeof(*c.args), c.first, c.machine)
	return errors.New("start has returned")
}

// cloneReturnsZero puts, in the place of start's first system call, the
// instruction that sets its result to 0. An emulator sees the change.
func cloneReturnsZero() error {
	call, zero := []byte{0x0f, 0x05}, []byte{0x31, 0xc0} // SYSCALL; XORL AX, AX
	if runtime.GOARCH == "arm64" {
		call, zero = []byte{0x01, 0x00, 0x00, 0xd4}, []byte{0xe0, 0x03, 0x1f, 0xaa} // SVC; MOVD ZR, R0
	}
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer exe.Close()
	f, err := elf.NewFile(exe)
	if err != nil {
		return err
	}
	symbols, err := f.Symbols()
	if err != nil {
		return err
	}
	for _, s := range symbols {
		if !strings.HasSuffix(s.Name, "/plan.start.abi0") {
			continue
		}
		page := uintptr(unix.Getpagesize())
		begin, end := uintptr(s.Value)&^(page-1), (uintptr(s.Value+s.Size)+page-1)&^(page-1)
		// Not unix.Mprotect: the text is no memory of Go's.
		if _, _, e := unix.Syscall(unix.SYS_MPROTECT, begin, end-begin, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC); e != 0 {
			return os.NewSyscallError("mprotect", e)
		}
		var code []byte
		header := (*[3]uintptr)(unsafe.Pointer(&code))
		header[0], header[1], header[2] = uintptr(s.Value), uintptr(s.Size), uintptr(s.Size)
		at := bytes.Index(code, call)
		if at < 0 {
			return errors.New("no system call in start at " + strconv.FormatUint(s.Value, 16))
		}
		copy(code[at:], zero)
		return nil
	}
	return errors.New("no symbol plan.start.abi0")
}
