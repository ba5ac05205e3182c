//go:build linux && (amd64 || arm64)

package plan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/static"
	"github.com/rl-run/rl-run/internal/static/statictest"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestApartImage(t *testing.T) {
	statictest.CheckImage(t, static.Image(static.Code(apartText(), apartMark)), statictest.Machine(runtime.GOARCH))
}

// Copied to another place it is the same program: it calls nothing, names no variable, and no branch leads out of it.
func TestApartStandsAlone(t *testing.T) {
	more := map[string][]string{"amd64": {"XORL", "MOVZX", "MOVZXB", "TESTL", "SUBL"}, "arm64": {"SUB", "MOVBU", "MOVBU.P", "MADD", "LSL"}}
	for arch, d := range dialects {
		t.Run(arch, func(t *testing.T) {
			code := disassemble(t, arch, "apartProgram")
			at := make(map[uint64]bool)
			for _, i := range code {
				at[i.address] = true
			}
			calls := 0
			for _, i := range code {
				if i.mnemonic == "?" || strings.HasPrefix(i.operands, "?") {
					break // the mark
				}
				switch {
				case i.mnemonic == d.call:
					calls++
				case calls == 12 && i.mnemonic == d.stop: // behind the last of them is the mark
					return
				case i.mnemonic == d.stop:
				case d.isBranch(i):
					if to, err := i.target(); err != nil || !at[to] {
						t.Errorf("%#x: %s %s leads elsewhere", i.address, i.mnemonic, i.operands)
					}
				case !slices.Contains(d.plain, i.mnemonic) && !slices.Contains(more[arch], i.mnemonic), strings.Contains(i.operands, "(SB)"):
					t.Errorf("%#x: %s %s: not expected here", i.address, i.mnemonic, i.operands)
				}
			}
			t.Errorf("%d system calls in %d instructions", calls, len(code))
		})
	}
}

// apartRole writes the image of this architecture.
func apartRole() error {
	_, err := os.Stdout.Write(static.Image(static.Code(apartText(), apartMark)))
	return err
}

// The program of either architecture, that of the other one under qemu-user, finds its arena and goes on in it.
func TestApartGoesOn(t *testing.T) {
	for arch, of := range map[string]struct {
		emulator         string
		exit, close, pid uint64
	}{
		"amd64": {"qemu-x86_64", 231, 3, 39},
		"arm64": {"qemu-aarch64", 94, 57, 172},
	} {
		t.Run(arch, func(t *testing.T) {
			var prefix []string
			if arch != runtime.GOARCH {
				qemu, err := exec.LookPath(of.emulator)
				if err != nil {
					qemu = trial.NeedTool(t, of.emulator+"-static")
				}
				prefix = []string{qemu}
			}
			run := func(args []string, files ...*os.File) ([]byte, int) {
				words := append(append([]string{}, prefix...), args...)
				// Programs of Go hang under qemu-user now and then.
				for range 3 {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					c := exec.CommandContext(ctx, words[0], words[1:]...)
					c.Env = append(os.Environ(), roleEnv+"=apart", "GODEBUG=asyncpreemptoff=1")
					c.ExtraFiles, c.WaitDelay = files, time.Second
					out, err := c.Output()
					late := ctx.Err() != nil
					cancel()
					if exit, is := errors.AsType[*exec.ExitError](err); err != nil && !is {
						t.Fatal(err, exit)
					}
					if !late {
						return out, c.ProcessState.ExitCode()
					}
				}
				t.Fatalf("%q does not end", words)
				return nil, 0
			}
			image, _ := run([]string{testBinary(t, arch)})
			program := t.TempDir() + "/program"
			if err := os.WriteFile(program, image, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, fails := range []bool{false, true} {
				a, err := newSharedArena()
				if err != nil {
					t.Fatal(err)
				}
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				p := newProgram(a, 4) // the second of the files that the program gets
				a.goOn(p)
				p.step = 7
				pid := p.keep(p.call(of.pid))
				if fails {
					p.call(of.close, lit(1<<20))
				}
				p.call(of.exit, lit(42))
				arena, err := unix.Dup(a.fd)
				if err != nil {
					t.Fatal(err)
				}
				f := os.NewFile(uintptr(arena), "arena")
				_, code := run([]string{program, "3"}, f, w)
				_ = w.Close()
				var record [2]int32
				err = binary.Read(r, binary.LittleEndian, &record)
				switch {
				case fails && (code != 125 || err != nil || record != [2]int32{7, int32(unix.EBADF)}):
					t.Errorf("exit code %d, record %v, %v", code, record, err)
				case !fails && (code != 42 || err == nil):
					t.Errorf("exit code %d, record %v", code, record)
				}
				if *(*uint64)(a.at(pid.v)) == 0 {
					t.Error("its results are not seen here")
				}
				_, _ = r.Close(), f.Close()
				a.free()
			}
			// No arena is a failure of its own.
			if _, code := run([]string{program, fmt.Sprint(badFD)}); code != 125 {
				t.Errorf("without an arena: exit code %d", code)
			}
		})
	}
}

// newProgram is an empty program that reports to a descriptor.
func newProgram(a *arena, control int) *program {
	p := &program{a: a, ops: a.newOps(8)}
	p.control = control
	return p
}
