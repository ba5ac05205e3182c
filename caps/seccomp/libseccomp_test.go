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

	moby "github.com/moby/profiles/seccomp"
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
	Refuse  []byte

	program, refuse []unix.SockFilter
}

// verdict is the kernel's when both programs are loaded: the stricter one, as
// a signed number the lower.
func (r *reference) verdict(t *testing.T, c call) uint32 {
	v, err := run(r.program, c)
	if err != nil {
		t.Fatal(err)
	}
	if r.refuse != nil {
		w, err := run(r.refuse, c)
		if err != nil {
			t.Fatal(err)
		}
		if int32(w&unix.SECCOMP_RET_ACTION_FULL) < int32(v&unix.SECCOMP_RET_ACTION_FULL) {
			return w
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
		if len(r.Refuse) > 0 {
			r.refuse = decode(string(r.Refuse))
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

// tokens are the architectures a call may come from: those that some profile
// lists, and some that none does.
var tokens = []uint32{
	unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_ARM,
	unix.AUDIT_ARCH_S390X, 0, 1, 0xffffffff,
}

// other reports whether a token is one of the kind of machine that goarch is not.
func other(token uint32, goarch string) bool {
	arm := token == unix.AUDIT_ARCH_AARCH64 || token == unix.AUDIT_ARCH_ARM
	intel := token == unix.AUDIT_ARCH_X86_64 || token == unix.AUDIT_ARCH_I386
	return goarch == "amd64" && arm || goarch == "arm64" && intel
}

// numbers are all numbers that calls have or are likely to get, the same with
// bits set that are not theirs, the private ones of arm, and the ends of the
// number space.
func numbers() []uint32 {
	var list []uint32
	for _, base := range []uint32{0, x32Bit, 0x80000000, 0xc0000000} {
		for n := range uint32(1024) {
			list = append(list, base+n)
		}
		for n := range uint32(64) {
			list = append(list, base-1-n, base+armPrivate-16+n)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// probe runs judge over all numbers, tokens and edges of arguments.
func probe(p *Profile, judge func(call)) {
	edges := argEdges(p)
	byNumber := map[archID]map[uint32][6][]uint64{}
	for a := range archCount {
		byNumber[a] = map[uint32][6][]uint64{}
		for name, e := range edges {
			row, ok := lookup(name)
			if !ok {
				continue
			}
			if nr := number(row, a); nr != none {
				byNumber[a][nr] = e
			}
			if via, n := subcall(name); via != "" && a == archI386 {
				row, _ := lookup(via)
				nr := number(row, a)
				sum := byNumber[a][nr]
				e[0] = append(edgesOf(uint64(n)), sum[0]...)
				for i := range 5 {
					e[i+1] = append(e[i+1], sum[i+1]...)
				}
				byNumber[a][nr] = e
			}
		}
	}
	ones := ^uint64(0)
	for _, token := range tokens {
		for _, nr := range numbers() {
			c := call{arch: token, nr: nr}
			judge(c)
			c.args = [6]uint64{ones, ones, ones, ones, ones, ones}
			judge(c)
		}
		for a := range archCount {
			if a.token() != token {
				continue
			}
			for nr, e := range byNumber[a] {
				vary(call{arch: token, nr: nr}, e, judge)
			}
		}
	}
}

// vary runs judge over the edges of each argument, while the others take some
// of theirs.
func vary(c call, edges [6][]uint64, judge func(call)) {
	for i, full := range edges {
		if full == nil {
			continue
		}
		var rest func(c call, j int)
		rest = func(c call, j int) {
			switch {
			case j == 6:
				judge(c)
			case j == i:
				for _, v := range full {
					c.args[j] = v
					rest(c, j+1)
				}
			case edges[j] == nil:
				rest(c, j+1)
			default:
				for k := range 12 {
					c.args[j] = edges[j][k*len(edges[j])/12]
					rest(c, j+1)
				}
			}
		}
		rest(c, 0)
	}
}

// number is that of a row on an architecture, as a filter sees it, or none.
func number(row int, a archID) uint32 {
	nr := uint32(callNumbers[row][a])
	switch {
	case nr == none:
	case nr >= armPrivateShort:
		nr += armPrivate - armPrivateShort
	case a == archX32:
		nr += x32Bit
	}
	return nr
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
			t.Logf("%d calls, %d instructions, libseccomp has %d", count, len(prog), len(ref.program)+len(ref.refuse))
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

// comparedProfiles are moby's profile with many sets of capabilities, and others
// that use all of the format.
func comparedProfiles(t *testing.T) []compared {
	data, err := json.Marshal(moby.DefaultProfile())
	if err != nil {
		t.Fatal(err)
	}
	var list []compared
	for _, arch := range []string{"amd64", "arm64"} {
		sets := map[string]caps.Set{
			"": caps.Default, "+SYS_ADMIN": caps.Default | caps.SysAdmin, "+ALL": caps.UpTo(40), "-ALL": 0,
			"+SYS_PTRACE,BPF": caps.Default | caps.SysPtrace | caps.Bpf, "-SYS_CHROOT": caps.Default &^ caps.SysChroot,
			"+SYS_NICE,SYS_TIME,SYSLOG": caps.Default | caps.SysNice | caps.SysTime | caps.Syslog,
		}
		for name, set := range sets {
			list = append(list, compared{"default" + name + "/" + arch, string(data), Default, Env{arch, set, [2]int{6, 1}}})
		}
		list = append(list, compared{"default-old-kernel/" + arch, string(data), Default, Env{arch, caps.Default, [2]int{4, 7}}})
		for name, text := range customProfiles() {
			parse := func() *Profile {
				p, err := Parse([]byte(text))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				return p
			}
			list = append(list, compared{name + "/" + arch, text, parse, Env{arch, caps.Default, [2]int{6, 1}}})
		}
	}
	slices.SortFunc(list, func(a, b compared) int { return strings.Compare(a.name, b.name) })
	return list
}

const allArches = `"archMap": [
	{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
	{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}]`

// customProfiles are profiles by name.
func customProfiles() map[string]string {
	list := map[string]string{}
	// Each operator with values on all sides of 32 bits, one call a value.
	calls := []string{"read", "write", "close", "dup", "getpid", "kill", "umask", "fcntl", "keyctl", "ioctl", "mount", "splice"}
	values := []uint64{0, 1, 5, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 32, 1<<32 + 5, 0xfffffffe_ffffffff, 1 << 63, ^uint64(0) - 1, ^uint64(0)}
	for _, op := range []Op{NotEqual, Less, LessEqual, Equal, GreaterEqual, Greater} {
		var rules []string
		for i, v := range values {
			rules = append(rules, fmt.Sprintf(`{"names": [%q], "action": "SCMP_ACT_ALLOW", "args": [{"index": %d, "value": %d, "op": %q}]}`,
				calls[i], i%6, v, op))
		}
		list["op "+string(op)] = fmt.Sprintf(`{"defaultAction": "SCMP_ACT_ERRNO", %s, "syscalls": [%s]}`, allArches, strings.Join(rules, ",\n"))
	}
	masks := [][2]uint64{
		{0xff, 0x41},
		{0xff, 0x1ff}, // the value has bits outside of the mask
		{0xffffffff, 0x5412},
		{0xffffffff, 1<<32 | 5},
		{0xff00000000, 0x100000000},
		{0xff00000000, 5},
		{0xffffffff00000000, 0xdeadbeef00000000},
		{^uint64(0), 1<<40 | 7},
		{0x7e020000, 0},
		{0x8000000080000000, 0x8000000000000000},
		{1, 1},
		{0xf0f0f0f0f0f0f0f0, 0},
	}
	var rules []string
	for i, m := range masks {
		rules = append(rules, fmt.Sprintf(`{"names": [%q], "action": "SCMP_ACT_ERRNO", "errnoRet": %d, "args": [{"index": %d, "value": %d, "valueTwo": %d, "op": "SCMP_CMP_MASKED_EQ"}]}`,
			calls[i], 10+i, i%6, m[0], m[1]))
	}
	list["masks"] = fmt.Sprintf(`{"defaultAction": "SCMP_ACT_ALLOW", %s, "syscalls": [%s]}`, allArches, strings.Join(rules, ",\n"))

	list["actions"] = `{"defaultAction": "SCMP_ACT_TRAP", ` + allArches + `, "syscalls": [
		{"name": "read", "action": "SCMP_ACT_ALLOW"},
		{"names": ["write"], "action": "SCMP_ACT_ERRNO"},
		{"names": ["close", "socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0},
		{"names": ["dup"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4094},
		{"names": ["getpid"], "action": "SCMP_ACT_KILL"},
		{"names": ["kill"], "action": "SCMP_ACT_KILL_THREAD"},
		{"names": ["umask"], "action": "SCMP_ACT_KILL_PROCESS"},
		{"names": ["fcntl"], "action": "SCMP_ACT_TRACE", "errnoRet": 77},
		{"names": ["keyctl"], "action": "SCMP_ACT_LOG"},
		{"names": ["ioctl"], "action": "SCMP_ACT_TRAP"},
		{"names": ["getuid", "no_such_call", "swapcontext"], "action": "SCMP_ACT_ALLOW"}]}`

	list["errno of the default action"] = `{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, ` + allArches + `, "syscalls": [
		{"names": ["read"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["write"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
		{"names": ["close"], "action": "SCMP_ACT_ERRNO"}]}`

	// All conditions of a rule, but alternatives on the same argument.
	list["several arguments"] = `{"defaultAction": "SCMP_ACT_ERRNO", ` + allArches + `, "syscalls": [
		{"names": ["keyctl"], "action": "SCMP_ACT_ALLOW", "args": [
			{"index": 0, "value": 5, "op": "SCMP_CMP_GT"}, {"index": 1, "value": 4294967301, "op": "SCMP_CMP_NE"}]},
		{"names": ["mount"], "action": "SCMP_ACT_ALLOW", "args": [
			{"index": 3, "value": 240, "valueTwo": 16, "op": "SCMP_CMP_MASKED_EQ"}, {"index": 0, "value": 3, "op": "SCMP_CMP_LE"},
			{"index": 5, "value": 18446744073709551615, "op": "SCMP_CMP_LT"}]},
		{"names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": [
			{"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 9, "op": "SCMP_CMP_EQ"},
			{"index": 1, "value": 4294967295, "op": "SCMP_CMP_GT"}]},
		{"names": ["fcntl"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}]},
		{"names": ["fcntl"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 2, "value": 7, "op": "SCMP_CMP_EQ"}]}]}`

	// Verdicts that differ by argument, without overlap.
	list["errnos by argument"] = `{"defaultAction": "SCMP_ACT_ALLOW", ` + allArches + `, "syscalls": [
		{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]},
		{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 6, "args": [{"index": 0, "value": 6, "op": "SCMP_CMP_EQ"}]},
		{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": [{"index": 0, "value": 4294967301, "op": "SCMP_CMP_EQ"}]},
		{"names": ["keyctl"], "action": "SCMP_ACT_KILL", "args": [{"index": 0, "value": 1000000, "op": "SCMP_CMP_EQ"}]},
		{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97, "args": [{"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}]},
		{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97, "args": [{"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}, {"index": 2, "value": 12, "op": "SCMP_CMP_EQ"}]}]}`

	// What comes first and what has conditions does not matter beside a rule
	// without; the default action does not count.
	list["precedence"] = `{"defaultAction": "SCMP_ACT_ERRNO", ` + allArches + `, "syscalls": [
		{"names": ["read", "read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]},
		{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9},
		{"names": ["write"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["write"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9, "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]},
		{"names": ["close"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9},
		{"names": ["close"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["dup"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
		{"names": ["dup"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]},
		{"names": ["arm_sync_file_range"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["sync_file_range2", "set_tls"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9},
		{"names": ["get_tls", "usr26", "usr32", "breakpoint"], "action": "SCMP_ACT_ALLOW"}]}`

	// Subcalls of socketcall and ipc on i386; without those for which libseccomp
	// 2.5.4 makes no rule at all when x86_64 is the machine's architecture: accept,
	// recv, send, semop and semtimedop.
	list["subcalls"] = `{"defaultAction": "SCMP_ACT_ALLOW", ` + allArches + `, "syscalls": [
		{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]},
		{"names": ["bind"], "action": "SCMP_ACT_ERRNO", "errnoRet": 2, "args": [{"index": 2, "value": 40, "op": "SCMP_CMP_EQ"}]},
		{"names": ["connect", "listen", "getsockname", "getpeername", "socketpair", "sendto", "recvfrom", "shutdown",
			"setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg",
			"semget", "semctl", "msgsnd", "msgrcv", "msgget", "msgctl", "shmat", "shmdt", "shmget", "shmctl"],
			"action": "SCMP_ACT_ERRNO", "errnoRet": 3}]}`

	for name, arches := range map[string]string{
		"no list":  ``,
		"native":   `"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],`,
		"with x86": `"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],`,
		"with x32": `"architectures": ["SCMP_ARCH_X32", "SCMP_ARCH_X86_64"],`,
		"with arm": `"architectures": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_ARM"],`,
	} {
		list["architectures "+name] = `{"defaultAction": "SCMP_ACT_ERRNO", ` + arches + ` "syscalls": [
			{"names": ["read", "getuid32", "ioctl", "cacheflush"], "action": "SCMP_ACT_ALLOW"},
			{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9, "args": [{"index": 4, "value": 4294967296, "op": "SCMP_CMP_GE"}]}]}`
	}
	list["nothing allowed"] = `{"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": []}`
	list["everything allowed"] = `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": null}`
	return list
}
