package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Probe finds out what the limits need to know of this machine. It only reads, and
// reads nothing where nothing is limited. getenv looks up the caller's environment
// (os.Getenv).
//
// What cannot be read counts as absent: it becomes a refusal that says so.
func Probe(l *Limits, getenv func(string) string) Host {
	if l.IsZero() {
		return Host{}
	}
	return (&prober{euid: os.Geteuid(), getenv: getenv, access: mayWrite}).probe(l)
}

// prober reads below root, which in a test is a fixture's.
type prober struct {
	root   string
	euid   int
	getenv func(string) string
	access func(path string) bool // whether the caller may write

	seen string // which part of the hierarchy is mounted at Host.Mount
}

// mayWrite goes by the effective ids, as a write does.
func mayWrite(path string) bool {
	return unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS) == nil
}

func (p *prober) path(name string) string { return p.root + name }

func (p *prober) read(elem ...string) string {
	b, err := os.ReadFile(p.path(filepath.Join(elem...)))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (p *prober) list(elem ...string) []string { return strings.Fields(p.read(elem...)) }

func (p *prober) exists(elem ...string) bool {
	return unix.Access(p.path(filepath.Join(elem...)), unix.F_OK) == nil
}

func (p *prober) writable(elem ...string) bool { return p.access(p.path(filepath.Join(elem...))) }

func (p *prober) probe(l *Limits) Host {
	h := Host{UID: p.outerUID(), PageSize: os.Getpagesize()}
	p.mounts(&h)
	if h.Mount != "" {
		if h.Top = p.isTop(h.Mount); h.Top {
			h.Root = p.list(h.Mount, "cgroup.controllers")
		}
		p.own(&h)
		p.manager(&h)
		p.subtrees(&h)
	}
	if len(l.CPUSet) > 0 {
		p.processors(&h)
	}
	for _, d := range l.Devices {
		if h.Devices == nil {
			h.Devices = make(map[string]Device)
		}
		h.Devices[d.Path] = p.device(d.Path)
	}
	if l.BlkioWeight != 0 {
		h.Weighted = p.weighted(&h)
	}
	return h
}

// outerUID is the caller's uid outside of its user namespace: as which a service
// manager there knows it. In the first namespace it is the same.
func (p *prober) outerUID() int {
	for line := range strings.Lines(p.read("/proc/self/uid_map")) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		inside, _ := strconv.Atoi(f[0])
		outside, _ := strconv.Atoi(f[1])
		count, _ := strconv.Atoi(f[2])
		if p.euid >= inside && p.euid-inside < count {
			return outside + p.euid - inside
		}
	}
	return p.euid
}

// mounts looks for the hierarchies among the mounts (proc_pid_mountinfo(5)).
func (p *prober) mounts(h *Host) {
	h.Layout = NoGroups
	for line := range strings.Lines(p.read("/proc/self/mountinfo")) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		switch g[0] {
		case "cgroup2":
			// Of several the first: the others are for containers, below their roots.
			if h.Mount == "" {
				h.Mount, p.seen = unescape(f[4]), unescape(f[3])
				h.NSDelegate = slices.Contains(strings.Split(g[2], ","), "nsdelegate")
			}
		case "cgroup":
			for o := range strings.SplitSeq(g[2], ",") {
				if slices.Contains(controllers[:], legacyName(o)) && !slices.Contains(h.Legacy, legacyName(o)) {
					h.Legacy = append(h.Legacy, legacyName(o))
				}
			}
		}
	}
	switch {
	case h.Mount != "" && len(h.Legacy) > 0:
		h.Layout = Hybrid
	case h.Mount != "":
		h.Layout = V2
	case len(h.Legacy) > 0:
		h.Layout = V1
	}
	slices.Sort(h.Legacy)
}

// controllers are those that limits use.
var controllers = [...]string{"cpu", "cpuset", "io", "memory", "pids"}

// legacyName is the name that version 2 has for a controller of version 1.
func legacyName(option string) string {
	if option == "blkio" {
		return "io"
	}
	return option
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// own finds the caller's own group, unless it lies outside of what is mounted.
func (p *prober) own(h *Host) {
	for line := range strings.Lines(p.read("/proc/self/cgroup")) {
		path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
		if rel, err := filepath.Rel(p.seen, path); ok && err == nil && filepath.IsLocal(rel) {
			h.Own = filepath.Join(h.Mount, rel)
		}
	}
}

// manager looks for the service manager that makes scopes for the caller: the
// system's for root, else the user's.
func (p *prober) manager(h *Host) {
	var dir, in, socket string
	if h.UID == 0 {
		dir, in = h.Mount, filepath.Join(h.Mount, "system.slice")
		if socket = "/run/dbus/system_bus_socket"; p.exists("/run/systemd/private") && p.exists(socket) {
			h.Bus = "unix:path=" + socket
		}
	} else {
		dir = fmt.Sprintf("%s/user.slice/user-%d.slice/user@%[2]d.service", h.Mount, h.UID)
		in = dir
		h.Bus = p.userBus(h.UID)
	}
	if !p.exists(in) {
		h.Bus = "" // a bus without a manager makes no scopes
		return
	}
	h.Manager = &Subtree{Dir: dir, Controllers: p.list(dir, "cgroup.controllers"), Lacks: p.lacks(in)}
}

// userBus is the address of the user's bus: what the environment says, unless there is
// no such socket, else the usual one. After "su -" both variables are unset.
func (p *prober) userBus(uid int) string {
	if address := p.getenv("DBUS_SESSION_BUS_ADDRESS"); strings.HasPrefix(address, "unix:") {
		socket, named := strings.CutPrefix(address, "unix:path=")
		if socket, _, _ = strings.Cut(socket, ","); named && !strings.ContainsAny(socket, ";%") && !p.exists(socket) {
			return ""
		}
		return address
	}
	for _, dir := range [...]string{p.getenv("XDG_RUNTIME_DIR"), "/run/user/" + strconv.Itoa(uid)} {
		if socket := dir + "/bus"; filepath.IsAbs(dir) && !strings.ContainsAny(dir, ",;%") && p.exists(socket) {
			return "unix:path=" + socket
		}
	}
	return ""
}

// subtrees climbs from the caller's own group as far as it may write: to move a
// process takes the right to write to cgroup.procs of the group that is above both
// places (cgroups(7), "Delegation").
func (p *prober) subtrees(h *Host) {
	dir := h.Own
	for dir != "" && p.writable(dir) && p.writable(dir, "cgroup.procs") && p.writable(dir, "cgroup.subtree_control") {
		h.Subtrees = append(h.Subtrees, Subtree{
			Dir:         dir,
			Controllers: p.list(dir, "cgroup.controllers"),
			Enabled:     p.list(dir, "cgroup.subtree_control"),
			// The top may hold processes beside groups with controllers.
			Busy:  !p.isTop(dir) && p.read(dir, "cgroup.procs") != "",
			Lacks: p.lacks(dir),
		})
		if dir == h.Mount {
			return
		}
		dir = filepath.Dir(dir)
	}
}

// isTop tells the top of the hierarchy, which has no type.
func (p *prober) isTop(dir string) bool { return !p.exists(dir, "cgroup.type") }

// lacks are the optional files that a group does not have, of the controllers that it
// has. The top of the hierarchy has none of them, which tells nothing.
func (p *prober) lacks(dir string) (files []string) {
	if p.isTop(dir) {
		return nil
	}
	has := p.list(dir, "cgroup.controllers")
	for _, f := range optional {
		if slices.Contains(has, controllerOf(f)) && !p.exists(dir, f) {
			files = append(files, f)
		}
	}
	return files
}
