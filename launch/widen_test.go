package launch

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/userns"
)

// may is what a plan lets a container do: the more of it, the wider.
type may struct {
	bounding   uint64            // what is kept of the bounding set, the least of all that is kept
	effective  uint64            // of the command
	shared     uint64            // namespaces that are not made
	ids        [2]uint64         // how many uids and gids it has
	newPrivs   bool              // no no_new_privs
	unfiltered bool              // no seccomp filter
	exposed    map[string]bool   // what the container sees of the host, and whether it can be written
	masks      map[string]string // what is hidden or read-only of /proc and /sys
	filter     []unix.SockFilter
}

const separate = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP | unix.CLONE_NEWNET

func mayOf(p *plan.Plan) may {
	m := may{bounding: ^uint64(0), shared: separate, newPrivs: true, unfiltered: true, exposed: map[string]bool{}, masks: map[string]string{}}
	for _, e := range p.Entries {
		switch s := e.Step.(type) {
		case plan.StartInit:
			m.shared &^= s.Flags
		case plan.Unshare:
			m.shared &^= s.Flags
		case plan.Join:
			m.shared &^= s.Flags
		case plan.MapIDs:
			m.ids = [2]uint64{total(s.UID), total(s.GID)}
		case plan.WriteIDMaps:
			m.ids = [2]uint64{total(s.UID), total(s.GID)}
		case plan.MapOwnIDs:
			m.ids = [2]uint64{1, 1}
		case plan.DropBounding:
			m.bounding &= s.Keep
		case plan.SetCaps:
			if e.Actor == plan.Command {
				m.effective = s.Effective
			}
		case plan.NoNewPrivs:
			if e.Actor == plan.Command {
				m.newPrivs = false
			}
		case plan.Seccomp:
			m.unfiltered, m.filter = false, s.Filter
		case plan.AttachTree:
			if s.Name != "disk" { // which is made for the layers of this start
				// below an overlay, and what is copied, is not written
				m.exposed[s.Path] = m.exposed[s.Path] || !s.ReadOnly && s.Name != "lower"
			}
		case plan.Bind:
			m.exposed[s.Source] = m.exposed[s.Source] || s.Attr&unix.MOUNT_ATTR_RDONLY == 0
		case plan.Mask:
			m.masks[s.Path] = "hidden"
		case plan.BindSelf:
			m.masks[s.Target] = fmt.Sprint(s.Attr)
		}
	}
	return m
}

func total(extents []plan.Extent) (n uint64) {
	for _, e := range extents {
		n += uint64(e.Count)
	}
	return n
}

// wider lists in what a container may more than another one.
func (m may) wider(than may) (in []string) {
	say := func(is bool, what string) {
		if is {
			in = append(in, what)
		}
	}
	say(m.bounding&^than.bounding != 0, "the bounding set")
	say(m.effective&^than.effective != 0, "capabilities")
	say(m.shared&^than.shared != 0, "shared namespaces")
	say(m.ids[0] > than.ids[0] || m.ids[1] > than.ids[1], "ids")
	say(m.newPrivs && !than.newPrivs, "new privileges")
	say(m.unfiltered && !than.unfiltered || !slices.Equal(m.filter, than.filter), "the filter")
	for path, writes := range m.exposed {
		was, seen := than.exposed[path]
		// the outer /proc and /sys in place of own ones, and never to be written: what is said of them
		say(!seen && (writes || path != "/proc" && path != "/sys") || writes && seen && !was, "writes to or sees "+path)
	}
	for path, how := range than.masks {
		say(m.masks[path] != how, "unmasked "+path)
	}
	return in
}

// A fallback never widens what a container may do: each fact that turns out to be false, alone and all together, and each lack of
// ids, helpers and drivers, in all the golden starts.
func TestNoFallbackWidens(t *testing.T) {
	poorer := map[string]func(*Host){
		"subordinate ids": func(h *Host) { h.Caller.Subordinate = userns.Subordinate{Name: "alice"} },
		"newuidmap":       func(h *Host) { h.Caller.Helpers.UID = userns.Helper{Problem: "newuidmap: not found"} },
		"privilege":       func(h *Host) { h.Caller.Bar = "no_new_privs is set" },
		"groups":          func(h *Host) { h.Caller.Groups = []uint32{4, 27} },
		"drivers":         func(h *Host) { h.Usermode.Pasta, h.Usermode.Slirp4netns = "", "" },
		"old kernel":      func(h *Host) { h.Facts.TmpfsUpper = false },
		"every fact":      func(h *Host) { h.Facts = Facts{} },
	}
	for field := range reflect.TypeFor[Facts]().Fields() {
		poorer[field.Name] = func(h *Host) { reflect.ValueOf(&h.Facts).Elem().FieldByName(field.Name).SetBool(false) }
	}
	compared := 0
	for _, g := range goldens {
		s, h := g.inputs()
		if s.Nest { // which asks for the outer /proc to be written
			continue
		}
		if _, exec := targets[g.name]; exec {
			continue
		}
		h.Facts = AllFacts
		rich, err := Compile(s, h, nil)
		if err != nil {
			t.Fatal(err)
		}
		for lack, take := range poorer {
			poor := *h
			take(&poor)
			start, err := Compile(s, &poor, nil)
			if err != nil {
				continue // refused: no container, nothing wider
			}
			compared++
			if in := mayOf(&start.Plan).wider(mayOf(&rich.Plan)); len(in) > 0 {
				t.Errorf("%s without %s: wider in %q", g.name, lack, in)
			}
		}
	}
	if compared < 10*len(goldens) {
		t.Errorf("%d comparisons", compared)
	}
}

// What is wider is seen as that.
func TestWiderIsSeen(t *testing.T) {
	s, h := basic(), desktop()
	usual, err := Compile(&s, &h, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Spec, *Host){
		"capability":     func(s *Spec, _ *Host) { s.CapAdd = []string{"SYS_ADMIN"} },
		"filter":         func(s *Spec, _ *Host) { s.Seccomp = "unconfined" },
		"new privileges": func(s *Spec, _ *Host) { s.NewPrivs = true },
		"host's pids":    func(s *Spec, _ *Host) { s.PID = Shared },
		"host's network": func(s *Spec, _ *Host) { s.Net = NetHost },
		"unmasked":       func(s *Spec, _ *Host) { s.Unmask = []string{"/proc/keys"} },
		"written root":   func(s *Spec, _ *Host) { s.RootMode = RootWritable },
		"nest":           func(s *Spec, h *Host) { s.Nest, h.Facts.OwnProc = true, false },
		"mount":          volumes,
	} {
		s, h := basic(), desktop()
		change(&s, &h)
		start, err := Compile(&s, &h, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(mayOf(&start.Plan).wider(mayOf(&usual.Plan))) == 0 {
			t.Errorf("%s is not seen", name)
		}
	}
}
