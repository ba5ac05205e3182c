package cgroup

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// processors are those of the first of these that tells: a group's limit counts, not
// only what the machine has.
func (p *prober) processors(h *Host) {
	var dirs []string
	if h.Manager != nil {
		dirs = append(dirs, h.Manager.Dir)
	}
	for _, s := range h.Subtrees {
		dirs = append(dirs, s.Dir)
	}
	for _, dir := range append(dirs, h.Mount) {
		if set, err := ParseSet(p.read(dir, "cpuset.cpus.effective")); err == nil {
			h.CPUs = set
			return
		}
	}
	h.CPUs, _ = ParseSet(p.read("/sys/devices/system/cpu/online"))
}

// device finds the numbers of the disk behind a path.
func (p *prober) device(path string) Device {
	var st unix.Stat_t
	switch err := unix.Stat(p.path(path), &st); {
	case err != nil:
		return Device{Err: err.Error()}
	case st.Mode&unix.S_IFMT != unix.S_IFBLK:
		return Device{Err: "not a block device"}
	}
	d := Device{Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev)}
	sys := fmt.Sprintf("/sys/dev/block/%d:%d", d.Major, d.Minor)
	if !p.exists(sys, "partition") {
		return d
	}
	// The link leads to …/block/sda/sda1, and the disk's own numbers are one level up.
	real, err := filepath.EvalSymlinks(p.path(sys))
	if err != nil {
		return Device{Err: err.Error()}
	}
	major, minor, _ := strings.Cut(p.read(strings.TrimPrefix(filepath.Dir(real), p.root), "dev"), ":")
	a, errMajor := strconv.ParseUint(major, 10, 32)
	b, errMinor := strconv.ParseUint(minor, 10, 32)
	if errMajor != nil || errMinor != nil {
		return Device{Err: "the disk of the partition is not known"}
	}
	return Device{Major: uint32(a), Minor: uint32(b), Part: true}
}

// weighted tells whether a scheduler that heeds weights is at work on some disk: BFQ,
// or the cost model of io.cost.qos.
func (p *prober) weighted(h *Host) bool {
	disks, _ := filepath.Glob(p.path("/sys/block/*/queue/scheduler"))
	for _, d := range disks {
		if strings.Contains(p.read(strings.TrimPrefix(d, p.root)), "[bfq]") {
			return true
		}
	}
	return strings.Contains(p.read(h.Mount, "io.cost.qos"), "enable=1")
}
