package caps

import (
	"slices"
	"strconv"
	"strings"

	"github.com/rl-run/rl-run/internal/nearest"
)

// names are the names of linux/capability.h by number, without CAP_. They are
// an array, not a map, so that nothing has to be built when the program starts.
var names = [...]string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL",
	"SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
	"NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
	"SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
	"SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL",
	"SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
	"BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// name is the name of capability n without CAP_, or its number where this
// program is older than the capability.
func name(n int) string {
	if n < len(names) {
		return names[n]
	}
	return strconv.Itoa(n)
}

// UnknownError says that a name is not that of a capability.
type UnknownError struct {
	Name string // as it was given
	Near string // the name that was likely meant, without CAP_; empty if none is near
}

// Error is one line, with the near name where there is one.
func (e *UnknownError) Error() string {
	s := "parse capability " + strconv.Quote(e.Name) + ": no such capability"
	if e.Near != "" {
		s += ", did you mean " + e.Near + "?"
	}
	return s
}

// Parse reads the name of a capability, with or without CAP_ and in any case,
// or ALL, which is Every. The numbers 41 to 63 stand for capabilities newer
// than this program, the way Names writes them. The error is an *UnknownError.
func Parse(s string) (Set, error) {
	upper := strings.ToUpper(s)
	short := strings.TrimPrefix(upper, "CAP_")
	if upper == "ALL" {
		return Every, nil
	}
	for n, known := range &names {
		if known == short {
			return 1 << n, nil
		}
	}
	// Atoi takes a sign and leading zeros, a name has one form only.
	if n, err := strconv.Atoi(short); err == nil && n >= len(names) && n < 64 && strconv.Itoa(n) == short {
		return 1 << n, nil
	}
	return 0, &UnknownError{Name: s, Near: near(short)}
}

// Lookup is Parse for a name out of a seccomp profile, where only the exact
// form CAP_NAME counts and an unknown one is no mistake but is never held.
func Lookup(s string) (Set, bool) {
	short, ok := strings.CutPrefix(s, "CAP_")
	if !ok {
		return 0, false
	}
	for n, known := range &names {
		if known == short {
			return 1 << n, true
		}
	}
	return 0, false
}

// near is the name that is fewest edits away from s, if those are at most a
// third of its letters and at most three. Else it is the one name that s lacks
// only the first word of: TIME is SYS_TIME, but ADMIN could be three.
func near(s string) (at string) {
	if at = nearest.Word(s, min(3, len(s)/3), slices.Values(names[:])); at != "" {
		return at
	}
	// A forgotten first word, if no other name ends so.
	for _, known := range &names {
		if _, rest, ok := strings.Cut(known, "_"); ok && rest == s {
			if at != "" {
				return ""
			}
			at = known
		}
	}
	if at == "" {
		at = nearest.Word(s, 1, slices.Values([]string{"ALL"}))
	}
	return at
}
