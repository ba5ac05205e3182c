package seccomp

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	moby "github.com/moby/profiles/seccomp"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
)

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ profile, want string }{
		{``, "line 1: unexpected end of JSON input"},
		{"{\n\n\"syscalls\": [,]}", "line 3: invalid character ',' looking for beginning of value"},
		{`[]`, "line 1: profile: not an object"},
		{`{}`, "defaultAction: missing"},
		{`{"defaultAction": "ALLOW"}`, `defaultAction: unknown action "ALLOW"`},
		{`{"defaultAction": 7}`, "line 1: defaultAction: not a string"},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}`, "defaultAction: action SCMP_ACT_ALLOW: takes no errno"},
		{`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}`, "defaultAction: errnoRet 4096: not 0 to 4095"},
		{`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": -1}`, "line 1: defaultErrnoRet: not a number in range"},
		{`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "EFOO"}`, `defaultAction: unknown errno "EFOO"`},
		{`{"defaultAction": "SCMP_ACT_NOTIFY"}`, "defaultAction: action SCMP_ACT_NOTIFY: there is no listener to notify"},
		{with(`{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}`), "syscalls[0]: action SCMP_ACT_NOTIFY: there is no listener to notify"},
		{with(`{"names": ["read"], "action": "SCMP_ACT_ALLOW"}, {"names": ["read"], "action": "SCMP_ACT_DENY"}`), `syscalls[1]: unknown action "SCMP_ACT_DENY"`},
		{with(`{"names": ["read"]}`), `syscalls[0]: unknown action ""`},
		{with(`null`), `syscalls[0]: unknown action ""`},
		{with(`{"names": ["read"], "name": "write", "action": "SCMP_ACT_ALLOW"}`), "syscalls[0]: name: names is given as well"},
		{with(`{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}`), "syscalls[0]: args[0]: index 6: not 0 to 5"},
		{with(`{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "op": "=="}]}`), `syscalls[0]: args[0]: unknown operator "=="`},
		{with("{\n\"names\": [\"read\"],\n\"args\": [{\"value\": 1e30}]}"), "line 3: syscalls.args.value: not a number in range"},
		{with(`{"names": ["read"], "action": "SCMP_ACT_KILL", "errnoRet": 1}`), "syscalls[0]: action SCMP_ACT_KILL: takes no errno"},
		{with(`{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "5"}}`), `minKernel "5": not of the form 6.1`},
		{with(`{"names": ["read"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "5.4.3"}}`), `minKernel "5.4.3": not of the form 6.1`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["x86_64"]}`, `architectures: unknown architecture "x86_64"`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["i386"]}]}`, `archMap: unknown architecture "i386"`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_ARM"], "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]}`, "architectures: archMap is given as well"},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["LOG"]}`, `flags: unknown flag "LOG"`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}`, "flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: there is no listener to notify"},
	} {
		p, err := Parse([]byte(c.profile))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s\ngot  %v\nwant %s", c.profile, err, c.want)
		}
		if p != nil && err != nil {
			t.Errorf("%s: a profile beside an error", c.profile)
		}
	}
}

// with is a profile with some rules.
func with(rules string) string {
	return `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [` + rules + `]}`
}

func TestParseTakesWhatItDoesNotKnow(t *testing.T) {
	p, err := Parse([]byte(`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS", "comment": "x", "listenerPath": "/x",
		"flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"],
		"architectures": ["SCMP_ARCH_S390X", "SCMP_ARCH_X86"],
		"syscalls": [{"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW", "comment": "y", "args": null, "includes": {}, "excludes": {"minKernel": ""}},
			{"names": null, "action": "SCMP_ACT_ERRNO", "errno": "EINVAL"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	flags, err := p.FilterFlags()
	if want := uint(unix.SECCOMP_FILTER_FLAG_LOG | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW); flags != want || err != nil {
		t.Errorf("flags %#x, %v, want %#x", flags, err, want)
	}
	if !p.NewerENOSYS {
		t.Error("NewerENOSYS is not set")
	}
	prog := compile(t, p, Env{Arch: "amd64"})
	for nr, want := range map[uint32]uint32{
		0: unix.SECCOMP_RET_ERRNO | 38, // minKernel "" is any, and excludes the rule
		1: unix.SECCOMP_RET_ERRNO | 38,
	} {
		if got, _ := run(prog, call{arch: unix.AUDIT_ARCH_X86_64, nr: nr}); got != want {
			t.Errorf("number %d: %#x, want %#x", nr, got, want)
		}
	}
}

func TestMobysOwnJSONIsDefault(t *testing.T) {
	// Through JSON and past it, the same profile has to come out.
	data, err := json.Marshal(moby.DefaultProfile())
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	p.Refuse = Default().Refuse
	if got, want := compile(t, p, env(caps.Default)), compile(t, Default(), env(caps.Default)); !slices.Equal(got, want) {
		t.Error("the profile in JSON gives another program")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := `{"defaultAction": "SCMP_ACT_ALLOW"}`
	pad := func(size int) string { return good + strings.Repeat(" ", size-len(good)) }
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file("good", good):              "",
		file("largest", pad(1<<20)):     "",
		file("too-large", pad(1<<20+1)): "read " + dir + "/too-large: larger than 1 MiB",
		file("bad", "{\n"):              "parse " + dir + "/bad: line 2: unexpected end of JSON input",
		file("empty", ""):               "parse " + dir + "/empty: line 1: unexpected end of JSON input",
		fifo:                            "read " + dir + "/fifo: not a regular file",
		dir:                             "read " + dir + ": not a regular file",
		"/dev/zero":                     "read /dev/zero: not a regular file",
		dir + "/none":                   "open " + dir + "/none: no such file or directory",
	} {
		start := time.Now()
		p, err := Load(path)
		if time.Since(start) > 5*time.Second {
			t.Errorf("%s: waited", path)
		}
		if got := text(err); got != want || (p == nil) != (want != "") {
			t.Errorf("%s: %v, %q, want %q", path, p, got, want)
		}
		var pathErr *os.PathError
		if err != nil && !errors.As(err, &pathErr) {
			t.Errorf("%s: %T", path, err)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	if _, err := Compile(Default(), Env{Arch: "riscv64"}); text(err) != `architecture "riscv64": neither amd64 nor arm64` {
		t.Error(err)
	}
	// Values far apart cannot be joined, and each takes an instruction.
	p := &Profile{DefaultAction: Errno, Syscalls: []Rule{{Names: []string{"read"}, Action: Allow}}}
	for i := range 5000 {
		p.Syscalls[0].Args = append(p.Syscalls[0].Args, Arg{Index: 0, Op: Equal, Value: uint64(i) * 3})
	}
	if _, err := Compile(p, env(0)); text(err) != "program: more than 4096 instructions" {
		t.Error(err)
	}
	if _, err := Compile(&Profile{DefaultAction: Errno, Refuse: []Rule{{Action: "x"}}}, env(0)); text(err) != `refuse[0]: unknown action "x"` {
		t.Error(err)
	}
}

// TestFarJumps has programs near the longest that there can be, in which most
// jumps reach too far for their 8 bits, and the first one that is too long.
func TestFarJumps(t *testing.T) {
	fits := 0
	for n := 100; ; n += 40 {
		p := &Profile{DefaultAction: Errno, Architectures: []string{"SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM"}}
		for i := range n {
			errno := uint(i % 7)
			p.Syscalls = append(p.Syscalls, Rule{
				Names: []string{callName(i % callCount), "read"}, Action: Errno, ErrnoRet: &errno,
				Args: []Arg{{Index: uint(i % 6), Op: Equal, Value: uint64(i) * 5 << (i % 40)}},
			})
		}
		e := Env{Arch: "arm64"}
		prog, err := Compile(p, e)
		if err != nil {
			if text(err) != "program: more than 4096 instructions" || fits < 3000 {
				t.Errorf("%d rules, the last program had %d instructions: %v", n, fits, err)
			}
			t.Logf("%d rules are too many, the last program had %d instructions", n, fits)
			return
		}
		if err := valid(prog); err != nil {
			t.Fatal(err)
		}
		fits = len(prog)
		for i, r := range p.Syscalls {
			c := call{arch: unix.AUDIT_ARCH_AARCH64}
			if i%2 == 1 {
				c.arch = unix.AUDIT_ARCH_ARM
			}
			for _, name := range r.Names {
				row, _ := lookup(name)
				a := archAarch64
				if i%2 == 1 {
					a = archArm
				}
				if c.nr = number(row, a); c.nr == none {
					continue
				}
				for _, c.args[i%6] = range []uint64{r.Args[0].Value, r.Args[0].Value + 1} {
					got, err := run(prog, c)
					if want := judge(p, e, c); err != nil || got != want {
						t.Fatalf("%d rules: %v: %#x, %v, want %#x", n, c, got, err, want)
					}
				}
			}
		}
	}
}

func TestLookup(t *testing.T) {
	for row := range callCount {
		if got, ok := lookup(callName(row)); !ok || got != row {
			t.Fatalf("%s is found at %d, %v, not %d", callName(row), got, ok, row)
		}
	}
	for _, name := range []string{"", "a", "rea", "readd", "zzz", "READ", "_", "read\x00"} {
		if row, ok := lookup(name); ok {
			t.Errorf("%q is found, as %s", name, callName(row))
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
