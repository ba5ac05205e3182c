package caps

import (
	"errors"
	"fmt"
)

// Compile works out what --cap-add and --cap-drop leave of Default on a kernel
// that knows the capabilities in known (UpTo of Last), with podman's rules:
//
//   - drop ALL: nothing but what is added by name;
//   - add ALL: all that the kernel knows but what is dropped by name;
//   - else Default with the added and without the dropped ones.
//
// bounding is what the container holds at most; added is the part of it that
// was asked for, which For needs for a user other than root. Both are within
// known.
//
// The errors are an *UnknownError; one for a name that was both added and
// dropped, or for ALL that was; and one for an added name that this kernel does
// not have. Dropping what a kernel does not have is no error.
func Compile(known Set, add, drop []string) (bounding, added Set, err error) {
	plus, allPlus, err := parseAll(add)
	if err != nil {
		return 0, 0, err
	}
	minus, allMinus, err := parseAll(drop)
	if err != nil {
		return 0, 0, err
	}
	if strange := plus &^ known; strange != 0 {
		return 0, 0, fmt.Errorf("add capability %v: not known to this kernel", strange)
	}
	switch {
	case allPlus && allMinus:
		return 0, 0, errors.New("add capability ALL: dropped as well")
	case allMinus:
		return plus, plus, nil
	case allPlus:
		all := known &^ minus
		return all, all, nil
	}
	if both := plus & minus; both != 0 {
		return 0, 0, fmt.Errorf("add capability %v: dropped as well", both)
	}
	return (Default&known | plus) &^ minus, plus, nil
}

// parseAll joins the named capabilities; ALL is told apart, because it changes
// how the other list is read.
func parseAll(list []string) (sum Set, all bool, err error) {
	for _, s := range list {
		set, err := Parse(s)
		if err != nil {
			return 0, false, err
		}
		if set == Every {
			all = true
			continue
		}
		sum |= set
	}
	return sum, all, nil
}

// Sets are the five capability sets of a process, capabilities(7).
type Sets struct {
	Bounding    Set // the limit of what exec can give
	Permitted   Set // what the process may make effective
	Effective   Set // what the kernel checks
	Inheritable Set // kept across exec, together with the file's
	Ambient     Set // kept across exec without any help of the file
}

// For says which sets a command has that runs with the id uid of the container,
// given the results of Compile.
//
// Root needs neither inheritable nor ambient ones, since exec gives it all of
// its bounding set; an inheritable set that is not empty would let any file with
// inheritable capabilities raise them (CVE-2022-29162). Any other user loses
// its permitted set in exec, and so holds, as in podman, just what was asked for
// with --cap-add, by way of the ambient set. The kernel wants an ambient one to
// be both permitted and inheritable.
func For(uid uint32, bounding, added Set) Sets {
	if uid == 0 {
		return Sets{Bounding: bounding, Permitted: bounding, Effective: bounding}
	}
	own := added & bounding
	return Sets{Bounding: bounding, Permitted: own, Effective: own, Inheritable: own, Ambient: own}
}
