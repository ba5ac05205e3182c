package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps/seccomp"
	"github.com/rl-run/rl-run/internal/pid1"
	"github.com/rl-run/rl-run/net/session"
	"github.com/rl-run/rl-run/net/usermode"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs"
	"github.com/rl-run/rl-run/rootfs/mountspec"
	"github.com/rl-run/rl-run/userns"
)

// Remember keeps the plan of a container that has been started, so that the next one of the same options starts without
// Compile, and without Go: see plan/memo_lower_amd64.go. dir is where memos are kept, and its path; words is how many words of the
// command line stand before the command. What cannot be kept is not: errors are for those who want to know.
//
// The premises are asked first and the plan is made after them, so that what changes meanwhile can only make the memo useless.
func Remember(s *Spec, h *Host, filter *seccomp.Profile, dir int, path string, words int, apart time.Duration) error {
	if !s.memorable(h) {
		return errors.New("this container is not like the last one")
	}
	premises := s.premises(h, path)
	if changed(premises) {
		return errUnsettled
	}
	any := *s
	any.Command = []string{plan.AnyCommand}
	again, err := Probe(&any)
	if err != nil {
		return err
	}
	if s.Net != NetHost {
		again.SessionDir = session.DirIn(filepath.Dir(path))
		if again.Session, err = session.Open(again.SessionDir); err == nil {
			defer again.Session.Close()
		}
	}
	start, err := Compile(&any, &again, filter)
	if err != nil {
		return err
	}
	if len(start.Notes) > 0 || !reflect.DeepEqual(again.Facts, h.Facts) {
		return errors.New("there is a note to be given each time")
	}
	if !alike(premises, any.premises(&again, path)) {
		return errChanged
	}
	ports, names := start.memoPorts(&any, again.SessionDir)
	m := plan.Memo{Ports: ports, Names: names, Joined: sessionOf(&again), Plan: start.Plan, Init: pid1.Image(), Premises: premises, Apart: apart, Words: words}
	return m.Keep(dir)
}

// sessionOf is the network session of a host.
func sessionOf(h *Host) plan.ProcessRef {
	if h.Session == nil {
		return plan.ProcessRef{}
	}
	return plan.ProcessRef{Name: TheSession, PID: h.Session.Pid, Start: h.Session.StartTime}
}

// memorable: nothing outlives the start but the container, and nobody but its first process is to be looked after.
func (s *Spec) memorable(h *Host) bool {
	switch {
	case s.RootMode != RootEphemeral && s.RootMode != RootReadOnly, s.Keep != "":
	case s.Net != NetNone && s.Net != NetHost && !s.onSession(h), len(s.Publish) > 0, s.Listen:
	case s.PID != Private, len(h.Owners) > 0:
	case s.Name != "", s.Detach, s.Terminal, s.Strict, s.NoInit:
	case s.IP.IsValid(): // it may have to wait for the end of the last one's link
	case !s.Limits.IsZero(), len(s.Ulimits) > 0:
	case s.Seccomp != "" && s.Seccomp != "unconfined":
	case len(s.Env) > 0, s.EnvHost, slices.ContainsFunc(proxies[:], variables(h.Environ).has): // may be secrets, not to be written down
	case len(s.Command) == 0, len(h.Nodes) != len(rootfs.Nodes), !plain(h.Rootfs.Path):
	case h.Caller.Subordinate.Source == "getsubids":
	default:
		return true
	}
	return false
}

// onSession: the container gets a link to a bridge of the session, and knows the address of the host behind.
func (s *Spec) onSession(h *Host) bool {
	if h.Session == nil || !s.Named() && (s.Net != NetAuto || h.Session.Elsewhere || h.Session.Upstream == "") ||
		slices.ContainsFunc(s.AddHost, func(a string) bool { return strings.HasSuffix(a, ":"+HostGateway) }) {
		return false
	}
	source := plan.Source(usermode.Beyond4)
	return h.Usermode.Outward4.IsValid() == source.Answered()
}

// memoPorts are places on the bridge to which the container is connected, from where nobody else begins.
func (s *Start) memoPorts(spec *Spec, d session.Dir) (list []plan.MemoPort, names []byte) {
	if s.nesting == nil || s.nesting.network == nil {
		return nil, nil
	}
	const most = 128
	n := s.nesting.network
	p, free := n.Free(d, os.Getpid())
	for range min(most, n.Ports()) {
		if !free {
			break
		}
		dir := d.NamesDir(n.Name)
		number := strconv.Itoa(p.Number)
		list = append(list, plan.MemoPort{
			Number: p.Number, Message: n.LinkMessage(p, inner, session.ByFD, plan.MemoNetNS).Message, Inner: inner, Link: linkTo(p),
			Names: dir + "/" + number, Aside: dir + "/." + number + ".memo",
		})
		p = n.Next(p)
	}
	return list, session.NamesText(spec.registered()...)
}

// linkTo is the container's end of the link at a place.
func linkTo(p session.Port) plan.Link {
	return plan.Link{IP: p.Address, Gateway: p.Gateway, IP6: p.Address6, Gateway6: p.Gateway6}
}

// premises are all that Probe looks at for a plan that is kept, and what rl-run does before it.
func (s *Spec) premises(h *Host, dir string) (list []plan.Premise) {
	add := func(p plan.Premise) { list = append(list, p) }

	// the caller
	callers(add, h)
	add(plan.SameFile("/proc/self/ns/user", 0)) // whose maps do not change

	// the tree
	add(plan.SameFile(s.Rootfs, 0))
	tree := h.Rootfs.Path
	add(plan.SameFile(tree, unix.AT_SYMLINK_NOFOLLOW))
	for _, file := range inTree {
		add(plan.SameContent(tree+file, unix.AT_SYMLINK_NOFOLLOW))
	}
	for _, locale := range []string{"C.utf8", "C.UTF-8"} {
		add(plan.SameKind(tree+"/usr/lib/locale/"+locale, unix.AT_SYMLINK_NOFOLLOW))
	}
	for _, m := range s.Mounts {
		switch m := m.(type) {
		case mountspec.Bind:
			add(plan.SameFile(m.Source, 0))
			add(plan.SameFile(h.Sources[m.Source].Path, 0))
		case mountspec.Device:
			add(plan.SameFile(m.Source, 0))
		}
	}
	const deepest = 64
	top := plan.SameFile("/", 0)
	for up, depth := dir, 0; depth < deepest; up, depth = up+"/..", depth+1 { // that the state of containers is in none of them
		add(plan.SameFile(up, 0))
		if list[len(list)-1].Answer(&top) {
			break
		}
	}

	// the machine
	add(plan.Release())
	if !slices.Contains(s.Unmask, "ALL") {
		for _, path := range append(rootfs.DefaultMasks[:], s.Mask...) {
			add(plan.SameKind(path, unix.AT_SYMLINK_NOFOLLOW))
		}
	}
	add(plan.SameContent("/etc/resolv.conf", 0))
	if s.Net == NetHost {
		add(plan.SameContent("/etc/hosts", 0))
	} else {
		// the session: none, or that one, which writes down what changes of it
		add(plan.SameContent(filepath.Dir(dir)+"/net/session", unix.AT_SYMLINK_NOFOLLOW))
		if h.Session != nil {
			add(plan.SameFile(fmt.Sprintf("/proc/%d/ns/user", h.Session.Pid), 0))
			if s.Net != NetNone {
				add(plan.Source(usermode.Beyond4))
				add(plan.SameFile("/proc/self/ns/net", 0)) // where the session's way out begins
			}
		}
	}
	if s.Userns.Mode != userns.ModeSingle {
		for _, file := range userns.Looked(h.Path, h.Caller.Helpers) {
			add(plan.SameContent(file, 0))
		}
	}
	return list
}

// callers adds what counts of the calling process.
func callers(add func(plan.Premise), h *Host) {
	add(plan.Answers(unix.SYS_GETEGID))
	add(plan.Groups())
	add(plan.Capabilities())
	add(plan.Limit(unix.RLIMIT_NOFILE, h.Files[0], h.Files[1]))
	var memory unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_AS, &memory) // of which Go, should it be needed, takes much
	add(plan.Limit(unix.RLIMIT_AS, memory.Cur, memory.Max))
	for _, q := range [][2]int{{unix.PR_GET_NO_NEW_PRIVS, 0}, {unix.PR_CAPBSET_READ, unix.CAP_SETUID}, {unix.PR_CAPBSET_READ, unix.CAP_SETGID}} {
		add(plan.Answers(unix.SYS_PRCTL, q[0], q[1], 0, 0, 0))
	}
	for fd := range 2 {
		add(plan.Terminal(fd))
	}
}

// changed reports whether a file of the premises was changed so lately that a further change could not be seen: within the same
// tick of the clock.
func changed(premises []plan.Premise) bool {
	const settled = 1 // s
	for i := range premises {
		if premises[i].ChangedAt() >= time.Now().Unix()-settled {
			return true
		}
	}
	return false
}

// alike reports whether both are the same premises with the same answers.
func alike(before, now []plan.Premise) bool {
	return slices.EqualFunc(before, now, func(a, b plan.Premise) bool { return a.Is(&b) })
}

// Why nothing is kept this time.
var (
	errUnsettled = errors.New("a file has just changed")
	errChanged   = errors.New("something has changed")
)

// inTree are the files of a tree that are read.
var inTree = [...]string{"/etc/passwd", "/etc/group"}

// plain reports whether the files of a tree that are read are where their names say: a link leads elsewhere in the
// container than on the host.
func plain(tree string) bool {
	if etc, err := filepath.EvalSymlinks(tree + "/etc"); err != nil || etc != tree+"/etc" {
		return false
	}
	for _, file := range inTree {
		var st unix.Stat_t
		switch err := unix.Lstat(tree+file, &st); {
		case errors.Is(err, unix.ENOENT):
		case err != nil, st.Mode&unix.S_IFMT != unix.S_IFREG:
			return false
		}
	}
	return true
}

// Adopt takes over a container that was started by a memo before this process began to run Go. Where it cannot be
// compiled any more it can be waited for all the same.
func Adopt(s *Spec, h *Host, filter *seccomp.Profile, child *plan.Child, image int, note func(string)) (*Container, error) {
	c := AdoptExec(s, child, image)
	c.note, c.path = note, h.Path
	start, err := Compile(s, h, filter)
	if err == nil {
		c.Start = start
		if number := plan.RecalledPort(); number != 0 && c.nesting != nil && c.nesting.network != nil {
			c.Network.Address = c.nesting.network.Port(number).Address
		}
	}
	return c, err
}
