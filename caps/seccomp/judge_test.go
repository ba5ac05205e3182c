package seccomp

import (
	"math"
	"slices"

	"golang.org/x/sys/unix"
)

// judge is the verdict of a profile by the words of the package's documentation,
// rule by rule, with nothing prepared: what the program is held against.
func judge(p *Profile, env Env, c call) uint32 {
	host, _ := native(env.Arch)
	var arch archID
	switch c.arch {
	case unix.AUDIT_ARCH_X86_64:
		arch = archX86_64
		if c.nr >= x32Bit && c.nr != math.MaxUint32 || c.nr == math.MaxUint32 && listed(p, host, archX32) {
			arch = archX32
		}
	case unix.AUDIT_ARCH_I386:
		arch = archI386
	case unix.AUDIT_ARCH_AARCH64:
		arch = archAarch64
	case unix.AUDIT_ARCH_ARM:
		arch = archArm
	default:
		return unix.SECCOMP_RET_KILL_THREAD
	}
	if !listed(p, host, arch) {
		return unix.SECCOMP_RET_KILL_THREAD
	}
	fallback := verdictOf(p.DefaultAction, p.DefaultErrnoRet, p.DefaultErrno)
	for _, r := range p.Refuse {
		if r.applies(env) && matches(r, arch, c) {
			return verdictOf(r.Action, r.ErrnoRet, r.Errno)
		}
	}
	var counting []Rule
	for _, r := range p.Syscalls {
		if r.applies(env) && verdictOf(r.Action, r.ErrnoRet, r.Errno) != fallback {
			counting = append(counting, r)
		}
	}
	for _, r := range counting {
		if len(r.Args) == 0 && names(r, arch, c.nr) {
			return verdictOf(r.Action, r.ErrnoRet, r.Errno)
		}
	}
	for _, r := range counting {
		if matches(r, arch, c) {
			return verdictOf(r.Action, r.ErrnoRet, r.Errno)
		}
	}
	if p.NewerENOSYS && p.DefaultAction == Errno && isNewer(p, arch, c.nr) {
		return enosys
	}
	return fallback
}

func verdictOf(a Action, errno *uint, name string) uint32 {
	v, err := a.verdict(errno, name)
	if err != nil {
		panic(err)
	}
	return v
}

func listed(p *Profile, host, arch archID) bool {
	if arch == host {
		return true
	}
	if !arch.runsOn(host) {
		return false
	}
	isArch := func(name string) bool { a, ok := archByName(name); return ok && a == arch }
	if slices.ContainsFunc(p.Architectures, isArch) {
		return true
	}
	for _, m := range p.ArchMap {
		if a, ok := archByName(m.Architecture); ok && a == host {
			return slices.ContainsFunc(m.SubArchitectures, isArch)
		}
	}
	return false
}

// names reports whether r is for the number, not by way of a subcall.
func names(r Rule, arch archID, nr uint32) bool {
	for _, name := range r.calls() {
		if row, ok := lookup(name); ok && number(row, arch) == nr && nr != none {
			return true
		}
	}
	return false
}

// matches reports whether r is for the call, with its arguments.
func matches(r Rule, arch archID, c call) bool {
	if names(r, arch, c.nr) && argsHold(r.Args, arch, c.args) {
		return true
	}
	if arch != archI386 {
		return false
	}
	for _, name := range r.calls() {
		via, n := subcall(name)
		if via == "" {
			continue
		}
		row, _ := lookup(via)
		if number(row, arch) != c.nr || uint32(c.args[0]) != n {
			continue
		}
		// Alternatives on argument 0 hold, as the number of the subcall does; in a
		// conjunction only the others are left.
		args := c.args
		if alternatives := repeated(r.Args); alternatives {
			for _, a := range r.Args {
				if a.Index == 0 || argHolds(a, arch, args) {
					return true
				}
			}
			continue
		}
		if !slices.ContainsFunc(r.Args, func(a Arg) bool { return a.Index != 0 && !argHolds(a, arch, args) }) {
			return true
		}
	}
	return false
}

func repeated(args []Arg) bool {
	count := [6]int{}
	for _, a := range args {
		count[a.Index]++
	}
	return slices.Max(count[:]) > 1
}

func argsHold(args []Arg, arch archID, values [6]uint64) bool {
	if len(args) == 0 {
		return true
	}
	holds := func(a Arg) bool { return argHolds(a, arch, values) }
	if repeated(args) {
		return slices.ContainsFunc(args, holds)
	}
	return !slices.ContainsFunc(args, func(a Arg) bool { return !holds(a) })
}

func argHolds(a Arg, arch archID, values [6]uint64) bool {
	v, w, mask := values[a.Index], a.Value, a.Value
	if arch != archX86_64 && arch != archAarch64 {
		v, w, mask = uint64(uint32(v)), uint64(uint32(w)), uint64(uint32(mask))
	}
	switch a.Op {
	case Equal:
		return v == w
	case NotEqual:
		return v != w
	case Less:
		return v < w
	case LessEqual:
		return v <= w
	case Greater:
		return v > w
	case GreaterEqual:
		return v >= w
	case MaskedEqual:
		return v&mask == a.ValueTwo&mask
	}
	panic(a.Op)
}

// isNewer reports whether the profile names no call with this number or a
// higher one.
func isNewer(p *Profile, arch archID, nr uint32) bool {
	last, any := uint32(0), false
	for _, r := range slices.Concat(p.Refuse, p.Syscalls) {
		for _, name := range r.calls() {
			row, ok := lookup(name)
			if !ok {
				continue
			}
			if n := number(row, arch); n != none && n&^x32Bit < armPrivate {
				last, any = max(last, n), true
			}
			if via, _ := subcall(name); via != "" && arch == archI386 {
				row, _ := lookup(via)
				last, any = max(last, number(row, arch)), true
			}
		}
	}
	return any && nr > last && (arch != archArm || nr < armPrivate)
}
