package cgroup

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Mode says what becomes of a limit that cannot be enforced.
type Mode string

// The modes: the values of --limits.
const (
	Require    Mode = "require"     // an error
	BestEffort Mode = "best-effort" // a note
)

// Setting is a limit as a file of the group.
type Setting struct {
	Limit      string `json:"limit"`      // the option that asks for it
	Controller string `json:"controller"` // to be enabled
	File       string `json:"file"`       // in the group's directory
	Value      string `json:"value"`      // what is written, and read back in another form by some files
	// Derived tells that nobody asked for it: it makes another limit whole, and is left
	// out where the kernel has no such file.
	Derived bool `json:"derived,omitempty"`
}

// Way is how a group is made.
type Way string

// The ways.
const (
	Scope   Way = "scope"   // in a transient scope of systemd
	Delegee Way = "subtree" // in a subtree that was delegated
)

// Placement is what [Placement.Apply] does: where the group is made, and what is
// written to it.
type Placement struct {
	Way         Way       `json:"way"`
	Bus         string    `json:"bus,omitempty"`  // scope: the D-Bus address
	UID         int       `json:"uid"`            // scope: as whom the bus knows the caller
	Unit        string    `json:"unit,omitempty"` // scope: its name
	Mount       string    `json:"mount"`          // where version 2 is mounted
	Parent      string    `json:"parent"`         // subtree: the group that holds the container's
	Name        string    `json:"name"`           // subtree: of the container's group
	Controllers []string  `json:"controllers"`    // to be enabled for the group
	Settings    []Setting `json:"settings"`       // in the order of writing
	BestEffort  bool      `json:"bestEffort,omitempty"`
}

// Compile decides how the limits of a container are enforced on a host; name is the
// container's. The placement is nil where nothing is to do. A limit that cannot be
// enforced is a [*Refusal], or in the mode BestEffort a note, and the others remain.
func Compile(l *Limits, h *Host, name string, mode Mode) (p *Placement, notes []string, err error) {
	if l.IsZero() {
		return nil, nil, nil
	}
	settings, notes, err := h.settings(l, mode)
	if err != nil {
		return nil, nil, err
	}
	way, tree, left := h.choose(settings)
	for _, s := range settings {
		if slices.Contains(left, s) {
			continue
		}
		r := h.refusal(s, tree, settings)
		switch {
		case s.Derived:
		case mode != BestEffort:
			return nil, nil, r
		default:
			notes = append(notes, r.Limit+" is not enforced: "+r.Cause)
		}
	}
	if len(left) == 0 {
		return nil, notes, nil
	}
	for _, s := range left {
		if !h.Weighted && strings.HasSuffix(s.File, ".weight") && s.Controller == "io" {
			notes = append(notes, s.Limit+" has no effect: no disk has the BFQ scheduler or a cost model (io.cost.qos)")
		}
	}
	p = &Placement{
		Way: way, UID: h.UID, Mount: h.Mount, Name: "rl-run-" + name, Settings: left,
		Controllers: needed(left), BestEffort: mode == BestEffort,
	}
	if way == Scope {
		p.Bus, p.Unit = h.Bus, "rl-run-"+name+".scope"
	} else {
		p.Parent = tree.Dir
	}
	return p, notes, nil
}

// choose takes the way that can enforce most, and of two alike the scope. It returns
// the settings that are left.
func (h *Host) choose(settings []Setting) (way Way, tree *Subtree, left []Setting) {
	try := func(w Way, t *Subtree) {
		var can []Setting
		for _, s := range settings {
			if t.gives([]string{s.Controller}) && !slices.Contains(t.Lacks, s.File) {
				can = append(can, s)
			}
		}
		if tree == nil || len(can) > len(left) {
			way, tree, left = w, t, can
		}
	}
	if h.Bus != "" && h.Manager != nil {
		try(Scope, h.Manager)
	}
	for i := range h.Subtrees {
		try(Delegee, &h.Subtrees[i])
	}
	return way, tree, left
}

func (h *Host) refusal(s Setting, tree *Subtree, settings []Setting) *Refusal {
	if tree != nil && slices.Contains(tree.Lacks, s.File) && tree.gives([]string{s.Controller}) {
		return &Refusal{s.Limit, s.Controller, fmt.Sprintf("the %s controller of this kernel has no %s", s.Controller, s.File), ""}
	}
	cause, hint := h.refuse(s.Controller, needed(settings))
	return &Refusal{s.Limit, s.Controller, cause, hint}
}

func needed(settings []Setting) (controllers []string) {
	for _, s := range settings {
		controllers = append(controllers, s.Controller)
	}
	slices.Sort(controllers)
	return slices.Compact(controllers)
}

// settings turns the limits into files of a group.
func (h *Host) settings(l *Limits, mode Mode) (list []Setting, notes []string, err error) {
	add := func(limit, file, value string) {
		list = append(list, Setting{Limit: limit, Controller: controllerOf(file), File: file, Value: value})
	}
	if l.Memory > 0 {
		limit := "--memory " + formatSize(l.Memory)
		add(limit, "memory.max", h.pages(l.Memory))
		list = append(list, Setting{Limit: limit, Controller: "memory", File: "memory.oom.group", Value: "1", Derived: true})
		switch {
		case l.MemorySwap > 0:
			add("--memory-swap "+formatSize(l.MemorySwap), "memory.swap.max", h.pages(l.MemorySwap-l.Memory))
		case l.MemorySwap == 0:
			// As much swap as memory, as docker and podman have it.
			list = append(list, Setting{Limit: limit, Controller: "memory", File: "memory.swap.max", Value: h.pages(l.Memory), Derived: true})
		}
	}
	if l.CPUs > 0 {
		// Of a period of 100 ms, which is the kernel's own.
		add("--cpus "+formatCPUs(l.CPUs), "cpu.max", strconv.FormatInt(l.CPUs/10, 10)+" 100000")
	}
	if l.CPUWeight > 0 {
		n := strconv.FormatInt(l.CPUWeight, 10)
		add("--cpu-weight "+n, "cpu.weight", n)
	}
	refuse := func(limit, controller, cause, hint string) {
		if mode == BestEffort {
			notes = append(notes, limit+" is not enforced: "+cause)
		} else if err == nil {
			err = &Refusal{limit, controller, cause, hint}
		}
	}
	if len(l.CPUSet) > 0 {
		limit := "--cpuset-cpus " + l.CPUSet.String()
		if len(h.CPUs) > 0 && !h.CPUs.Contains(l.CPUSet) {
			refuse(limit, "cpuset", "there are the processors "+h.CPUs.String(), "")
		} else {
			add(limit, "cpuset.cpus", l.CPUSet.String())
		}
	}
	if l.Pids > 0 {
		n := strconv.FormatInt(l.Pids, 10)
		add("--pids-limit "+n, "pids.max", n)
	}
	if l.BlkioWeight > 0 {
		limit := "--blkio-weight " + strconv.FormatInt(l.BlkioWeight, 10)
		file, value := h.weight(l.BlkioWeight)
		add(limit, file, value)
	}
	for _, d := range l.Devices {
		dev := h.Devices[d.Path]
		if dev.Err != "" {
			refuse(d.String(), "", dev.Err, "")
			continue
		}
		if dev.Part {
			notes = append(notes, fmt.Sprintf("%s limits the whole disk: the kernel knows no limit of a partition", d))
		}
		key := fmt.Sprintf("%d:%d %s=", dev.Major, dev.Minor, d.Rate)
		// Of two limits for the same thing the last counts, as of all options.
		list = slices.DeleteFunc(list, func(s Setting) bool { return s.File == "io.max" && strings.HasPrefix(s.Value, key) })
		add(d.String(), "io.max", key+strconv.FormatInt(d.Max, 10))
	}
	return list, notes, err
}

// pages is a number of bytes as the kernel keeps it: in whole pages.
func (h *Host) pages(n int64) string {
	if size := int64(h.PageSize); size > 0 {
		n -= n % size
	}
	return strconv.FormatInt(n, 10)
}

// weight turns docker's weight, 10 to 1000, into the file that this kernel has. The
// conversion to io.weight, 1 to 10000, is that of the OCI runtimes; BFQ's own file
// takes the number as it is.
func (h *Host) weight(w int64) (file, value string) {
	lacks := func(s *Subtree) bool {
		return slices.Contains(s.Lacks, "io.weight") && !slices.Contains(s.Lacks, "io.bfq.weight")
	}
	if h.Manager != nil && lacks(h.Manager) || slices.ContainsFunc(h.Subtrees, func(s Subtree) bool { return lacks(&s) }) {
		return "io.bfq.weight", "default " + strconv.FormatInt(w, 10)
	}
	return "io.weight", "default " + strconv.FormatInt(1+(w-10)*9999/990, 10)
}
