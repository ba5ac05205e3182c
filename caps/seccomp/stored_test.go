package seccomp

import (
	"bytes"
	"encoding/binary"
	"flag"
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
)

var update = flag.Bool("update", false, "write the stored programs anew")

// storedSets are the capabilities for which programs are stored, by file name.
var storedSets = map[string]caps.Set{"default": caps.Default, "none": 0}

func TestStoredProgramsAreCurrent(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		for name, set := range storedSets {
			prog := compile(t, Default(), Env{Arch: arch, Caps: set, Kernel: consultedKernel})
			want := encode(prog)
			file := "stored/" + arch + "-" + name + ".bpf"
			if *update {
				if err := os.WriteFile(file, want, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s is stale, run go generate in caps/seccomp", file)
			}
			if live, _ := walk(prog); live < len(prog) {
				t.Errorf("%s: %d of %d instructions cannot be reached", file, len(prog)-live, len(prog))
			}
			t.Logf("%s: %d instructions", file, len(prog))
		}
	}
}

func TestDefaultFilterIsCompile(t *testing.T) {
	// All of the capabilities that the profile asks for, one by one, and some
	// that it does not, on both architectures and on a kernel before 4.8.
	sets := []caps.Set{0, caps.Default, caps.UpTo(40), caps.Every, caps.NetAdmin, caps.Default | caps.NetAdmin}
	for _, n := range consulted.Numbers() {
		sets = append(sets, caps.Default^1<<n)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		for _, kernel := range [][2]int{{4, 7}, {4, 8}, {6, 1}, {7, 0}} {
			for _, set := range sets {
				env := Env{Arch: arch, Caps: set, Kernel: kernel}
				got, err := DefaultFilter(env)
				if err != nil {
					t.Fatal(err)
				}
				if want := compile(t, Default(), env); !slices.Equal(got, want) {
					t.Errorf("%+v: the stored program is not that of Compile", env)
				}
			}
		}
	}
	if _, err := DefaultFilter(Env{Arch: "riscv64"}); err == nil {
		t.Error("riscv64 got a filter")
	}
}

func TestDefaultConsults(t *testing.T) {
	var want caps.Set
	kernel := Release{}
	for _, r := range Default().Syscalls {
		for _, c := range []*Condition{r.Includes, r.Excludes} {
			if c == nil {
				continue
			}
			for _, name := range c.Caps {
				set, ok := caps.Lookup(name)
				if !ok {
					t.Errorf("the default profile asks for %s, which has no name here", name)
				}
				want |= set
			}
			if c.MinKernel != nil && c.MinKernel.atLeast(kernel) {
				kernel = *c.MinKernel
			}
		}
	}
	if want != consulted {
		t.Errorf("the default profile asks for %v, not %v", want, consulted)
	}
	if kernel != consultedKernel {
		t.Errorf("the default profile asks for kernel %v, not %v", kernel, consultedKernel)
	}
}

// env is an environment of today on this machine.
func env(set caps.Set) Env {
	return Env{Arch: runtime.GOARCH, Caps: set, Kernel: [2]int{6, 1}}
}

// compile is Compile with a program that has to be valid.
func compile(t testing.TB, p *Profile, env Env) []unix.SockFilter {
	t.Helper()
	prog, err := Compile(p, env)
	if err != nil {
		t.Fatal(err)
	}
	if err := valid(prog); err != nil {
		t.Fatal(err)
	}
	return prog
}

// encode is the inverse of decode.
func encode(prog []unix.SockFilter) []byte {
	var b []byte
	for _, ins := range prog {
		b = binary.LittleEndian.AppendUint16(b, ins.Code)
		b = append(b, ins.Jt, ins.Jf)
		b = binary.LittleEndian.AppendUint32(b, ins.K)
	}
	return b
}
