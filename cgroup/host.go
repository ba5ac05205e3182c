package cgroup

import (
	"path"
	"slices"
	"strings"
)

// Layout is how the control groups of a machine are mounted.
type Layout string

// The layouts.
const (
	NoGroups Layout = "none"   // not mounted, or not where this process can see them
	V1       Layout = "v1"     // version 1 alone
	Hybrid   Layout = "hybrid" // version 2 beside controllers of version 1
	V2       Layout = "v2"     // version 2 alone
)

// Host is what [Probe] found about the control groups of this machine.
type Host struct {
	Layout     Layout   `json:"layout"`
	Mount      string   `json:"mount,omitempty"`      // where version 2 is mounted
	Legacy     []string `json:"legacy,omitempty"`     // controllers that are bound to version 1
	Top        bool     `json:"top,omitempty"`        // Mount is the top of the hierarchy, not a group's view of it
	Root       []string `json:"root,omitempty"`       // controllers of the top
	Own        string   `json:"own,omitempty"`        // directory of the caller's own group
	NSDelegate bool     `json:"nsdelegate,omitempty"` // what a group namespace's own group allows is for those outside

	UID     int      `json:"uid"`               // of the caller, outside of a user namespace
	Bus     string   `json:"bus,omitempty"`     // D-Bus address of the service manager
	Manager *Subtree `json:"manager,omitempty"` // what the service manager was given

	// Subtrees are the groups around the caller that it may write to, the innermost first.
	Subtrees []Subtree `json:"subtrees,omitempty"`

	CPUs     Set               `json:"cpus,omitempty"`    // processors, as far as a limit asks for them
	Devices  map[string]Device `json:"devices,omitempty"` // by path, as far as limits name them
	Weighted bool              `json:"weighted,omitempty"`
	PageSize int               `json:"pageSize"`
}

// Subtree is a group and what may be made below it.
type Subtree struct {
	Dir         string   `json:"dir"`
	Controllers []string `json:"controllers,omitempty"` // those that groups below can be given
	Enabled     []string `json:"enabled,omitempty"`     // those that groups below are given already
	Busy        bool     `json:"busy,omitempty"`        // processes are in it, so that no more can be enabled
	Lacks       []string `json:"lacks,omitempty"`       // files of its controllers that this kernel does not have
}

// gives tells whether a group below can have the controllers.
func (s *Subtree) gives(controllers []string) bool {
	for _, c := range controllers {
		if !slices.Contains(s.Enabled, c) && (s.Busy || !slices.Contains(s.Controllers, c)) {
			return false
		}
	}
	return true
}

// Device is a block device by its numbers.
type Device struct {
	Major uint32 `json:"major"`
	Minor uint32 `json:"minor"`
	// Part tells that the path was a partition's: the numbers are the disk's, because
	// the kernel limits whole disks.
	Part bool   `json:"part,omitempty"`
	Err  string `json:"err,omitempty"` // why the path is no block device
}

// managerService is the unit whose Delegate= decides over the controllers.
func (h *Host) managerService() string {
	if h.Manager == nil {
		return "user@.service"
	}
	return path.Base(h.Manager.Dir)
}

// optional are the files that a kernel may lack though it has their controller.
var optional = [...]string{"memory.swap.max", "memory.oom.group", "io.weight", "io.bfq.weight", "cpu.max"}

// controllerOf is the controller to which a file belongs.
func controllerOf(file string) string {
	controller, _, _ := strings.Cut(file, ".")
	return controller
}
