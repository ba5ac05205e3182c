package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Asked is the limits by their options, without dashes, in the words of their values.
// An option that was given more than once has its values separated by spaces.
func (l *Limits) Asked() map[string]string {
	h := Host{Devices: map[string]Device{}}
	all := *l
	all.Devices = nil
	settings, _, _ := h.settings(&all, BestEffort)
	asked := byOption(settings)
	if l.MemorySwap == Unlimited {
		asked["memory-swap"] = "-1"
	}
	for _, d := range l.Devices {
		add(asked, d.String())
	}
	return asked
}

// Limits is what is enforced, in the form of [Limits.Asked].
func (g *Group) Limits() map[string]string { return byOption(g.Applied) }

func byOption(settings []Setting) map[string]string {
	m := make(map[string]string)
	for _, s := range settings {
		if !s.Derived {
			add(m, s.Limit)
		}
	}
	return m
}

func add(m map[string]string, limit string) {
	option, value, _ := strings.Cut(strings.TrimPrefix(limit, "--"), " ")
	if m[option] != "" {
		value = m[option] + " " + value
	}
	m[option] = value
}

// Path is the group below the mount of the control groups, as /proc/PID/cgroup has
// it; empty for none.
func (g *Group) Path() string {
	path, ok := strings.CutPrefix(g.Dir, g.Mount)
	if !ok || g.Way == "" {
		return ""
	}
	return path
}

// Open finds the group of a container by its Path, for Join, Events and Remove. It
// reads where control groups are mounted; an empty path is no group. getenv is as for
// Probe, or nil for a group that nobody is to join.
func Open(path string, getenv func(string) string) (Group, error) {
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	if path == "" {
		return Group{}, nil
	}
	p := &prober{euid: os.Geteuid(), getenv: getenv, access: mayWrite}
	h := Host{UID: p.outerUID()}
	p.mounts(&h)
	if h.Mount == "" {
		return Group{}, fmt.Errorf("find control group %s: no control groups are mounted", path)
	}
	g := Group{Way: Delegee, Mount: h.Mount, Dir: filepath.Join(h.Mount, path)}
	if scope, name := filepath.Split(path); name == container && strings.HasSuffix(scope, ".scope/") {
		p.manager(&h)
		g.Way, g.Bus, g.UID, g.Unit = Scope, h.Bus, h.UID, filepath.Base(scope)
	}
	return g, nil
}

// OutOfMemory says that the kernel has killed processes of the container for lack of
// memory, or nothing if it has not. It is for the end of a message.
func (g *Group) OutOfMemory(e Events) string {
	if e.OOMKills == 0 {
		return ""
	}
	cause := "out of memory"
	if m := g.Limits()["memory"]; m != "" && e.MemoryMax > 0 {
		cause += " (--memory " + m + ")"
	}
	if e.OOMKills == 1 {
		return cause + ": the kernel killed a process"
	}
	return fmt.Sprintf("%s: the kernel killed %d processes", cause, e.OOMKills)
}
