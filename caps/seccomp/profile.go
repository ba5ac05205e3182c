package seccomp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Profile is a profile in the format of docker and podman, which extends that
// of the OCI runtime specification by conditions. Fields that are not listed
// here, as comments and the listener of SCMP_ACT_NOTIFY, are not read.
type Profile struct {
	// DefaultAction is for every call that no rule matches. It must be given.
	DefaultAction Action `json:"defaultAction"`
	// DefaultErrnoRet goes with SCMP_ACT_ERRNO and SCMP_ACT_TRACE; without it
	// they carry EPERM.
	DefaultErrnoRet *uint `json:"defaultErrnoRet,omitempty"`
	// DefaultErrno is the name of an errno and beats DefaultErrnoRet; podman's.
	DefaultErrno string `json:"defaultErrno,omitempty"`
	// Architectures are those whose calls are judged by the rules, SCMP_ARCH_X86_64
	// and so on; that of the machine always is. Those that a program of this
	// machine cannot have are passed over.
	Architectures []string `json:"architectures,omitempty"`
	// ArchMap gives the same by the architecture of the machine. A profile may
	// have one of the two.
	ArchMap []ArchMap `json:"archMap,omitempty"`
	// Flags are flags of seccomp(2), SECCOMP_FILTER_FLAG_LOG and so on.
	Flags []string `json:"flags,omitempty"`
	// Syscalls are the rules.
	Syscalls []Rule `json:"syscalls"`

	// Refuse are rules that beat all of Syscalls, tried in their order before
	// any of those. JSON has no way to say "all of ioctl but this".
	Refuse []Rule `json:"-"`
	// NewerENOSYS lets calls with a higher number than any that the profile
	// names fail with ENOSYS, if the default action is SCMP_ACT_ERRNO: a program
	// then takes them for calls that the kernel lacks and falls back to others,
	// where EPERM would make it give up. runc has done so since 1.0.
	NewerENOSYS bool `json:"-"`
}

// ArchMap lists the architectures that go with one that is the machine's.
type ArchMap struct {
	Architecture     string   `json:"architecture"`
	SubArchitectures []string `json:"subArchitectures"`
}

// Rule says what happens to some system calls.
type Rule struct {
	Names []string `json:"names,omitempty"`
	// Name is the older form of Names with one name. A rule may have one of the
	// two.
	Name   string `json:"name,omitempty"`
	Action Action `json:"action"`
	// ErrnoRet and Errno are as DefaultErrnoRet and DefaultErrno.
	ErrnoRet *uint  `json:"errnoRet,omitempty"`
	Errno    string `json:"errno,omitempty"`
	// Args are the conditions on arguments; see the package's text for how
	// they combine.
	Args []Arg `json:"args,omitempty"`
	// Includes must all hold for the rule to count, Excludes keep it out if any
	// part of them holds.
	Includes *Condition `json:"includes,omitempty"`
	Excludes *Condition `json:"excludes,omitempty"`
}

// Arg is a condition on one argument of a system call. All comparisons are
// unsigned.
type Arg struct {
	// Index is the argument's place, 0 to 5.
	Index uint `json:"index"`
	// Value is what the argument is compared with, or with SCMP_CMP_MASKED_EQ
	// the mask that it is ANDed with before it is compared with ValueTwo.
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo"`
	Op       Op     `json:"op"`
}

// Condition is on the container and the machine, not on a call.
type Condition struct {
	// Caps are capabilities in the bounding set, CAP_NAME.
	Caps []string `json:"caps,omitempty"`
	// Arches are amd64, arm64 and so on.
	Arches []string `json:"arches,omitempty"`
	// MinKernel is the lowest release of the kernel.
	MinKernel *Release `json:"minKernel,omitempty"`
}

// Release is the first two numbers of a kernel release, 6 and 1 of 6.1.0-18.
type Release [2]int

// UnmarshalText reads the form "6.1". Each number is at most 255, as in docker,
// and the empty text is any release.
func (r *Release) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = Release{}
		return nil
	}
	first, second, ok := strings.Cut(string(text), ".")
	a, errA := strconv.ParseUint(first, 10, 8)
	b, errB := strconv.ParseUint(second, 10, 8)
	if !ok || errA != nil || errB != nil {
		return fmt.Errorf("minKernel %q: not of the form 6.1", text)
	}
	*r = Release{int(a), int(b)}
	return nil
}

// MarshalText writes the form "6.1".
func (r Release) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d.%d", r[0], r[1]), nil
}

// atLeast reports whether r is s or later.
func (r Release) atLeast(s Release) bool {
	return r[0] > s[0] || r[0] == s[0] && r[1] >= s[1]
}

// Op is an operator on an argument, by its name in libseccomp.
type Op string

// The operators, all on unsigned 64-bit values.
const (
	NotEqual     Op = "SCMP_CMP_NE"
	Less         Op = "SCMP_CMP_LT"
	LessEqual    Op = "SCMP_CMP_LE"
	Equal        Op = "SCMP_CMP_EQ"
	GreaterEqual Op = "SCMP_CMP_GE"
	Greater      Op = "SCMP_CMP_GT"
	MaskedEqual  Op = "SCMP_CMP_MASKED_EQ"
)

// check finds what is wrong with p on any machine. Rules that would not count
// here are held to the same, so that a profile is good or bad everywhere.
func (p *Profile) check() error {
	if p.DefaultAction == "" {
		return errors.New("defaultAction: missing")
	}
	if _, err := p.DefaultAction.verdict(p.DefaultErrnoRet, p.DefaultErrno); err != nil {
		return fmt.Errorf("defaultAction: %w", err)
	}
	if len(p.Architectures) > 0 && len(p.ArchMap) > 0 {
		return errors.New("architectures: archMap is given as well")
	}
	for _, name := range p.Architectures {
		if !knownArch(name) {
			return fmt.Errorf("architectures: unknown architecture %q", name)
		}
	}
	for _, m := range p.ArchMap {
		for _, name := range append([]string{m.Architecture}, m.SubArchitectures...) {
			if !knownArch(name) {
				return fmt.Errorf("archMap: unknown architecture %q", name)
			}
		}
	}
	if _, err := p.FilterFlags(); err != nil {
		return err
	}
	for i := range p.Refuse {
		if err := p.Refuse[i].check(); err != nil {
			return fmt.Errorf("refuse[%d]: %w", i, err)
		}
	}
	for i := range p.Syscalls {
		if err := p.Syscalls[i].check(); err != nil {
			return fmt.Errorf("syscalls[%d]: %w", i, err)
		}
	}
	return nil
}

// check finds what is wrong with r.
func (r *Rule) check() error {
	if r.Name != "" && len(r.Names) > 0 {
		return errors.New("name: names is given as well")
	}
	if _, err := r.Action.verdict(r.ErrnoRet, r.Errno); err != nil {
		return err
	}
	for i, a := range r.Args {
		if a.Index > 5 {
			return fmt.Errorf("args[%d]: index %d: not 0 to 5", i, a.Index)
		}
		switch a.Op {
		case NotEqual, Less, LessEqual, Equal, GreaterEqual, Greater, MaskedEqual:
		default:
			return fmt.Errorf("args[%d]: unknown operator %q", i, a.Op)
		}
	}
	return nil
}

// calls are the names that r is for.
func (r *Rule) calls() []string {
	if r.Name != "" {
		return []string{r.Name}
	}
	return r.Names
}
