package caps

import (
	"math/bits"
	"strings"
)

// Set is a set of capabilities, bit n being the capability of number n as in
// the CapBnd and CapEff lines of proc_pid_status(5). The zero value is empty.
type Set uint64

// The capabilities of Linux up to 5.9, the last release to add one, in the
// order of linux/capability.h. See capabilities(7) for what each one permits.
const (
	Chown Set = 1 << iota
	DacOverride
	DacReadSearch
	Fowner
	Fsetid
	Kill
	Setgid
	Setuid
	Setpcap
	LinuxImmutable
	NetBindService
	NetBroadcast
	NetAdmin
	NetRaw
	IpcLock
	IpcOwner
	SysModule
	SysRawio
	SysChroot
	SysPtrace
	SysPacct
	SysAdmin
	SysBoot
	SysNice
	SysResource
	SysTime
	SysTtyConfig
	Mknod
	Lease
	AuditWrite
	AuditControl
	Setfcap
	MacOverride
	MacAdmin
	Syslog
	WakeAlarm
	BlockSuspend
	AuditRead
	Perfmon
	Bpf
	CheckpointRestore
)

const (
	// Default is what a container holds when neither --cap-add nor --cap-drop
	// is given: podman's list, which is docker's without NET_RAW, MKNOD and
	// AUDIT_WRITE.
	Default = Chown | DacOverride | Fowner | Fsetid | Kill | NetBindService |
		Setfcap | Setgid | Setpcap | Setuid | SysChroot

	// Every is all that a kernel could ever have, what Parse makes of ALL.
	// It has to be cut to what the kernel knows, as Compile does.
	Every = ^Set(0)
)

// UpTo is the set of the capabilities 0 to last, both included: all that a
// kernel knows whose Last is last. Below 0 it is empty, from 63 on Every.
func UpTo(last int) Set {
	if last < 0 {
		return 0
	}
	if last >= 63 {
		return Every
	}
	return 1<<(last+1) - 1
}

// Has reports whether all capabilities of t are in s.
func (s Set) Has(t Set) bool { return s&t == t }

// Numbers lists the numbers in s in rising order, for PR_CAPBSET_DROP and its
// like, which take one at a time.
func (s Set) Numbers() []int {
	list := make([]int, 0, bits.OnesCount64(uint64(s)))
	for ; s != 0; s &= s - 1 {
		list = append(list, bits.TrailingZeros64(uint64(s)))
	}
	return list
}

// Names lists the capabilities in s in the order of their numbers, each with
// its CAP_ prefix, as the JSON of podman and the OCI runtimes has them. One
// that is too new to have a name here is CAP_ and its number.
func (s Set) Names() []string {
	list := make([]string, 0, bits.OnesCount64(uint64(s)))
	for _, n := range s.Numbers() {
		list = append(list, "CAP_"+name(n))
	}
	return list
}

// String is the names without CAP_, separated by commas, and "none" for the
// empty set.
func (s Set) String() string {
	if s == 0 {
		return "none"
	}
	var b strings.Builder
	for i, n := range s.Numbers() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name(n))
	}
	return b.String()
}

// MarshalText writes s as String does, so that a set in JSON can be read.
func (s Set) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote; the names may be in any form
// that Parse takes. Its error is that of Parse.
func (s *Set) UnmarshalText(text []byte) error {
	list := string(text)
	if list == "none" || list == "" {
		*s = 0
		return nil
	}
	var sum Set
	for one := range strings.SplitSeq(list, ",") {
		set, err := Parse(one)
		if err != nil {
			return err
		}
		sum |= set
	}
	*s = sum
	return nil
}
