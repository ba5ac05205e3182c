// Package ulimit reads limits of single processes (getrlimit(2)) the way --ulimit
// gives them. Unlike those of control groups they need no delegation, and a user can
// only lower them.
package ulimit

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Infinity stands for no limit, as it does for the kernel.
const Infinity = math.MaxUint64

// Limit is a resource limit, in the kernel's unit for the resource: bytes, seconds,
// microseconds for rttime, or a count.
type Limit struct {
	Name     string `json:"name"` // as in limits.conf(5)
	Resource int    `json:"-"`    // RLIMIT_…
	Soft     uint64 `json:"soft"`
	Hard     uint64 `json:"hard"`
}

// Names are the resources that Parse knows.
const Names = "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"

func resource(name string) (int, bool) {
	switch name {
	case "as":
		return unix.RLIMIT_AS, true
	case "core":
		return unix.RLIMIT_CORE, true
	case "cpu":
		return unix.RLIMIT_CPU, true
	case "data":
		return unix.RLIMIT_DATA, true
	case "fsize":
		return unix.RLIMIT_FSIZE, true
	case "locks":
		return unix.RLIMIT_LOCKS, true
	case "memlock":
		return unix.RLIMIT_MEMLOCK, true
	case "msgqueue":
		return unix.RLIMIT_MSGQUEUE, true
	case "nice":
		return unix.RLIMIT_NICE, true
	case "nofile":
		return unix.RLIMIT_NOFILE, true
	case "nproc":
		return unix.RLIMIT_NPROC, true
	case "rss":
		return unix.RLIMIT_RSS, true
	case "rtprio":
		return unix.RLIMIT_RTPRIO, true
	case "rttime":
		return unix.RLIMIT_RTTIME, true
	case "sigpending":
		return unix.RLIMIT_SIGPENDING, true
	case "stack":
		return unix.RLIMIT_STACK, true
	}
	return 0, false
}

// Parse reads NAME=SOFT[:HARD]. HARD is SOFT where it is left out; -1 and
// "unlimited" are Infinity. The error names the value and what was expected.
func Parse(s string) (Limit, error) {
	name, values, _ := strings.Cut(s, "=")
	soft, hard, two := strings.Cut(values, ":")
	if !two {
		hard = soft
	}
	r, known := resource(name)
	if !known {
		return Limit{}, fmt.Errorf("%q: expected NAME=SOFT[:HARD] with a name of %s", s, Names)
	}
	l := Limit{Name: name, Resource: r}
	var errSoft, errHard error
	l.Soft, errSoft = value(soft)
	l.Hard, errHard = value(hard)
	if errSoft != nil || errHard != nil {
		return Limit{}, fmt.Errorf("%q: expected %s=SOFT[:HARD] with numbers from 0, or -1 for no limit", s, name)
	}
	if l.Soft > l.Hard {
		return Limit{}, fmt.Errorf("%q: the soft limit is above the hard one", s)
	}
	return l, nil
}

func value(s string) (uint64, error) {
	if s == "-1" || s == "unlimited" {
		return Infinity, nil
	}
	return strconv.ParseUint(s, 10, 63)
}

// String is the limit as Parse reads it.
func (l Limit) String() string {
	s := l.Name + "=" + text(l.Soft)
	if l.Hard != l.Soft {
		s += ":" + text(l.Hard)
	}
	return s
}

func text(n uint64) string {
	if n == Infinity {
		return "-1"
	}
	return strconv.FormatUint(n, 10)
}

// Check tells whether a process with this hard limit of the resource can set it:
// raising one takes CAP_SYS_RESOURCE in the first user namespace, which a container
// never has.
func (l Limit) Check(hard uint64) error {
	if l.Hard <= hard {
		return nil
	}
	return fmt.Errorf("--ulimit %s: the caller's hard limit is %s, and only root can raise it", l, text(hard))
}
