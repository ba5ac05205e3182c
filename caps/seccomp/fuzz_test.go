package seccomp

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
)

// source makes choices out of bytes, and zeros when they are used up.
type source []byte

func (s *source) pick(n int) int {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return int(b) % n
}

// value is a number of 64 bits, likely one near an edge.
func (s *source) value() uint64 {
	var b [8]byte
	switch s.pick(6) {
	case 0:
		return uint64(s.pick(256))
	case 1:
		return plainEdges[s.pick(len(plainEdges))] + uint64(s.pick(3)) - 1
	case 2:
		return 1 << s.pick(64)
	case 3:
		return uint64(s.pick(4))<<32 | uint64(s.pick(8))
	case 4:
		return uint64(s.pick(4))<<32 - uint64(s.pick(8))
	}
	*s = (*s)[copy(b[:], *s):]
	return binary.LittleEndian.Uint64(b[:])
}

// fuzzCalls are calls with numbers far apart and side by side, some that not
// all architectures have, some that are subcalls of others, and those others.
var fuzzCalls = []string{
	"read", "write", "open", "close", "ioctl", "socket", "accept", "socketcall", "ipc", "semop",
	"cacheflush", "set_tls", "getuid32", "arch_prctl", "clone", "clone3", "listns", "preadv2", "no_such_call",
}

var fuzzActions = []Action{Allow, Errno, Errno, Errno, Kill, KillProcess, Trap, Trace, Log}

func (s *source) verdict() (Action, *uint) {
	a := fuzzActions[s.pick(len(fuzzActions))]
	if a == Errno && s.pick(2) == 1 {
		n := uint(s.pick(5))
		return a, &n
	}
	return a, nil
}

func (s *source) rules(n int) []Rule {
	list := make([]Rule, n)
	ops := []Op{Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, MaskedEqual}
	for i := range list {
		r := &list[i]
		r.Action, r.ErrnoRet = s.verdict()
		for range 1 + s.pick(3) {
			r.Names = append(r.Names, fuzzCalls[s.pick(len(fuzzCalls))])
		}
		for range s.pick(4) {
			r.Args = append(r.Args, Arg{uint(s.pick(3)), s.value(), s.value(), ops[s.pick(len(ops))]})
		}
		switch s.pick(12) {
		case 0:
			r.Includes = &Condition{Caps: []string{"CAP_SYS_ADMIN"}}
		case 1:
			r.Excludes = &Condition{Caps: []string{"CAP_SYS_ADMIN"}, Arches: []string{"arm64"}}
		case 2:
			r.Includes = &Condition{Arches: []string{"amd64"}, MinKernel: &Release{5, s.pick(20)}}
		}
	}
	return list
}

func (s *source) profile() (*Profile, Env) {
	e := Env{Arch: []string{"amd64", "arm64"}[s.pick(2)], Kernel: [2]int{5, 10}}
	if s.pick(2) == 1 {
		e.Caps = caps.SysAdmin
	}
	p := &Profile{NewerENOSYS: s.pick(2) == 1}
	p.DefaultAction, p.DefaultErrnoRet = s.verdict()
	all := []string{"SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"}
	for range s.pick(5) {
		p.Architectures = append(p.Architectures, all[s.pick(len(all))])
	}
	p.Refuse = s.rules(s.pick(3))
	p.Syscalls = s.rules(s.pick(12))
	return p, e
}

// FuzzVerdicts holds the compiled program against judge, for profiles made out
// of the input.
func FuzzVerdicts(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte(strings.Repeat("\x01\x00\x07\x02", 40)))
	f.Add([]byte("the quick brown fox jumps over the lazy dog, and back, and then over the hedge"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := source(data)
		p, e := s.profile()
		compareWithJudge(t, p, e)
	})
}

// TestRandomProfiles is FuzzVerdicts with an input of every kind of length.
func TestRandomProfiles(t *testing.T) {
	for seed := range 400 {
		r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
		data := make(source, seed)
		_, _ = r.Read(data)
		p, e := data.profile()
		compareWithJudge(t, p, e)
	}
}

// compareWithJudge tries the calls that p is about, with the edges of their
// arguments.
func compareWithJudge(t *testing.T, p *Profile, e Env) {
	prog := compile(t, p, e)
	check := func(c call) {
		got, err := run(prog, c)
		if err != nil {
			t.Fatal(err)
		}
		if want := judge(p, e, c); got != want {
			t.Fatalf("%v: %#x, want %#x\n%+v\n%+v", c, got, want, *p, e)
		}
	}
	edges := [6][]uint64{}
	var rows []int
	for _, r := range slices.Concat(p.Refuse, p.Syscalls) {
		for _, a := range r.Args {
			edges[a.Index] = append(edges[a.Index], a.Value, a.Value-1, a.Value+1, a.Value^1<<32, a.ValueTwo, a.ValueTwo&a.Value, a.ValueTwo|^a.Value, a.ValueTwo&a.Value^1<<7)
		}
		for _, name := range r.calls() {
			if row, ok := lookup(name); ok && !slices.Contains(rows, row) {
				rows = append(rows, row)
			}
			if via, n := subcall(name); via != "" {
				row, _ := lookup(via)
				edges[0] = append(edges[0], uint64(n), uint64(n)|1<<32)
				if !slices.Contains(rows, row) {
					rows = append(rows, row)
				}
			}
		}
	}
	for a := range archCount {
		c := call{arch: a.token()}
		for _, nr := range []uint32{0, 1, 20, 547, 548, 600, x32Bit, x32Bit + 600, armPrivate - 1, armPrivate, armPrivate + 16, 0x7fffffff, 0xfffffffe, 0xffffffff} {
			c.nr = nr
			check(c)
		}
		for _, row := range rows {
			nr := number(row, a)
			if nr == none {
				continue
			}
			for _, c.nr = range []uint32{nr - 1, nr + 1, nr} {
				check(c)
			}
			for i := range 3 {
				for _, v := range edges[i] {
					c.args = [6]uint64{}
					c.args[i] = v
					check(c)
					j := (i + 1) % 3
					for k := 0; k < len(edges[j]); k += 1 + len(edges[j])/4 {
						c.args[j] = edges[j][k]
						check(c)
					}
				}
			}
		}
	}
	check(call{arch: unix.AUDIT_ARCH_S390X, nr: 3})
}

// FuzzParse wants one line and no panic out of whatever is read, and a program
// or an error of what was good.
func FuzzParse(f *testing.F) {
	for _, text := range customProfiles() {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS", "flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errno": "EINVAL", "includes": {"minKernel": "4.8"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("more than a line: %q", err)
			}
			return
		}
		for _, arch := range []string{"amd64", "arm64"} {
			prog, err := Compile(p, Env{Arch: arch, Caps: caps.Default, Kernel: [2]int{6, 1}})
			if err != nil {
				if !strings.HasPrefix(err.Error(), "program: more than") {
					t.Errorf("a profile that Parse took: %v", err)
				}
				continue
			}
			if err := valid(prog); err != nil {
				t.Error(err)
			}
		}
		if _, err := p.FilterFlags(); err != nil {
			t.Error(err)
		}
	})
}
