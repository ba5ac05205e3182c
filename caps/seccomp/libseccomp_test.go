package seccomp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
)

// tooNew are the calls in moby's profile that libseccomp 2.5.4, of Debian 12,
// has no name for. They are taken out of the profile before the verdicts are
// compared; TestCallsThatLibseccompLacks looks at them by themselves.
var tooNew = []string{
	"getxattrat", "listmount", "listxattrat", "lsm_get_self_attr", "lsm_list_modules",
	"lsm_set_self_attr", "mseal", "removexattrat", "riscv_hwprobe", "setxattrat",
	"statmount", "uretprobe",
}

// python finds an interpreter that has libseccomp's module: Debian's, which need
// not be the first in PATH.
func python(t *testing.T) string {
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(name, "-c", "import seccomp").Run() == nil {
			return name
		}
	}
	if os.Getenv("RLRUN_NO_SKIP") == "1" {
		t.Fatal("no python3 with the module seccomp, Debian's package python3-seccomp")
	}
	t.Skip("no python3 with the module seccomp, Debian's package python3-seccomp")
	return ""
}

// compared is one profile in one environment, for both compilers.
type compared struct {
	name    string
	profile string // JSON, as libseccomp's side reads it
	parse   func() *Profile
	env     Env
}

// reference is what libseccomp made of it.
type reference struct {
	Unknown []string
	Program []byte
	Refuse  [][]byte

	program []unix.SockFilter
	refuse  [][]unix.SockFilter
}

// verdict is the kernel's when all programs are loaded: the strictest one, as
// a signed number the lowest.
func (r *reference) verdict(t *testing.T, c call) uint32 {
	v, err := run(r.program, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range r.refuse {
		w, err := run(program, c)
		if err != nil {
			t.Fatal(err)
		}
		if int32(w&unix.SECCOMP_RET_ACTION_FULL) < int32(v&unix.SECCOMP_RET_ACTION_FULL) {
			v = w
		}
	}
	return v
}

// references runs all cases through libseccomp at once.
func references(t *testing.T, list []compared) []reference {
	type request struct {
		Profile json.RawMessage `json:"profile"`
		Arch    string          `json:"arch"`
		Caps    []string        `json:"caps"`
		Kernel  [2]int          `json:"kernel"`
		Refuse  []Rule          `json:"refuse,omitempty"`
	}
	var in []request
	for _, c := range list {
		in = append(in, request{json.RawMessage(c.profile), c.env.Arch, c.env.Caps.Names(), c.env.Kernel, c.parse().Refuse})
	}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python(t), "testdata/libseccomp.py")
	cmd.Stdin = bytes.NewReader(data)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	data, err = cmd.Output()
	if err != nil {
		t.Fatalf("libseccomp.py: %v\n%s", err, stderr.Bytes())
	}
	var out []reference
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	for i := range out {
		r := &out[i]
		r.program = decode(string(r.Program))
		for _, program := range r.Refuse {
			r.refuse = append(r.refuse, decode(string(program)))
		}
	}
	return out
}

// without takes names out of a profile.
func without(p *Profile, names []string) *Profile {
	for i := range p.Syscalls {
		r := &p.Syscalls[i]
		r.Names = slices.DeleteFunc(slices.Clone(r.calls()), func(s string) bool { return slices.Contains(names, s) })
		r.Name = ""
	}
	return p
}

func TestVerdictsAreLibseccomps(t *testing.T) {
	list := comparedProfiles(t)
	refs := references(t, list)
	for i, c := range list {
		t.Run(c.name, func(t *testing.T) {
			ref := &refs[i]
			for _, name := range ref.Unknown {
				if _, ok := lookup(name); ok && !slices.Contains(tooNew, name) {
					t.Errorf("libseccomp does not know %s", name)
				}
			}
			p := without(c.parse(), ref.Unknown)
			p.NewerENOSYS = false
			prog := compile(t, p, c.env)
			count, wrong := 0, 0
			probe(p, func(one call) {
				count++
				got, err := run(prog, one)
				if err != nil {
					t.Fatal(err)
				}
				want := ref.verdict(t, one)
				if other(one.arch, c.env.Arch) {
					// No program of this machine makes such a call. Profiles that list
					// the architecture all the same do not get a longer program.
					want = unix.SECCOMP_RET_KILL_THREAD
				}
				if got != want && wrong < 10 {
					wrong++
					t.Errorf("%v: %#x, libseccomp says %#x", one, got, want)
				}
			})
			t.Logf("%d calls, %d instructions, libseccomp has %d before what is refused", count, len(prog), len(ref.program))
		})
	}
}

// TestNewerCallsAreENOSYS compares with libseccomp and the stub that runc puts
// before its program.
func TestNewerCallsAreENOSYS(t *testing.T) {
	var list []compared
	for _, c := range comparedProfiles(t) {
		if strings.HasPrefix(c.name, "default") {
			list = append(list, c)
		}
	}
	refs := references(t, list)
	for i, c := range list {
		t.Run(c.name, func(t *testing.T) {
			p := without(c.parse(), refs[i].Unknown)
			if !p.NewerENOSYS {
				t.Fatal("NewerENOSYS is not set")
			}
			// The stub has one number an architecture, the highest with a name.
			last := [archCount]uint32{}
			for _, r := range p.Syscalls {
				for _, name := range r.Names {
					row, ok := lookup(name)
					if !ok {
						continue
					}
					for a := range archCount {
						if nr := number(row, a); nr != none && nr&^x32Bit < armPrivate {
							last[a] = max(last[a], nr)
						}
					}
				}
			}
			newer := func(one call) bool {
				switch one.arch {
				case unix.AUDIT_ARCH_X86_64:
					if one.nr >= x32Bit {
						return one.nr > last[archX32]
					}
					return one.nr > last[archX86_64]
				case unix.AUDIT_ARCH_I386:
					return one.nr > last[archI386]
				case unix.AUDIT_ARCH_AARCH64:
					return one.nr > last[archAarch64]
				default: // the private numbers of arm are no newer than the others
					return one.nr > last[archArm] && one.nr < armPrivate
				}
			}
			host, _ := native(c.env.Arch)
			prog := compile(t, p, c.env)
			wrong := 0
			probe(p, func(one call) {
				want := refs[i].verdict(t, one)
				if foreign := want == unix.SECCOMP_RET_KILL_THREAD; !foreign && newer(one) {
					want = enosys
				}
				if got, _ := run(prog, one); got != want && wrong < 10 {
					wrong++
					t.Errorf("%v: %#x, want %#x", one, got, want)
				}
			})
			for a := range archCount {
				if a.runsOn(host) && last[a]&^x32Bit < 450 {
					t.Errorf("the last number on architecture %d is %d", a, last[a])
				}
			}
		})
	}
}

// TestCallsThatLibseccompLacks holds a profile with all names against the one
// without those that libseccomp does not know: just their numbers may differ,
// and each where the table has it.
func TestCallsThatLibseccompLacks(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		e := Env{Arch: arch, Caps: caps.Every, Kernel: [2]int{6, 1}}
		full, cut := Default(), without(Default(), tooNew)
		full.NewerENOSYS, cut.NewerENOSYS = false, false
		a, b := compile(t, full, e), compile(t, cut, e)
		var got []string
		for _, token := range tokens {
			for _, nr := range numbers() {
				c := call{arch: token, nr: nr}
				x, _ := run(a, c)
				y, _ := run(b, c)
				if x != y {
					got = append(got, fmt.Sprintf("%#x %#x %#x %#x", token, nr, x, y))
				}
			}
		}
		host, _ := native(arch)
		var want []string
		for id := range archCount {
			if !id.runsOn(host) {
				continue
			}
			for _, name := range tooNew {
				row, ok := lookup(name)
				if !ok {
					continue // riscv_hwprobe
				}
				if nr := number(row, id); nr != none {
					want = append(want, fmt.Sprintf("%#x %#x %#x %#x", id.token(), nr, uint32(unix.SECCOMP_RET_ALLOW), uint32(unix.SECCOMP_RET_ERRNO|1)))
				}
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", arch, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestNumbersAreLibseccomps compares the whole table.
func TestNumbersAreLibseccomps(t *testing.T) {
	script := `
import json, seccomp, sys
A = seccomp.Arch
names = json.load(sys.stdin)
json.dump([[seccomp.resolve_syscall(a, n) for a in (A.X86_64, A.X86, A.X32, A.AARCH64, A.ARM)] for n in names], sys.stdout)
`
	var names []string
	for row := range callCount {
		names = append(names, callName(row))
	}
	in, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python(t), "-c", script)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var theirs [][archCount]int
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatal(err)
	}
	unknown := 0
	for row, name := range names {
		via, _ := subcall(name)
		if theirs[row][archX86_64] == -1 {
			unknown++ // no name for it on any architecture
			continue
		}
		for a := range archCount {
			if a == archI386 && via != "" {
				continue // is resolved to socketcall or ipc
			}
			got, want := int(number(row, a)), theirs[row][a]
			if got == none {
				got = -1
			}
			if got != max(want, -1) {
				t.Errorf("%s is %d on architecture %d, libseccomp has %d", name, got, a, want)
			}
		}
	}
	// 17 on Debian 12; a newer libseccomp knows more.
	if unknown > 20 {
		t.Errorf("libseccomp does not know %d of %d names", unknown, len(names))
	}
}
