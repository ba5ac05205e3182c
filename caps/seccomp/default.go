package seccomp

import (
	"encoding/binary"
	"runtime"

	moby "github.com/moby/profiles/seccomp"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
)

// socketOfSocketcall is SYS_SOCKET of linux/net.h.
const socketOfSocketcall = 1

// Default is the profile of a container for which none was chosen: moby's default
// one, and TIOCSTI and TIOCLINUX of ioctl(2) are refused with EPERM. Both put
// input into a terminal as if it had been typed, so that a container that was
// started from one could run commands outside of it (CVE-2016-9016 of firejail,
// CVE-2017-5226 of bubblewrap). The kernel looks at the low 32 bits of the
// request only, and so does the rule (CVE-2019-7303 of snapd).
//
// So is the subcall of socketcall(2) that makes a socket. Only i386 has that call,
// but any program may make it on x86_64, too, and with it sockets of the families
// that moby's rules for socket(2) leave out, AF_ALG and AF_VSOCK: the family is in
// memory, where no filter can look. Moby refused the call for a while, and has
// since left these families to AppArmor and SELinux, which a plain user cannot give
// rules to. The price is that 32-bit programs that make their sockets by it get
// EPERM: those of glibc that was built for kernels before 4.3, and of Go. Those of
// musl call socket(2).
func Default() *Profile {
	from := moby.DefaultProfile()
	p := &Profile{
		DefaultAction:   Action(from.DefaultAction),
		DefaultErrnoRet: from.DefaultErrnoRet,
		NewerENOSYS:     true,
		Refuse: []Rule{{
			Names:  []string{"ioctl"},
			Action: Errno,
			Args: []Arg{
				// The same argument twice: either of them.
				{Index: 1, Op: MaskedEqual, Value: 0xffffffff, ValueTwo: unix.TIOCSTI},
				{Index: 1, Op: MaskedEqual, Value: 0xffffffff, ValueTwo: unix.TIOCLINUX},
			},
		}, {
			Names:  []string{"socketcall"},
			Action: Errno,
			Args:   []Arg{{Index: 0, Op: Equal, Value: socketOfSocketcall}},
		}},
	}
	for _, m := range from.ArchMap {
		sub := make([]string, len(m.SubArches))
		for i, a := range m.SubArches {
			sub[i] = string(a)
		}
		p.ArchMap = append(p.ArchMap, ArchMap{string(m.Arch), sub})
	}
	for _, s := range from.Syscalls {
		r := Rule{
			Names: s.Names, Action: Action(s.Action), ErrnoRet: s.ErrnoRet,
			Includes: condition(s.Includes), Excludes: condition(s.Excludes),
		}
		for _, a := range s.Args {
			r.Args = append(r.Args, Arg{a.Index, a.Value, a.ValueTwo, Op(a.Op)})
		}
		p.Syscalls = append(p.Syscalls, r)
	}
	return p
}

// condition is moby's filter in our terms.
func condition(f *moby.Filter) *Condition {
	if f == nil {
		return nil
	}
	c := &Condition{Caps: f.Caps, Arches: f.Arches}
	if k := f.MinKernel; k != nil {
		c.MinKernel = &Release{int(k.Kernel), int(k.Major)}
	}
	return c
}

// consulted are the capabilities that Default's rules ask for.
const consulted = caps.DacReadSearch | caps.SysAdmin | caps.SysBoot | caps.SysChroot |
	caps.SysModule | caps.SysPacct | caps.SysPtrace | caps.SysRawio | caps.SysTime |
	caps.SysTtyConfig | caps.SysNice | caps.Syslog | caps.Bpf | caps.Perfmon

// consultedKernel is the highest release of the kernel that Default's rules ask
// for. The stored programs were made for it and all later ones.
var consultedKernel = Release{4, 8}

// DefaultFilter is Compile of Default, except that for the usual capabilities,
// those of caps.Default and none at all (--cap-drop ALL), the program is taken
// from the executable, for this machine's architecture: that costs a microsecond
// in place of some hundred. Only what the rules ask for has to agree, so that
// adding NET_ADMIN, say, makes no difference. The error is that of Compile.
func DefaultFilter(env Env) ([]unix.SockFilter, error) {
	if env.Arch == runtime.GOARCH && Release(env.Kernel).atLeast(consultedKernel) {
		asked := env.Caps & consulted
		if asked == caps.Default&consulted {
			return decode(storedDefault), nil
		}
		if asked == 0 {
			return decode(storedNone), nil
		}
	}
	return Compile(Default(), env)
}

// decode reads a program as the kernel has it in memory on a little-endian
// machine.
func decode(stored string) []unix.SockFilter {
	list := make([]unix.SockFilter, len(stored)/unix.SizeofSockFilter)
	for i := range list {
		b := []byte(stored[i*unix.SizeofSockFilter:][:unix.SizeofSockFilter])
		list[i] = unix.SockFilter{
			Code: binary.LittleEndian.Uint16(b), Jt: b[2], Jf: b[3],
			K: binary.LittleEndian.Uint32(b[4:]),
		}
	}
	return list
}
