package plan

import (
	"path"
	"strings"
)

// EnterGroup has the parent make a control group, write the files of its limits and
// read them back, and put init there (cgroups(7)). Way "scope" has systemd make a
// transient scope around it, "subtree" makes it in a group that is the caller's. Who
// waits for init, the keeper or the launcher, goes into the scope, too, beside the group.
type EnterGroup struct {
	Way         string
	Bus         string // scope: the address of systemd's bus
	UID         int    // scope: as whom systemd knows the caller
	Unit        string // scope: its name
	Mount       string // where control groups of version 2 are mounted
	Parent      string // subtree: the directory in which the group is made
	Name        string // subtree: how the group's name begins; the pid of who waits follows
	Controllers []string
	Files       []GroupFile // in the order of writing
	BestEffort  bool        // what cannot be had is a note
}

// GroupFile is a file of a control group.
type GroupFile struct {
	Limit      string // the option that asks for it
	Controller string
	File       string
	Value      string
	Derived    bool // nobody asked for it: left out where the kernel has no such file
}

// Kind implements Step.
func (EnterGroup) Kind() Kind { return KindGroup }

func (s EnterGroup) String() string {
	where := s.Unit
	if where == "" {
		where = path.Join(s.Parent, s.Name)
	}
	files := make([]string, len(s.Files))
	for i, f := range s.Files {
		files[i] = f.File + "=" + f.Value
	}
	return "enter control group " + where + ": " + strings.Join(files, ", ")
}
