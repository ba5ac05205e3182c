package explain_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/plan"
)

// edit changes a plan, and tells how many steps it has changed.
type edit func(*plan.Plan) int

func drop[T plan.Step]() edit { return change(func(T) plan.Step { return nil }) }

// change has f put another step in the place of each of a type, or nil for none.
func change[T plan.Step](f func(T) plan.Step) edit {
	return func(pl *plan.Plan) (n int) {
		next := func(s plan.Step) plan.Step {
			old, ok := s.(T)
			if !ok {
				return s
			}
			s = f(old)
			if !reflect.DeepEqual(s, plan.Step(old)) {
				n++
			}
			return s
		}
		for i := range pl.Entries {
			pl.Entries[i].Step = next(pl.Entries[i].Step)
		}
		for i := range pl.Cleanup {
			pl.Cleanup[i] = next(pl.Cleanup[i])
		}
		pl.Entries = slices.DeleteFunc(pl.Entries, func(e plan.Entry) bool { return e.Step == nil })
		pl.Cleanup = slices.DeleteFunc(pl.Cleanup, func(s plan.Step) bool { return s == nil })
		return n
	}
}

func both(edits ...edit) edit {
	return func(pl *plan.Plan) (n int) {
		for _, e := range edits {
			n += e(pl)
		}
		return n
	}
}

// before adds a step of the command before those of a type.
func before[T plan.Step](s plan.Step) edit {
	return func(pl *plan.Plan) int {
		i := slices.IndexFunc(pl.Entries, func(e plan.Entry) bool {
			_, ok := e.Step.(T)
			return ok && e.Actor == plan.Command
		})
		if i < 0 {
			return 0
		}
		pl.Entries = slices.Insert(pl.Entries, i, plan.Entry{Actor: plan.Command, Step: s})
		return 1
	}
}

type mutation struct {
	step plan.Step // the type
	base func(*testing.T) base
	edit edit
	want string // what must be seen to differ
}

func mutations(t *testing.T) []mutation {
	t.Helper()
	other := trial.NewTree(t)
	if err := os.Mkdir(filepath.Join(other, "other"), 0o755); err != nil {
		t.Fatal(err)
	}
	return []mutation{
		{plan.StartInit{}, sharing, change(func(s plan.StartInit) plan.Step {
			s.Flags |= unix.CLONE_NEWPID
			return s
		}), "namespace pid"},
		{plan.MapIDs{}, usual, change(func(s plan.MapIDs) plan.Step {
			s.UID = slices.Clone(s.UID)
			s.UID[len(s.UID)-1].Count--
			return s
		}), "file /proc/self/uid_map"},
		// A map of one's own id has no more than the inside to choose: the ids go with it.
		{plan.MapOwnIDs{}, single, both(change(func(s plan.MapOwnIDs) plan.Step {
			s.GID.Inside = 7
			return s
		}), change(func(s plan.SetIDs) plan.Step {
			s.GID = 7
			return s
		})), "file /proc/self/gid_map"},
		{plan.SetIDs{}, usual, change(func(s plan.SetIDs) plan.Step {
			s.Groups = []uint32{9}
			return s
		}), "status Groups"},
		{plan.SetUmask{}, usual, change(func(s plan.SetUmask) plan.Step {
			return plan.SetUmask{Mask: s.Mask | 0o005}
		}), "status Umask"},
		{plan.Unshare{}, sharing, change(func(s plan.Unshare) plan.Step {
			s.Flags |= unix.CLONE_NEWCGROUP
			return s
		}), "namespace cgroup"},
		{plan.LoopbackUp{}, usual, drop[plan.LoopbackUp](), "lo: "},
		{plan.SetHostname{}, usual, change(func(plan.SetHostname) plan.Step { return plan.SetHostname{Name: "mutant"} }), "hostname: "},
		{plan.Propagate{}, below, change(func(plan.Propagate) plan.Step { return plan.Propagate{Type: "slave"} }), "mount /made/data"},
		{plan.PrepareLayers{}, keeping, change(func(s plan.PrepareLayers) plan.Step {
			s.Mode ^= 0o050
			return s
		}), "directory /: "},
		{plan.RemoveLayers{}, onDisk, drop[plan.RemoveLayers](), "afterwards 0/upper"},
		{plan.Stage{}, usual, change(func(plan.Stage) plan.Step { return plan.Stage{Size: 9 << 20} }), "mount /etc/hosts"},
		{plan.StageDir{}, usual, change(func(s plan.StageDir) plan.Step {
			s.Mode ^= 0o050
			return s
		}), "directory /: "},
		{plan.AttachTree{}, usual, change(func(s plan.AttachTree) plan.Step {
			s.Path = other
			return s
		}), "entry /other"},
		{plan.RootTmpfs{}, copied, change(func(s plan.RootTmpfs) plan.Step {
			s.Size *= 2
			return s
		}), "mount /: "},
		{plan.Overlay{}, usual, change(func(s plan.Overlay) plan.Step {
			s.Volatile = !s.Volatile
			return s
		}), "mount /: "},
		{plan.CopyTree{}, copied, drop[plan.CopyTree](), "entry /marker"},
		{plan.MakeDir{}, usual, change(func(s plan.MakeDir) plan.Step {
			if s.Path == "/made/here" {
				s.Mode = 0o700
			}
			return s
		}), "entry /made/here"},
		{plan.MakeFile{}, usual, drop[plan.MakeFile](), "mount point does not exist"},
		{plan.Symlink{}, usual, change(func(s plan.Symlink) plan.Step {
			s.To += "x"
			return s
		}), "entry /dev/core"},
		{plan.Mount{}, usual, change(func(s plan.Mount) plan.Step {
			if s.Target == "/dev/shm" {
				s.Flags &^= unix.MS_NOEXEC
			}
			return s
		}), "mount /dev/shm"},
		{plan.Bind{}, usual, change(func(s plan.Bind) plan.Step {
			if s.Target == "/made/data" {
				return nil
			}
			return s
		}), "mount /made/data"},
		{plan.BindSelf{}, usual, drop[plan.BindSelf](), "mount /proc/sys"},
		{plan.BindNode{}, usual, change(func(s plan.BindNode) plan.Step {
			if s.Name == "full" {
				return nil
			}
			return s
		}), "mount /dev/full"},
		{plan.Mask{}, usual, drop[plan.Mask](), "mount /proc/timer_list"},
		{plan.ProvideFile{}, usual, change(func(s plan.ProvideFile) plan.Step {
			s.Content += "x"
			return s
		}), "file /etc/hosts"},
		{plan.ReadOnlyRoot{}, readOnly, drop[plan.ReadOnlyRoot](), "mount /: "},
		{plan.PivotRoot{}, single, drop[plan.PivotRoot](), "mount /: "},
		{plan.RemoveMountPoint{}, writable, drop[plan.RemoveMountPoint](), "afterwards 0/made/here"},
		{plan.NewSession{}, usual, drop[plan.NewSession](), "leads a session"},
		{plan.NewKeyring{}, usual, drop[plan.NewKeyring](), "keyring"},
		{plan.SetLimit{}, usual, before[plan.CloseOnExec](plan.SetLimit{Name: "nofile", Resource: unix.RLIMIT_NOFILE, Soft: 99, Hard: 100}), "limit nofile"},
		{plan.NullStdin{}, readOnly, drop[plan.NullStdin](), "fd 0"},
		{plan.CloseOnExec{}, readOnly, drop[plan.CloseOnExec](), "fd 6"},
		{plan.DropBounding{}, usual, change(func(s plan.DropBounding) plan.Step {
			s.Keep |= 1 << unix.CAP_SYS_NICE
			return s
		}), "status CapBnd"},
		{plan.SetCaps{}, usual, change(func(s plan.SetCaps) plan.Step {
			s.Inheritable |= 1 << unix.CAP_CHOWN
			return s
		}), "status CapInh"},
		{plan.RaiseAmbient{}, plainUser, drop[plan.RaiseAmbient](), "status CapAmb"},
		{plan.NoNewPrivs{}, usual, drop[plan.NoNewPrivs](), "status NoNewPrivs"},
		{plan.Chdir{}, usual, change(func(plan.Chdir) plan.Step { return plan.Chdir{Path: "/tmp"} }), "directory of the process"},
		{plan.Exec{}, usual, change(func(s plan.Exec) plan.Step {
			s.Argv = append(slices.Clone(s.Argv), "mutant")
			return s
		}), "argv"},
	}
}

// Each step of a plan is seen by the comparison: where it is left out or is
// another one, something differs.
func TestMutantsDiffer(t *testing.T) {
	trial.NeedUser(t)
	for _, m := range mutations(t) {
		t.Run(reflect.TypeOf(m.step).Name(), func(t *testing.T) {
			watch(t)
			b := m.base(t)
			start := b.compile(t)
			if b.outer != nil {
				change(func(s plan.MapOwnIDs) plan.Step { // it is root there
					s.UID.Outside, s.GID.Outside = 0, 0
					return s
				})(&start.Plan)
			}
			var want view
			if b.facts != nil {
				want = b.look(t, b.byScript(t, said(t, start)))
			} else {
				if b.outer == nil && said(t, start) != b.script(t) {
					t.Fatal("the options are not those of the Spec")
				}
				want = b.look(t, b.byProgram(t))
				for _, d := range differences(want, b.look(t, b.byScript(t, said(t, start)))) {
					t.Errorf("not changed: %s", d)
				}
			}
			if want["no view"] != "" {
				t.Fatal(want["no view"])
			}
			if m.edit(&start.Plan) == 0 {
				t.Fatal("the plan has no such step")
			}
			seen := strings.Join(differences(want, b.look(t, b.byScript(t, said(t, start)))), "\n")
			if !strings.Contains(seen, m.want) {
				t.Errorf("want a difference of %q, got:\n%s", m.want, seen)
			}
			t.Logf("seen:\n%.600s", seen)
		})
	}
}
